"""Samples on their way to the record: block by block, and only a few blocks wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from soundscape.live.engine import Engine
from soundscape.live.listening import Listening

if TYPE_CHECKING:
    from soundscape.audio.decode.reader import Samples
    from soundscape.live.listening import Reading

MAX_BLOCKS = 4
"""So many blocks may wait. Then the session stops reading."""


class RecordFeed:
    """Feeds the meters of one record.

    Parameters
    ----------
    listening
        Whose `keep` takes the samples.
    engine
        The threads for it.
    answer
        Called with what was read from the samples.
    """

    def __init__(self, listening: Listening, engine: Engine, answer: Callable[..., None]) -> None:
        self._listening = listening
        self._engine = engine
        self._answer = answer
        self._pieces: list[Samples] = []
        self._frames = 0
        self._changed = asyncio.Event()
        self._is_closed = False
        self._has_failed = False

    async def put(self, samples: Samples) -> None:
        """Add samples, and wait while enough of them wait. After a failure nothing more is kept."""
        if not samples.shape[1] or self._has_failed:
            return
        self._pieces.append(samples)
        self._frames += samples.shape[1]
        self._changed.set()
        while self._frames > MAX_BLOCKS * self._listening.keep_frames:
            self._changed.clear()
            await self._changed.wait()

    def close(self) -> None:
        """Say that nothing more comes. What waits is still taken."""
        self._is_closed = True
        self._changed.set()

    async def run(self) -> None:
        """Feed until the end. Raises what the meters raise."""
        try:
            while not self._is_closed or self._frames:
                if self._frames >= (1 if self._is_closed else self._listening.keep_frames):
                    self._answer(*await self._take())
                    self._changed.set()
                else:
                    self._changed.clear()
                    await self._changed.wait()
        except BaseException:
            self._has_failed = True
            # Whoever waits for room goes on.
            self._pieces, self._frames = [], 0
            self._changed.set()
            raise

    async def _take(self) -> list[Reading]:
        # A function of its own: the pieces are not held while it waits for more.
        pieces, self._pieces, self._frames = self._pieces, [], 0
        return await self._engine.record(self._listening.keep, pieces)
