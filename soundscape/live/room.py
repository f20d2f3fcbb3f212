"""How much a session may write: what the project takes, and what the worker's disk has room for."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from soundscape.live.endings import NO_ROOM, RECORDING_FULL, SessionEnded

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
"""A second of sound is small beside what a worker keeps free."""


class Room:
    """The room for one sound.

    Parameters
    ----------
    max_bytes
        How large it may become. None: as large as the disk allows.
    find_problem
        Says why nothing more may be written to the disk; None if it may.
    """

    def __init__(self, max_bytes: int | None, find_problem: Callable[[], str | None]) -> None:
        self._max_bytes = max_bytes
        self._find_problem = find_problem
        self._looked_at_s = -LOOK_EVERY_S

    def require(self, size_bytes: int) -> None:
        """Raise `SessionEnded` (`recording_full`, `no_room`) if the sound may not become so large."""
        if self._max_bytes is not None and size_bytes > self._max_bytes:
            raise SessionEnded(
                RECORDING_FULL.saying(f"The recording is as large as it may be: {self._max_bytes:,} bytes.")
            )
        now_s = time.monotonic()
        if now_s - self._looked_at_s < LOOK_EVERY_S:
            return
        problem = self._find_problem()
        if problem is not None:
            log.warning("a live session found no room", problem=problem)
            raise SessionEnded(NO_ROOM)
        self._looked_at_s = now_s
