"""Where the work of sessions is done: threads, beside the event loop, but for what is over at once.

A reading of 50 ms of stereo takes a third of a millisecond. In a thread it costs twice the processor: each
compiled function leaves the interpreter to others, and it changes hands 27 times for a reading.

The blocks of the record and long pieces have threads. Readings have their own: a block of the record takes
longer, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from soundscape.audio.decode.reader import Samples
    from soundscape.live.listening import Listening, Reading

T = TypeVar("T")


class Engine:
    """Two small pools of threads for all sessions."""

    def __init__(self) -> None:
        threads = max(1, min(4, os.cpu_count() or 1))
        self._reading = ThreadPoolExecutor(threads, thread_name_prefix="live-reading")
        self._recording = ThreadPoolExecutor(threads, thread_name_prefix="live-recording")

    async def warm_up(self) -> None:
        """Compile or load everything first: the event loop must not wait for that."""
        await self.record(_warm_up)

    async def hear(self, listening: Listening, data: bytes) -> tuple[Samples, list[Reading]]:
        """Take bytes of a session; return them as samples, and what can be read now."""
        if listening.is_quick(data):
            return listening.hear(data)
        return await self.read(listening.hear, data)

    async def read(self, work: Callable[..., T], *arguments: object) -> T:
        """Run what somebody waits for."""
        return await asyncio.get_running_loop().run_in_executor(self._reading, work, *arguments)

    async def record(self, work: Callable[..., T], *arguments: object) -> T:
        """Run what may take its time."""
        return await asyncio.get_running_loop().run_in_executor(self._recording, work, *arguments)

    def close(self) -> None:
        """End the threads when what they do is done."""
        self._reading.shutdown(wait=False, cancel_futures=True)
        self._recording.shutdown(wait=False, cancel_futures=True)


def _warm_up() -> None:
    # Here, in a thread: it imports the meters, too.
    from soundscape.audio.streaming.warm_up import warm_up

    warm_up()
