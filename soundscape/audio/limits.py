"""Which recordings are accepted, apart from how they are decoded: settings hold it, and cost no numpy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What is accepted. The defaults are the product's; a deployment may set its own."""

    max_duration_s: float = 4 * 3600.0
    max_size_bytes: int = 2 << 30
    max_channels: int = 8
    min_sample_rate_hz: int = 8_000
    max_sample_rate_hz: int = 384_000
