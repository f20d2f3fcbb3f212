"""What the services share of the database: connections, statements kept in files, the caller's session."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from embedded_supabase.tokens import Caller

Connection = AsyncConnection[tuple[Any, ...]]
Pool = AsyncConnectionPool[Connection]

_BECOME = "select set_config(name, setting, true) from json_each_text(%s) as given (name, setting)"


class Queries:
    """The statements of a file by name: `-- name: x` begins each."""

    def __init__(self, path: Path) -> None:
        parts = (part.partition("\n") for part in path.read_text().split("-- name: ")[1:])
        self._texts = {name: text.encode() for name, _, text in parts}

    async def rows(
        self, connection: AsyncConnection[Any], query: str | sql.Composed, /, **values: Any
    ) -> list[DictRow]:
        """What a statement gives, one of the file's or a composed one; no rows where it returns none."""
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(self._texts[query] if isinstance(query, str) else query, values)
            return await cursor.fetchall() if cursor.description else []


async def become(connection: Connection, caller: Caller, settings: Mapping[str, str]) -> None:
    """Until the transaction ends the session is the caller's, its role and claims set as PostgREST does."""
    given = {
        **settings,
        "request.jwt.claims": json.dumps(caller.claims | {"role": caller.role}),
        "request.jwt.claim.sub": caller.user_id or "",
        "request.jwt.claim.role": caller.role,
        "role": caller.role,
    }
    await connection.execute(_BECOME, [json.dumps(given)])


def identifier(*names: str) -> sql.Identifier:
    """A name in a statement that also has parameters, where a percent sign must be doubled."""
    return sql.Identifier(*(name.replace("%", "%%") for name in names))
