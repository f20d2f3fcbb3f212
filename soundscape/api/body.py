"""The body of a request, never more of it than is wanted, and never for longer."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.requests import Request

from soundscape.errors import RequestRefused


class BodyTooLarge(RequestRefused):
    """Larger than the route takes. Nothing of it was kept."""

    code = "body_too_large"
    status = 413


class BodyTooSlow(RequestRefused):
    """Not whole within the time the route gives. Nothing of it was kept."""

    code = "body_too_slow"
    status = 408


async def read(
    request: Request,
    *,
    most_bytes: int,
    within_s: float = 10.0,
    code: str = BodyTooLarge.code,
    thrown_away_bytes: int = 0,
) -> bytes:
    """The whole body; raises `BodyTooLarge` as soon as it is known to be larger than `most_bytes`.

    By the declared length where there is one, and by count in any case: chunks declare none. Raises
    `BodyTooSlow` when it is not whole after `within_s`. Either way the connection ends, since nobody reads
    the rest: a client that is still sending then may see that instead of the refusal. So up to
    `thrown_away_bytes` beyond are read first, and kept nowhere.
    """
    declared = request.headers.get("content-length", "")
    length = int(declared[:18]) if declared.isdecimal() else 0
    if length > most_bytes + thrown_away_bytes:
        raise _too_large(most_bytes, code)
    body = bytearray()
    received_bytes = 0
    try:
        async with asyncio.timeout(within_s):
            more = True
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    return b""  # Half a body proves nothing, and nobody reads the answer.
                part = message.get("body", b"")
                received_bytes += len(part)
                if received_bytes > most_bytes + thrown_away_bytes:
                    raise _too_large(most_bytes, code)
                if max(length, received_bytes) <= most_bytes:
                    body += part
                else:
                    body.clear()
                more = message.get("more_body", False)
    except TimeoutError:
        raise BodyTooSlow(
            f"The body was not whole after {within_s:g} s.",
            remedy="Send it at once.",
            headers={"Connection": "close"},
        ) from None
    if received_bytes > most_bytes:
        raise _too_large(most_bytes, code)
    return bytes(body)


async def throw_away(request: Request, *, most_bytes: int, within_s: float) -> None:
    """Let a client that was refused send its body to the end, or it may never read why. Nothing is kept."""
    with suppress(RequestRefused):
        await read(request, most_bytes=0, within_s=within_s, thrown_away_bytes=most_bytes)


def _too_large(most_bytes: int, code: str) -> BodyTooLarge:
    return BodyTooLarge(
        f"At most {most_bytes} bytes are read.",
        code=code,
        remedy="Send less.",
        headers={"Connection": "close"},
    )
