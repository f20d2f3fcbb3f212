"""The embedded Supabase that every service is given: its keys, its configuration, its database pools."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg_pool import AsyncConnectionPool

from embedded_supabase.config import Config
from embedded_supabase.database import Pool
from embedded_supabase.keys import Keys
from embedded_supabase.postgres import Postgres
from embedded_supabase.tokens import Tokens


@dataclass(frozen=True, eq=False)
class EmbeddedSupabase:
    """One embedded Supabase, while it is open."""

    data_dir: Path
    url: str
    keys: Keys
    config: Config
    postgres: Postgres
    tokens: Tokens
    authenticator: Pool
    """May only become `anon`, `authenticated` or `service_role`: for requests of callers."""
    auth_admin: Pool
    storage_admin: Pool
    admin: Pool
    """Superuser: for Realtime and background work, never for a caller's request."""


@asynccontextmanager
async def open_embedded(
    *, data_dir: Path, url: str, keys: Keys, config: Config, postgres: Postgres
) -> AsyncIterator[EmbeddedSupabase]:
    """Open the database pools on a running cluster. They are closed when the block ends.

    Parameters
    ----------
    data_dir : Path
        Where storage and mail lie.
    url : str
        Where clients reach the gateway, as `http://127.0.0.1:8000`. Tokens name it as their issuer.
    keys : Keys
    config : Config
        `supabase/config.toml`.
    postgres : Postgres
        A cluster that runs and has the platform's schemas (`install_platform`).

    Yields
    ------
    EmbeddedSupabase
    """
    async with AsyncExitStack() as opened:

        async def open_pool(role: str, max_size: int) -> Pool:
            # Checked before each use: a crash of Postgres leaves dead connections in the pool.
            check = AsyncConnectionPool.check_connection
            made = AsyncConnectionPool(
                postgres.dsn(role), min_size=1, max_size=max_size, open=False, check=check
            )
            return await opened.enter_async_context(made)

        yield EmbeddedSupabase(
            data_dir=data_dir,
            url=url,
            keys=keys,
            config=config,
            postgres=postgres,
            tokens=Tokens(keys, f"{url}/auth/v1"),
            authenticator=await open_pool("authenticator", 20),
            auth_admin=await open_pool("supabase_auth_admin", 8),
            storage_admin=await open_pool("supabase_storage_admin", 12),
            admin=await open_pool("supabase_admin", 8),
        )
