"""What the catalogue says of a published table: its key, its types, and who may read which column."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import sql
from pydantic import TypeAdapter

from soundscape.local.realtime import json_text
from soundscape.local.realtime.pgoutput import Values
from soundscape.local.stack import Connection, identifier
from soundscape.local.tokens import API_ROLES

PUBLICATION = "supabase_realtime"
_TABLES = (Path(__file__).parent / "tables.sql").read_bytes()
_PUBLISHED = (Path(__file__).parent / "published.sql").read_bytes()


@dataclass(frozen=True)
class Column:
    name: str
    type_schema: str
    type: str
    in_key: bool
    readers: frozenset[str]
    """The API roles with SELECT on it."""

    @property
    def type_sql(self) -> sql.Composable:
        return identifier(self.type_schema, self.type)


@dataclass(frozen=True)
class Table:
    oid: int
    schema: str
    name: str
    has_rls: bool
    columns: tuple[Column, ...]

    @property
    def key(self) -> tuple[Column, ...]:
        """The columns of the primary key; empty when there is none."""
        return tuple(column for column in self.columns if column.in_key)

    def readable(self, role: str) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if role in column.readers)


_COLUMNS = TypeAdapter(tuple[Column, ...])


async def load_tables(connection: Connection, oids: Collection[int]) -> dict[int, Table]:
    """Tables by oid, as the catalogue has them now. One that was dropped meanwhile is absent."""
    cursor = await connection.execute(_TABLES, {"oids": list(oids), "roles": sorted(API_ROLES)})
    return {
        oid: Table(oid, schema, name, has_rls, _COLUMNS.validate_python(columns or ()))
        async for oid, schema, name, has_rls, columns in cursor
    }


async def published(connection: Connection, schema: str, table: str) -> list[int]:
    """The oids of the published tables that `schema` and `table` (either may be `*`) mean."""
    asked = {"publication": PUBLICATION, "schema": schema, "table": table}
    return [oid async for (oid,) in await connection.execute(_PUBLISHED, asked)]


def changed(operands: int) -> sql.Composable:
    """`changed(c0, c1, …, n)`: rows of text, their number last, out of one array for each operand."""
    arrays = sql.SQL(", ").join([sql.SQL("%s::text[]")] * operands)
    names = sql.SQL(", ").join(sql.Identifier(f"c{index}") for index in range(operands))
    return sql.SQL("unnest({}) with ordinality as changed({}, n)").format(arrays, names)


async def as_json(connection: Connection, table: Table, rows: Sequence[Values]) -> list[dict[str, Any]]:
    """Rows of text as the JSON values that clients see: what Postgres' `to_jsonb` makes of them."""
    cells = [
        sql.SQL("to_jsonb({}::{})::text").format(sql.Identifier(f"c{index}"), column.type_sql)
        for index, column in enumerate(table.columns)
    ]
    query = sql.SQL("select {} from {} order by n").format(sql.SQL(", ").join(cells), changed(len(cells)))
    names = [column.name for column in table.columns]
    cursor = await connection.execute(query, [[row.get(name) for row in rows] for name in names])
    return [
        {name: json_text.shown(cell) for name, cell in zip(names, cells, strict=True) if name in row}
        for row, cells in zip(rows, await cursor.fetchall(), strict=True)
    ]
