"""What every service of the embedded project shares: keys, configuration, pools, a caller's transaction."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from soundscape.local.config import Config
from soundscape.local.keys import Keys
from soundscape.local.postgres import Postgres
from soundscape.local.tokens import Caller, Tokens

Pool = AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]]

_SET_CALLER = """
select set_config('role', %(role)s, true),
       set_config('request.jwt.claims', %(claims)s, true),
       set_config('request.jwt.claim.sub', %(sub)s, true),
       set_config('request.jwt.claim.role', %(role)s, true),
       set_config('request.method', %(method)s, true),
       set_config('request.path', %(path)s, true),
       set_config('request.headers', %(headers)s, true)
"""


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

    @asynccontextmanager
    async def transaction(
        self,
        pool: Pool,
        caller: Caller,
        *,
        method: str = "",
        path: str = "",
        headers: Mapping[str, str] | None = None,
        read_only: bool = False,
    ) -> AsyncIterator[AsyncConnection[tuple[Any, ...]]]:
        """A transaction under the caller's role and claims, as PostgREST and Storage set them.

        Commits when the block ends, rolls back when it raises.
        """
        async with pool.connection() as connection, connection.transaction():
            if read_only:
                await connection.execute("set transaction read only")
            await connection.execute(
                _SET_CALLER,
                {
                    "role": caller.role,
                    "claims": json.dumps(caller.claims),
                    "sub": caller.user_id or "",
                    "method": method,
                    "path": path,
                    "headers": json.dumps(dict(headers or {})),
                },
            )
            yield connection


@asynccontextmanager
async def open_stack(
    *, data_dir: Path, url: str, keys: Keys, config: Config, postgres: Postgres
) -> AsyncIterator[Stack]:
    """A `Stack` over a running cluster, its pools open until the block ends."""
    async with AsyncExitStack() as opened:

        async def pool(role: str, most: int) -> Pool:
            return await opened.enter_async_context(
                AsyncConnectionPool(postgres.dsn(role), min_size=1, max_size=most, open=False)
            )

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
