"""One request: its caller, its body, and the transaction around it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.types.json import Jsonb
from starlette.requests import Request
from starlette.responses import Response

from embedded_supabase.auth.body import Body
from embedded_supabase.auth.errors import AuthError, invalid
from embedded_supabase.auth.limits import RateLimits
from embedded_supabase.auth.providers import Provider
from embedded_supabase.auth.redirects import Redirects
from embedded_supabase.auth.settings import Settings
from embedded_supabase.database import Queries
from embedded_supabase.embedded import EmbeddedSupabase
from embedded_supabase.tokens import InvalidToken

Row = dict[str, Any]
QUERIES = Queries(Path(__file__).with_name("queries.sql"))
# The error codes of violated constraints, and the messages of failed statements.
TAKEN = {
    "users_email_partial_key": "email_exists",
    "users_pkey": "user_already_exists",
    "identities_provider_id_provider_unique": "identity_already_exists",
}
FAILED = {"insert_user": "Database error saving new user", "delete_user": "Database error deleting user"}
_BEARER = re.compile(r"[Bb]earer (\S+)")


@dataclass(frozen=True)
class Auth:
    """What every request of the service needs."""

    embedded: EmbeddedSupabase
    settings: Settings
    redirects: Redirects
    limits: RateLimits
    providers: dict[str, Provider]

    def read_claims(self, request: Request) -> dict[str, Any]:
        """Verify the bearer token and return its claims. Raises `AuthError` 401 or 403."""
        match = _BEARER.fullmatch(request.headers.get("authorization", ""))
        if match is None:
            raise AuthError("no_authorization")
        tokens = self.embedded.tokens
        try:
            known = tokens.find_by_key(match[1])
            return known.claims if known else tokens.verify(match[1])
        except InvalidToken as error:
            message = f"invalid JWT: unable to parse or verify signature, {error.message}"
            raise AuthError("bad_jwt", message) from error


@dataclass(frozen=True)
class Call:
    """A request in a transaction of `supabase_auth_admin`."""

    auth: Auth
    request: Request
    body: Body
    connection: AsyncConnection[Any]

    @property
    def settings(self) -> Settings:
        return self.auth.settings

    @property
    def address(self) -> str:
        """The peer's address. Forwarding headers are ignored: there is no proxy in front."""
        return self.request.client.host if self.request.client else "127.0.0.1"

    def consume(self, limit: str) -> None:
        """Count one use of a rate limit. Raises `AuthError` 429."""
        self.auth.limits.consume(limit, self.address)

    def read_query(self, name: str) -> str:
        """A query parameter, or ''. Raises `AuthError` for NUL, which Postgres cannot store."""
        value = self.request.query_params.get(name, "")
        if "\x00" in value:
            raise invalid(f"Invalid value for {name}")
        return value

    def choose_target(self) -> str:
        """Choose where the browser goes afterwards."""
        return self.auth.redirects.choose_target(self.request, self.body.redirect_to)

    async def fetch_all(self, query: str | sql.Composed, **values: Any) -> list[Row]:
        """Execute a statement of `queries.sql` and return its rows. Raises `AuthError`."""
        values = {name: Jsonb(value) if isinstance(value, dict) else value for name, value in values.items()}
        try:
            return await QUERIES.fetch(self.connection, query, **values)
        except psycopg.Error as error:
            if error.diag.schema_name == "auth" and error.diag.constraint_name in TAKEN:
                raise AuthError(TAKEN[error.diag.constraint_name]) from error
            raise AuthError("unexpected_failure", FAILED.get(str(query), "")) from error

    async def find(self, query: str | sql.Composed, **values: Any) -> Row | None:
        """The first row, or None."""
        found = await self.fetch_all(query, **values)
        return found[0] if found else None

    async def fetch(self, query: str | sql.Composed, **values: Any) -> Row:
        """The row of a statement that always returns one."""
        return (await self.fetch_all(query, **values))[0]

    async def find_signed_in_user(self) -> Row:
        """Lock the bearer's user; the row has the `session_id`. Raises `AuthError` when either is gone."""
        claims = self.auth.read_claims(self.request)
        if not claims.get("sub"):
            raise AuthError("bad_jwt", "invalid claim: missing sub claim")
        session = claims.get("session_id")
        try:
            ids = {"id": UUID(claims["sub"]), "session_id": UUID(session) if session else None}
        except (ValueError, AttributeError, TypeError) as error:
            raise AuthError("bad_jwt", "invalid claim: sub and session_id must be UUIDs") from error
        user = await self.find("signed_in", **ids)
        if user is None:
            raise AuthError("user_not_found", "User from sub claim in JWT does not exist", status=403)
        if session and user["session_id"] is None:
            raise AuthError("session_not_found")
        return user


Result = Response | Row | AuthError
"""What a handler returns. A row becomes JSON. An error that is returned, not raised, keeps the writes."""
Handler = Callable[[Call], Awaitable[Result]]
