"""`POST /api/token`: an access token for an API key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from pydantic import BaseModel
from starlette.requests import Request

from soundscape.api.rates import Rates
from soundscape.errors import ProjectUnreachable
from soundscape.project.client import connect
from soundscape.project.key_sessions import KEY, KeyRefused, KeySessions
from soundscape.settings import Settings


class Token(BaseModel):
    """The response, in the names of RFC 6749, section 5.1."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the name of the kind
    expires_in: int
    expires_at: int
    scope: Literal["read", "upload", "all"]
    user_id: str


class KeyTokens:
    """Exchanges API keys, and counts who asks.

    Parameters
    ----------
    settings
        The project.
    rates
        Counts addresses and keys. The database counts keys too, for all workers together.
    """

    def __init__(self, settings: Settings, rates: Rates) -> None:
        self._settings = settings
        self._rates = rates
        self._sessions: KeySessions | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Hold a connection to the project while the block runs."""
        url, secret_key = self._settings.supabase_url, self._settings.secret_key
        async with connect(url, secret_key) as (client, http):
            self._sessions = KeySessions(client, http, url=url, secret_key=secret_key)
            try:
                yield
            finally:
                self._sessions = None

    async def exchange(self, request: Request) -> Token:
        """Exchange the key that a request bears.

        Raises
        ------
        KeyRefused
            If there is no key, or it gives no session.
        TooManyRequests
            If the address or the key is over its rate.
        ProjectError
            If the project does not answer as it should.
        """
        address = request.client.host if request.client else None
        self._rates.count_key_address(address)
        scheme, _, api_key = request.headers.get("authorization", "").partition(" ")
        api_key = api_key.strip()
        if scheme.lower() != "bearer" or KEY.fullmatch(api_key) is None:
            raise KeyRefused(
                "There is no API key in the request.",
                code="api_key_missing",
                remedy="Send Authorization: Bearer soundscape_….",
                headers={"WWW-Authenticate": "Bearer"},
            )
        self._rates.count_key(api_key)
        if self._sessions is None:
            raise ProjectUnreachable("The worker is starting or stopping.", remedy="Try again.")
        session = await self._sessions.open(api_key, address=address)
        return Token(
            access_token=session.access_token,
            expires_in=session.expires_in_s,
            expires_at=session.expires_at_s,
            scope=session.scope,  # type: ignore[arg-type]
            user_id=session.user_id,
        )
