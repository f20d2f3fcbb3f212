"""Routes that people call: `caller: SignedIn` in a route's parameters lets in signed-in users only.

    @app.post("/identify")
    async def identify(caller: SignedIn, request: Request) -> …:
        body = await read(request, most_bytes=…)

The address is counted before the token is looked at, the caller after it is known. Refusals are 401, 429 and
503 (no signing key could be fetched yet), in the shape of `problems`.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from soundscape.api.keyring import Keyring
from soundscape.api.rates import Rates
from soundscape.api.tokens import Caller, NotSignedIn, Tokens
from soundscape.project.client import http_client
from soundscape.settings import Settings


class Access:
    """What it takes to know and to count callers. `SignedIn` finds it in `app.state.access`."""

    def __init__(self, settings: Settings) -> None:
        self._http = http_client()
        self.tokens = Tokens(
            Keyring(self._http, settings.supabase_url),
            issuer=settings.jwt_issuer,
            shared_secret=settings.jwt_secret,
        )
        self.rates = Rates(
            per_caller_per_minute=settings.rate_per_caller,
            per_address_per_minute=settings.rate_per_address,
        )

    async def admit(self, *, address: str | None, authorization: str | None) -> Caller:
        """The signed-in caller. Raises `NotSignedIn`, `TooManyRequests` or `RequestRefused` (503)."""
        self.rates.count_address(address)
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise NotSignedIn("This needs a signed-in user.")
        caller = await self.tokens.verify(token)
        self.rates.count_caller(caller.user_id)
        return caller

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.aclose()


async def signed_in(connection: HTTPConnection) -> Caller:
    """The dependency behind `SignedIn`, for requests and WebSockets."""
    access: Access = connection.app.state.access
    return await access.admit(
        address=connection.client.host if connection.client else None,
        authorization=connection.headers.get("authorization"),
    )


SignedIn = Annotated[Caller, Depends(signed_in)]
