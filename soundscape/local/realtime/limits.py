"""What one client may ask of the service, and when it is told to slow down.

The figures are those of the smallest hosted plan where that is stricter than a developer would
notice, so that what works here works there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """For one connection."""

    channels: int = 100
    joins_per_s: float = 100.0
    events_per_s: float = 500.0
    """Broadcasts and presence messages sent."""
    payload_bytes: int = 256 * 1024
    frame_bytes: int = 1024 * 1024
    queue_bytes: int = 8 * 1024 * 1024
    """What may wait for a client that reads slowly before it is dropped."""
    idle_s: float = 60.0
    """Without any frame, heartbeats included, a client is gone."""


class Rate:
    """A token bucket: `per_s` on average, a second's worth at once."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._left = per_s
        self._at = time.monotonic()

    def allow(self) -> bool:
        now = time.monotonic()
        self._left = min(self._per_s, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
