"""The frames that wait to be sent to one client. A client that reads too slowly is dropped."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.exceptions import WebSocketException

from embedded_supabase.realtime.serializer import Message, Serializer

TRY_LATER = 1013
"""Close code of RFC 6455 for a client that is dropped."""


class SendQueue:
    """Frames in the order in which they were queued."""

    def __init__(self, serializer: Serializer, max_bytes: int) -> None:
        self.serializer = serializer
        self.overflow: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Fails with `WebSocketException` once more than `max_bytes` wait."""
        self._max_bytes = max_bytes
        self._frames: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._bytes = 0

    def send(self, message: Message) -> None:
        self.send_frame(self.serializer.encode(message))

    def send_frame(self, frame: str | bytes | None) -> None:
        """Queue a frame. After an overflow nothing is queued: memory must not grow for a slow client."""
        if frame is None or self.overflow.done():
            return
        self._frames.put_nowait(frame)
        self._bytes += len(frame)
        if self._bytes > self._max_bytes:
            self.overflow.set_exception(WebSocketException(TRY_LATER, "too slow"))

    def reply(self, message: Message, status: str, response: dict[str, Any]) -> None:
        payload = {"status": status, "response": response}
        self.send(Message(message.topic, "phx_reply", payload, message.ref, message.join_ref))

    async def take(self) -> str | bytes:
        """Wait for the next frame. It counts as waiting until `release`."""
        return await self._frames.get()

    def release(self, frame: str | bytes) -> None:
        """The frame was sent."""
        self._bytes -= len(frame)
