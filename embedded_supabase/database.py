"""The database for the services: connections, statements kept in files, the session of a caller."""

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
    """The statements of a file. Each begins with the line `-- name: x`."""

    def __init__(self, path: Path) -> None:
        parts = (part.partition("\n") for part in path.read_text().split("-- name: ")[1:])
        self._texts = {name: text.encode() for name, _, text in parts}

    async def fetch(
        self, connection: AsyncConnection[Any], query: str | sql.Composed, /, **values: Any
    ) -> list[DictRow]:
        """Execute a statement of the file, or a composed one, and return its rows."""
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(self._texts[query] if isinstance(query, str) else query, values)
            return await cursor.fetchall() if cursor.description else []


async def assume_caller(connection: Connection, caller: Caller, settings: Mapping[str, str]) -> None:
    """Give the session the caller's role and claims until the transaction ends, as PostgREST does."""
    given = {
        **settings,
        "request.jwt.claims": json.dumps(caller.claims | {"role": caller.role}),
        "request.jwt.claim.sub": caller.user_id or "",
        "request.jwt.claim.role": caller.role,
        "role": caller.role,
    }
    await connection.execute(_BECOME, [json.dumps(given)])


def quote(*names: str) -> sql.Identifier:
    """Quote a name for a statement with parameters: a percent sign is doubled."""
    return sql.Identifier(*(name.replace("%", "%%") for name in names))
