"""Sound that waits to be heard: two seconds at most, then whoever brings more has to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Inbox:
    """A bounded pipe of bytes.

    Parameters
    ----------
    max_bytes
        How much may wait. A single piece may go beyond it if nothing else waits.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._room = asyncio.Event()
        self._room.set()
        self._changed = asyncio.Event()
        self._closed = False
        self.received_bytes = 0

    @property
    def waiting_bytes(self) -> int:
        """How much waits now."""
        return self._waiting_bytes

    @property
    def is_closed(self) -> bool:
        """Whether nothing more comes."""
        return self._closed

    async def put(self, piece: bytes, *, is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Add a piece, and wait for room first. It is dropped after `close`, or if unwanted by then."""
        while self._waiting_bytes and self._waiting_bytes + len(piece) > self._max_bytes and not self._closed:
            self._room.clear()
            await self._room.wait()
        if self._closed or not piece or not is_wanted():
            return
        self._pieces.append(piece)
        self._waiting_bytes += len(piece)
        self.received_bytes += len(piece)
        self._changed.set()

    def close(self) -> None:
        """Take nothing more. What waits is still heard."""
        self._closed = True
        self._room.set()
        self._changed.set()

    async def wait(self) -> None:
        """Wait until something waits, or nothing more comes."""
        while not self._waiting_bytes and not self._closed:
            self._changed.clear()
            await self._changed.wait()

    def take(self) -> bytes:
        """Take everything that waits."""
        taken = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces, self._waiting_bytes = [], 0
        self._room.set()
        return taken
