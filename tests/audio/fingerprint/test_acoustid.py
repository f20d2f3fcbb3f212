"""AcoustID where libchromaprint is; its absence said plainly where it is not."""

from __future__ import annotations

import numpy as np
import pytest

from soundscape.audio.fingerprint import AcoustIdMeter
from soundscape.audio.fingerprint.acoustid import LENGTH_S, library

from .sounds import SAMPLE_RATE, melody

needs_library = pytest.mark.skipif(library() is None, reason="libchromaprint is not installed")


def made(y: np.ndarray, *, block: int = 4096) -> str | None:
    meter = AcoustIdMeter(sample_rate=SAMPLE_RATE, channels=1)
    for first in range(0, y.size, block):
        meter.push(y[None, first : first + block])
    return meter.result().fingerprint


def test_without_the_library_it_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundscape.audio.fingerprint.acoustid.library", lambda: None)
    meter = AcoustIdMeter(sample_rate=44_100, channels=2)
    meter.push(np.zeros((2, 1000), np.float32))
    found = meter.result()
    assert (found.fingerprint, found.library) == (None, None)


@needs_library
def test_the_string_does_not_depend_on_blocks() -> None:
    text = made(melody(0))
    assert text is not None
    assert text.startswith("AQAA")
    assert made(melody(0), block=1237) == text
    assert made(melody(1)) != text


@needs_library
def test_only_the_first_two_minutes_count() -> None:
    y = melody(0, LENGTH_S + 20.0)
    assert made(y) == made(y[: LENGTH_S * SAMPLE_RATE])


@needs_library
def test_too_short_has_none() -> None:
    assert made(melody(0)[:1000]) is None
