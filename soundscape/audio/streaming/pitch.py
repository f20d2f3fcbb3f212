"""The pitch of one voice or instrument at one moment.

De Cheveigné and Kawahara, "YIN, a fundamental frequency estimator for speech and music", JASA 111(4), 2002:
steps 2 to 5. A period is where the signal differs least from itself moved by it, relative to the smaller
periods. `librosa.yin` computes the same on the same samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from soundscape.audio.compiled import FASTMATH, compiled
from soundscape.audio.spectrum import SAMPLE_RATE, Float32

MIN_HZ, MAX_HZ = 50.0, 2000.0
_MIN_PERIOD = int(SAMPLE_RATE / MAX_HZ)
_MAX_PERIOD = int(SAMPLE_RATE / MIN_HZ) + 1
_WINDOW = 1024
WINDOW_SAMPLES = _WINDOW + _MAX_PERIOD + 1
"""So many samples at 22,050 Hz a pitch is found in: 66 ms."""
_THRESHOLD = 0.15
# Hum and noise below -60 dBFS are no voice.
_MIN_MEAN_SQUARE = 1e-6


@dataclass(frozen=True)
class Pitch:
    """`frequency_hz` is None where nothing repeats. `confidence`, 0 to 1: how much of the sound repeats."""

    frequency_hz: float | None
    confidence: float


def find_pitch(y: Float32) -> Pitch:
    """Find the pitch of the end of a signal.

    Parameters
    ----------
    y
        Mono at 22,050 Hz, float32, shape (n,). Only the last `WINDOW_SAMPLES` are used; fewer have no pitch.
    """
    y = y[-WINDOW_SAMPLES:]
    if len(y) < WINDOW_SAMPLES or float(y @ y) < _MIN_MEAN_SQUARE * len(y):
        return Pitch(None, 0.0)
    period, aperiodicity = _find_period(y)
    confidence = round(min(max(1.0 - aperiodicity, 0.0), 1.0), 4)
    return Pitch(round(SAMPLE_RATE / period, 2) if period > 0 else None, confidence)


@compiled(fastmath=FASTMATH)
def _find_period(y: Float32) -> tuple[float, float]:
    """The period in samples, and what of the sound does not repeat with it; a period of 0 where none is."""
    normalized = np.ones(_MAX_PERIOD + 2, dtype=np.float32)
    total = np.float32(0.0)
    for lag in range(1, _MAX_PERIOD + 2):
        difference = np.float32(0.0)
        for i in range(_WINDOW):
            step = y[i] - y[i + lag]
            difference += step * step
        total += difference
        normalized[lag] = difference * np.float32(lag) / total if total > 0 else np.float32(1.0)
    best = 0
    smallest = np.float32(1.0)
    for lag in range(_MIN_PERIOD, _MAX_PERIOD + 1):
        smallest = min(smallest, normalized[lag])
        if normalized[lag] < _THRESHOLD and normalized[lag] <= normalized[lag + 1]:
            best = lag
            break
    if best == 0:
        return 0.0, float(smallest)
    left, middle, right = normalized[best - 1], normalized[best], normalized[best + 1]
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend > 0 else np.float32(0.0)
    return best + min(max(float(shift), -1.0), 1.0), float(middle)
