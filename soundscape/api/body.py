"""Request bodies: bounded in size, time and rate, and together in memory.

A body is received before the route does anything else with the request, so that a client that sends nothing
occupies nothing but its connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from soundscape.errors import RequestRefused

MAX_RECEIVING_BYTES = 64 << 20
"""Of all bodies that are being received at one time."""
MIN_BYTES_PER_S = 4096
GRACE_S = 5.0
"""After this time a body must have arrived at the minimum rate."""


class BodyTooLarge(RequestRefused):
    """The body is larger than the route accepts. Nothing of it is kept."""

    code = "body_too_large"
    status = 413


class BodyTooSlow(RequestRefused):
    """The body did not arrive in time. Nothing of it is kept."""

    code = "body_too_slow"
    status = 408


@dataclass(eq=False)
class _Reception:
    timeout: asyncio.Timeout
    body: bytearray = field(default_factory=bytearray)
    is_evicted: bool = False


class BodyReader:
    """Reads bodies for all routes of an app.

    Parameters
    ----------
    max_receiving_bytes
        How much memory the bodies that are being received may take together. When it is used up, the body
        that has been arriving for the longest time is given up.
    """

    def __init__(self, *, max_receiving_bytes: int = MAX_RECEIVING_BYTES) -> None:
        self._max_receiving_bytes = max_receiving_bytes
        # In order of arrival.
        self._receptions: dict[_Reception, None] = {}
        self._receiving_bytes = 0

    @property
    def receiving_bytes(self) -> int:
        """How much memory the bodies that are being received take now."""
        return self._receiving_bytes

    async def read(
        self,
        request: Request,
        *,
        max_bytes: int,
        timeout_s: float = 10.0,
        code: str = BodyTooLarge.code,
        max_discarded_bytes: int = 0,
    ) -> bytes:
        """Read the whole body.

        Parameters
        ----------
        request
            Its body has not been read yet.
        max_bytes
            Size limit of the body. It holds for the declared length, and for the bytes that arrive.
        timeout_s
            Time limit for the whole body.
        code
            Error code of a body that is too large.
        max_discarded_bytes
            How much more is received of a body that is too large, without keeping it. A client that is still
            sending when the connection ends may never see the refusal.

        Raises
        ------
        BodyTooLarge
            If the body is larger than `max_bytes`.
        BodyTooSlow
            If it takes longer than `timeout_s`, falls below the minimum rate, or had to make room for others.
        """
        declared = request.headers.get("content-length", "")
        length = int(declared[:18]) if declared.isdecimal() else 0
        if length > max_bytes + max_discarded_bytes:
            raise _too_large(max_bytes, code)
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        received_bytes = 0
        reception: _Reception | None = None
        try:
            async with asyncio.timeout(min(timeout_s, GRACE_S)) as timeout:
                reception = _Reception(timeout)
                self._receptions[reception] = None
                more = True
                while more:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        return b""  # Half a body proves nothing, and nobody reads the response.
                    part = message.get("body", b"")
                    received_bytes += len(part)
                    if received_bytes > max_bytes + max_discarded_bytes:
                        raise _too_large(max_bytes, code)
                    if max(length, received_bytes) <= max_bytes:
                        self._keep(reception, part)
                    else:
                        self._discard(reception)
                    if reception.is_evicted:
                        raise TimeoutError
                    more = message.get("more_body", False)
                    due_s = min(timeout_s, GRACE_S + received_bytes / MIN_BYTES_PER_S)
                    timeout.reschedule(started_s + due_s)
                body = bytes(reception.body)
        except TimeoutError:
            raise BodyTooSlow(
                f"Request body too slow: the limits are {timeout_s:g} s and {MIN_BYTES_PER_S:,} bytes/s.",
                remedy="Send it again, without pauses.",
                headers={"Connection": "close"},
            ) from None
        finally:
            if reception is not None:
                self._discard(reception)
                self._receptions.pop(reception, None)
        if max(length, received_bytes) > max_bytes:
            raise _too_large(max_bytes, code)
        return body

    def _keep(self, reception: _Reception, part: bytes) -> None:
        reception.body += part
        self._receiving_bytes += len(part)
        while self._receiving_bytes > self._max_receiving_bytes and self._receptions:
            oldest = next(iter(self._receptions))
            del self._receptions[oldest]
            oldest.is_evicted = True
            self._discard(oldest)
            # Ends its `read` at the next turn of the loop.
            oldest.timeout.reschedule(asyncio.get_running_loop().time())

    def _discard(self, reception: _Reception) -> None:
        self._receiving_bytes -= len(reception.body)
        reception.body = bytearray()


async def read_form_file(request: Request, data: bytes) -> bytes:
    """Read the first file of a form.

    Parameters
    ----------
    request
        Its headers name the boundary.
    data
        Its body, multipart/form-data.

    Returns
    -------
    bytes
        The file; empty if there is none.

    Raises
    ------
    RequestRefused
        With code `form_invalid`, if the form cannot be read.
    """

    async def stream() -> AsyncIterator[bytes]:
        yield data

    try:
        form = await MultiPartParser(request.headers, stream(), max_files=1, max_fields=16).parse()  # type: ignore[arg-type]
    # The last two: an unknown charset, and text that is not in it.
    except (MultiPartException, LookupError, ValueError) as error:
        raise RequestRefused(
            "The form cannot be read.", code="form_invalid", remedy="Send multipart/form-data."
        ) from error
    try:
        for _, part in form.multi_items():
            if isinstance(part, UploadFile):
                return await part.read()
    finally:
        await form.close()
    return b""


def _too_large(max_bytes: int, code: str) -> BodyTooLarge:
    return BodyTooLarge(
        f"Request body too large: the limit is {max_bytes:,} bytes.",
        code=code,
        remedy="Send a smaller one.",
        headers={"Connection": "close"},
    )
