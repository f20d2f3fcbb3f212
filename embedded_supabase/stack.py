"""What every service of the embedded project shares: keys, configuration, pools, SQL, transactions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection, sql
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from embedded_supabase.config import Config
from embedded_supabase.keys import Keys
from embedded_supabase.postgres import Postgres
from embedded_supabase.tokens import Caller, Tokens

Connection = AsyncConnection[tuple[Any, ...]]
Pool = AsyncConnectionPool[Connection]

_BECOME = "select set_config(name, setting, true) from json_each_text(%s) as given (name, setting)"


@dataclass(frozen=True, eq=False)
class Stack:
    """One embedded project."""

    data_dir: Path
    url: str
    keys: Keys
    config: Config
    postgres: Postgres
    tokens: Tokens
    authenticator: Pool
    """For REST: may only become `anon`, `authenticated` or `service_role`."""
    auth_admin: Pool
    storage_admin: Pool
    admin: Pool
    """Superuser: realtime and background work, never a caller's request."""


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


@asynccontextmanager
async def open_stack(
    *, data_dir: Path, url: str, keys: Keys, config: Config, postgres: Postgres
) -> AsyncIterator[Stack]:
    """A `Stack` over a running cluster, its pools open until the block ends."""
    async with AsyncExitStack() as opened:

        async def pool(role: str, most: int) -> Pool:
            # Asked before each use: after a crash of Postgres every connection that lay here is dead.
            check = AsyncConnectionPool.check_connection
            made = AsyncConnectionPool(postgres.dsn(role), min_size=1, max_size=most, open=False, check=check)
            return await opened.enter_async_context(made)

        yield Stack(
            data_dir=data_dir,
            url=url,
            keys=keys,
            config=config,
            postgres=postgres,
            tokens=Tokens(keys, f"{url}/auth/v1"),
            authenticator=await pool("authenticator", 20),
            auth_admin=await pool("supabase_auth_admin", 8),
            storage_admin=await pool("supabase_storage_admin", 12),
            admin=await pool("supabase_admin", 8),
        )
