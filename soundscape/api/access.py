"""Who may call a route: signed-in users, or operators.

`caller: SignedIn` in a route's parameters lets in signed-in users only:

    @app.post("/identify")
    async def identify(caller: SignedIn, request: Request) -> …:
        body = await read_body(request, max_bytes=…)

`caller: Anyone` lets in strangers too, as None.

The address is counted before the token is read, the caller after the token is verified. Refusals are 401, 429
and 503 (no signing key could be fetched yet), in the form of `soundscape.api.errors`.
"""

from __future__ import annotations

import hmac
import ipaddress
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection, Request

from soundscape.api.keyring import Keyring
from soundscape.api.rates import Rates
from soundscape.api.tokens import Caller, NotSignedIn, Tokens
from soundscape.errors import RequestRefused
from soundscape.project.client import http_client
from soundscape.settings import Settings

FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Access:
    """Verifies tokens and counts requests. `SignedIn` finds it in `app.state.access`."""

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
        """Verify the token and count the request.

        Raises
        ------
        NotSignedIn
            If there is no valid token.
        TooManyRequests
            If the address or the caller is over its rate.
        RequestRefused
            With status 503, if no signing key could be fetched yet.
        """
        self.rates.count_address(address)
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise NotSignedIn("This route is for signed-in users.")
        return await self.admit_token(token)

    async def admit_token(self, token: str) -> Caller:
        """Verify a token from an address that was counted already. Raises what `admit` raises."""
        caller = await self.tokens.verify(token)
        self.rates.count_caller(caller.user_id)
        return caller

    async def close(self) -> None:
        """Close connections."""
        await self._http.aclose()


class OperatorAccess:
    """Who may see what operators see: holders of the token, or this machine.

    Parameters
    ----------
    token
        `SOUNDSCAPE_METRICS_TOKEN`; None if there is none.
    """

    def __init__(self, token: str | None) -> None:
        self._token = None if token is None else token.encode()

    def is_operator(self, request: Request) -> bool:
        """Whether the request carries the token or comes from a program on this machine."""
        return self._has_token(request) or is_local(request)

    def admit(self, request: Request) -> None:
        """Let only operators read the metrics. With a token set, this machine needs it too.

        Raises
        ------
        RequestRefused
            With status 401 or 403.
        """
        if self._token is not None:
            if not self._has_token(request):
                raise RequestRefused(
                    "The metrics need a token.",
                    status=401,
                    code="metrics_token_wrong",
                    remedy="Send Authorization: Bearer with SOUNDSCAPE_METRICS_TOKEN.",
                    headers={"WWW-Authenticate": "Bearer"},
                )
        elif not is_local(request):
            raise RequestRefused(
                "Without a token, only programs on this machine may read the metrics.",
                status=403,
                code="metrics_not_for_you",
                remedy="Set SOUNDSCAPE_METRICS_TOKEN and send it.",
            )

    def _has_token(self, request: Request) -> bool:
        if self._token is None:
            return False
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = token.strip().encode("latin-1", "replace")
        return scheme.lower() == "bearer" and hmac.compare_digest(given, self._token)


def is_local(request: Request) -> bool:
    """Whether a program on this machine sent the request: no proxy, and no page of another site.

    A web page in a browser on this machine reaches the loopback address too. The browser then sends `Origin`
    or `Sec-Fetch-Site` (https://www.w3.org/TR/fetch-metadata/), or a `Host` of another name (DNS rebinding).
    """
    headers = request.headers
    if request.client is None or any(name in headers for name in FORWARDING_HEADERS):
        return False
    if "origin" in headers or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return False
    try:
        if not ipaddress.ip_address(request.client.host).is_loopback:
            return False
    except ValueError:
        return False
    host = headers.get("host", "")
    name = host[: host.rfind(":")] if host.rpartition(":")[2].isdecimal() else host
    return name.lower() in LOOPBACK_NAMES


async def admit_caller(connection: HTTPConnection) -> Caller:
    """The dependency behind `SignedIn`, for requests and WebSockets."""
    access: Access = connection.app.state.access
    return await access.admit(
        address=connection.client.host if connection.client else None,
        authorization=connection.headers.get("authorization"),
    )


async def admit_anyone(connection: HTTPConnection) -> Caller | None:
    """The dependency behind `Anyone`. A token that is sent must be valid."""
    access: Access = connection.app.state.access
    address = connection.client.host if connection.client else None
    authorization = connection.headers.get("authorization")
    if authorization is None:
        access.rates.count_address(address)
        return None
    return await access.admit(address=address, authorization=authorization)


SignedIn = Annotated[Caller, Depends(admit_caller)]
Anyone = Annotated[Caller | None, Depends(admit_anyone)]
