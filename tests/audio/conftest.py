"""Fixtures for the audio tests."""

from __future__ import annotations

import pytest
from signals import FORMATS, encode, tone, wav


@pytest.fixture(scope="session")
def encoded() -> dict[str, bytes]:
    """Two seconds of a tone in every format."""
    files = {kind: encode(kind, tone(seconds=2, sample_rate=rate)) for kind, (_, _, rate) in FORMATS.items()}
    return {
        **files,
        "ogg": wav(tone(seconds=2, sample_rate=44_100), 44_100, subtype="VORBIS", container="OGG"),
    }
