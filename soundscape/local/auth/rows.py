"""Rows as dictionaries, over psycopg."""

from __future__ import annotations

from typing import Any, LiteralString

from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

Connection = AsyncConnection[Any]
Row = dict[str, Any]


async def many(
    connection: Connection, statement: LiteralString | sql.Composed, values: Any = None
) -> list[Row]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchall()


async def one(
    connection: Connection, statement: LiteralString | sql.Composed, values: Any = None
) -> Row | None:
    """The first row, or None."""
    found = await many(connection, statement, values)
    return found[0] if found else None


async def insert(connection: Connection, table: str, columns: Row) -> Row:
    """The new row as stored, defaults and the work of BEFORE triggers included."""
    names = list(columns)
    statement = sql.SQL("insert into auth.{} ({}) values ({}) returning *").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.SQL(", ").join(map(sql.Placeholder, names)),
    )
    stored = await one(connection, statement, _wrapped(columns))
    assert stored is not None
    return stored


async def update(connection: Connection, table: str, row_id: Any, columns: Row) -> Row:
    """The row as it is afterwards."""
    assignments = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in columns]
    statement = sql.SQL("update auth.{} set {} where id = {} returning *").format(
        sql.Identifier(table), sql.SQL(", ").join(assignments), sql.Placeholder("row_id")
    )
    stored = await one(connection, statement, _wrapped(columns) | {"row_id": row_id})
    assert stored is not None
    return stored


def _wrapped(columns: Row) -> Row:
    return {name: Jsonb(value) if isinstance(value, dict) else value for name, value in columns.items()}
