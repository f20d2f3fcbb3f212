"""What every endpoint of the service shares, and who is asking it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from starlette.requests import Request

from soundscape.local.auth import users
from soundscape.local.auth.errors import AuthError
from soundscape.local.auth.limits import RateLimits
from soundscape.local.auth.mail import Mailer
from soundscape.local.auth.providers import Provider
from soundscape.local.auth.redirects import Redirects
from soundscape.local.auth.rows import Connection, Row, one
from soundscape.local.auth.settings import Settings
from soundscape.local.stack import Stack
from soundscape.local.tokens import InvalidToken

_BEARER = re.compile(r"[Bb]earer (\S+)")


@dataclass(frozen=True)
class Auth:
    """The service of one stack."""

    stack: Stack
    settings: Settings
    redirects: Redirects
    limits: RateLimits
    mailer: Mailer
    providers: dict[str, Provider]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """As `supabase_auth_admin`: commits when the block ends, rolls back when it raises."""
        async with self.stack.auth_admin.connection() as connection, connection.transaction():
            yield connection

    def claims(self, request: Request) -> dict[str, Any]:
        """The verified claims of the bearer. Raises `AuthError` 401 or 403."""
        match = _BEARER.fullmatch(request.headers.get("authorization", ""))
        if match is None:
            raise AuthError(401, "no_authorization", "This endpoint requires a valid Bearer token")
        tokens = self.stack.tokens
        try:
            known = tokens.by_key(match[1])
            return known.claims if known else tokens.verify(match[1])
        except InvalidToken as error:
            message = f"invalid JWT: unable to parse or verify signature, {error.message}"
            raise AuthError(403, "bad_jwt", message) from error

    def require_admin(self, request: Request) -> None:
        if self.claims(request).get("role") not in ("service_role", "supabase_admin"):
            raise AuthError(403, "not_admin", "User not allowed")

    async def signed_in(
        self, connection: Connection, request: Request, *, lock: bool = False
    ) -> tuple[Row, Row | None]:
        """The bearer's user and session. Raises `AuthError` when either is gone."""
        claims = self.claims(request)
        subject = claims.get("sub")
        if not subject:
            raise AuthError(403, "bad_jwt", "invalid claim: missing sub claim")
        if not _is_uuid(subject):
            raise AuthError(400, "bad_jwt", "invalid claim: sub claim must be a UUID")
        user = await users.by_id(connection, subject, lock=lock)
        if user is None:
            raise AuthError(403, "user_not_found", "User from sub claim in JWT does not exist")
        session_id = claims.get("session_id")
        if not session_id:
            return user, None
        if not _is_uuid(session_id):
            raise AuthError(403, "bad_jwt", "invalid claim: session_id claim must be a UUID")
        session = await one(connection, "session_of_user", id=session_id, user_id=user["id"])
        if session is None:
            raise AuthError(403, "session_not_found", "Session from session_id claim in JWT does not exist")
        return user, session

    def address(self, request: Request) -> str:
        """The peer's address. Forwarding headers are a client's own words here: nothing sits in front."""
        return request.client.host if request.client else "127.0.0.1"


def _is_uuid(value: Any) -> bool:
    try:
        UUID(value)
    except (ValueError, AttributeError, TypeError):
        return False
    return True
