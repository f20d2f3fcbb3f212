"""Rows as dictionaries: the statements of `queries.sql` by name, and the one update made from columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from soundscape.local.queries import read_queries

Connection = AsyncConnection[Any]
Row = dict[str, Any]
QUERIES = read_queries(Path(__file__).with_name("queries.sql"))


async def many(connection: Connection, query: str | sql.Composed, **values: Any) -> list[Row]:
    """What the statement of that name gives; no rows where it returns none."""
    statement = QUERIES[query].encode() if isinstance(query, str) else query
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement, _wrapped(values))
        return await cursor.fetchall() if cursor.description else []


async def one(connection: Connection, query: str | sql.Composed, **values: Any) -> Row | None:
    """The first row, or None."""
    found = await many(connection, query, **values)
    return found[0] if found else None


async def update_user(connection: Connection, user_id: Any, columns: Row) -> Row:
    """The row as it is afterwards."""
    assignments = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in columns]
    statement = sql.SQL(
        "update auth.users set updated_at = clock_timestamp(), {} where id = {} returning *"
    ).format(sql.SQL(", ").join(assignments), sql.Placeholder("user_id"))
    stored = await one(connection, statement, user_id=user_id, **columns)
    assert stored is not None
    return stored


def _wrapped(columns: Row) -> Row:
    return {name: Jsonb(value) if isinstance(value, dict) else value for name, value in columns.items()}
