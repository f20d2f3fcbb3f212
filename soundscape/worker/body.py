"""The body of a request, never more of it than is wanted."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from soundscape.errors import RequestRefused


class BodyTooLarge(RequestRefused):
    """Larger than the route takes. Nothing of it was kept."""

    code = "body_too_large"
    status = 413


async def read(request: Request, *, most_bytes: int, code: str = BodyTooLarge.code) -> bytes:
    """The whole body; raises `BodyTooLarge` as soon as it is known to be larger than `most_bytes`.

    By the declared length where there is one, and by count in any case: chunks declare none. The
    connection ends then, since nobody reads the rest.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > most_bytes):
        raise _too_large(most_bytes, code)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most_bytes:
                raise _too_large(most_bytes, code)
    except ClientDisconnect:
        return b""  # Half a body proves nothing, and nobody reads the answer.
    return bytes(body)


def _too_large(most_bytes: int, code: str) -> BodyTooLarge:
    return BodyTooLarge(
        f"At most {most_bytes} bytes are read.",
        code=code,
        remedy="Send less.",
        headers={"Connection": "close"},
    )
