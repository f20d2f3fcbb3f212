"""What one client may ask of the service.

The figures are those of the smallest hosted plan where that is stricter than a developer would
notice, so that what works here works there.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """For one connection."""

    channels: int = 100
    payload_bytes: int = 256 * 1024
    frame_bytes: int = 1024 * 1024
    queue_bytes: int = 8 * 1024 * 1024
    """What may wait for a client that reads slowly before it is dropped."""
    idle_s: float = 60.0
    """Without any frame, heartbeats included, a client is gone."""
