"""The transaction of one request, set up as PostgREST sets it up: role, claims, what was asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from soundscape.local.stack import Pool
from soundscape.local.tokens import Caller

# The timeouts come before the role: the caller's own role may not be allowed to lengthen them.
_SETTINGS = """
select set_config('search_path', %(search_path)s, true),
       set_config('statement_timeout', coalesce(%(timeout)s, current_setting('statement_timeout')), true),
       set_config('transaction_read_only', %(read_only)s, true),
       set_config('role', %(role)s, true),
       set_config('request.jwt.claims', %(claims)s, true),
       set_config('request.jwt.claim.sub', %(sub)s, true),
       set_config('request.jwt.claim.role', %(role)s, true),
       set_config('request.method', %(method)s, true),
       set_config('request.path', %(path)s, true),
       set_config('request.headers', %(headers)s, true),
       set_config('request.cookies', %(cookies)s, true)
"""
_TIMEZONE = "select set_config('timezone', name, true) from pg_timezone_names where name = %s"


@dataclass(frozen=True, slots=True)
class Session:
    caller: Caller
    method: str
    path: str
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    search_path: str
    read_only: bool
    statement_timeout: str | None = None
    timezone: str | None = None

    @asynccontextmanager
    async def begin(self, pool: Pool) -> AsyncIterator[AsyncConnection[tuple[Any, ...]]]:
        """Commits when the block ends, rolls back when it raises."""
        async with pool.connection() as connection:
            await connection.execute(_SETTINGS, self._settings())
            if self.timezone is not None:
                await connection.execute(_TIMEZONE, (self.timezone,))
            yield connection

    def _settings(self) -> dict[str, str | None]:
        return {
            "search_path": self.search_path,
            "timeout": self.statement_timeout,
            "read_only": "on" if self.read_only else "off",
            "role": self.caller.role,
            "claims": json.dumps(self.caller.claims | {"role": self.caller.role}),
            "sub": self.caller.user_id or "",
            "method": self.method,
            "path": self.path,
            "headers": json.dumps(dict(self.headers)),
            "cookies": json.dumps(dict(self.cookies)),
        }
