"""What the catalogue says of a published table: its key, its types, and who may read which column."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection, sql

from soundscape.local.tokens import API_ROLES

PUBLICATION = "supabase_realtime"
_TABLES = (Path(__file__).parent / "tables.sql").read_bytes()
_PUBLISHED = (Path(__file__).parent / "published.sql").read_bytes()


@dataclass(frozen=True)
class Column:
    name: str
    type_schema: str
    type: str
    base_type: str
    """The type below a domain; otherwise the type itself."""
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

    @property
    def sql(self) -> sql.Composable:
        return identifier(self.schema, self.name)


def identifier(*names: str) -> sql.Identifier:
    """A name in a statement that also has parameters, where a percent sign must be doubled."""
    return sql.Identifier(*(name.replace("%", "%%") for name in names))


async def load_tables(
    connection: AsyncConnection[tuple[Any, ...]], oids: Collection[int]
) -> dict[int, Table]:
    """Tables by oid, as the catalogue has them now. One that was dropped meanwhile is absent."""
    cursor = await connection.execute(_TABLES, {"oids": list(oids), "roles": sorted(API_ROLES)})
    return {
        oid: Table(oid, schema, name, has_rls, tuple(_column(found) for found in columns or ()))
        async for oid, schema, name, has_rls, columns in cursor
    }


async def published(connection: AsyncConnection[tuple[Any, ...]], schema: str, table: str) -> list[int]:
    """The oids of the published tables that `schema` and `table` (either may be `*`) mean."""
    cursor = await connection.execute(
        _PUBLISHED, {"publication": PUBLICATION, "schema": schema, "table": table}
    )
    return [oid async for (oid,) in cursor]


def _column(found: dict[str, Any]) -> Column:
    return Column(
        name=found["name"],
        type_schema=found["type_schema"],
        type=found["type"],
        base_type=found["base_type"],
        in_key=found["in_key"],
        readers=frozenset(found["readers"]),
    )
