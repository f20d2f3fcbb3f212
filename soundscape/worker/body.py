"""The body of a request, never more of it than is wanted, and never for longer."""

from __future__ import annotations

import asyncio

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
    request: Request, *, most_bytes: int, within_s: float = 10.0, code: str = BodyTooLarge.code
) -> bytes:
    """The whole body; raises `BodyTooLarge` as soon as it is known to be larger than `most_bytes`.

    By the declared length where there is one, and by count in any case: chunks declare none. Raises
    `BodyTooSlow` when it is not whole after `within_s`. Either way the connection ends, since nobody reads
    the rest.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > most_bytes):
        raise _too_large(most_bytes, code)
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            more = True
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    return b""  # Half a body proves nothing, and nobody reads the answer.
                body += message.get("body", b"")
                if len(body) > most_bytes:
                    raise _too_large(most_bytes, code)
                more = message.get("more_body", False)
    except TimeoutError:
        raise BodyTooSlow(
            f"The body was not whole after {within_s:g} s.",
            remedy="Send it at once.",
            headers={"Connection": "close"},
        ) from None
    return bytes(body)


def _too_large(most_bytes: int, code: str) -> BodyTooLarge:
    return BodyTooLarge(
        f"At most {most_bytes} bytes are read.",
        code=code,
        remedy="Send less.",
        headers={"Connection": "close"},
    )
