"""PartialMeter: the spectral peaks that belong to tones, told from noise and glides, gathered by their pitch.

A peak counts if it stands out from the bins around it and was there, at the same pitch, 93 ms before, in a
window that shares no sample with this one. Noise has peaks, but not again at the same place; a gliding
voice moves on.

Pitches are gathered in steps of 10 cents. The tuning of a recording is known only at its end, so semitones
cannot be folded while streaming; 10 cents leave an error of at most 5 when they are, against the 50 that
separate two semitones, and finer steps would be finer than the peaks are measured (3 cents on detuned
chords).

Public surface: `PartialMeter(sample_rate=..., n_fft=...)`, `.push(S)`, `.result() -> PartialsSummary`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soundscape.audio.compiled import FASTMATH, compiled

STEP_CENTS = 10
MIN_CENTS = -6000  # relative to A4 = 440 Hz: 13.75 Hz
_STEPS = 1100

BAND_HZ = (100.0, 3500.0)
_NEIGHBOURS = 10
_PROMINENCE = 3.0
_LAG_FRAMES = 4
_STEADY_SHARE = 2 ** (30 / 1200) - 1  # 30 cents
_STEADY_BINS = 0.4
# A peak of a sine at -80 dBFS; the magnitude of a full-scale sine is a quarter of n_fft.
_FLOOR = 1e-4


@dataclass(frozen=True)
class PartialsSummary:
    """What was gathered.

    Attributes
    ----------
    weights
        By pitch, shape (1100,); step i is the pitch `MIN_CENTS + i * STEP_CENTS` above A4 = 440
        Hz. A partial weighs the root of its magnitude, so that loud passages and low notes do not speak
        for all.
    steady_share
        Weight of what counted, of all peaks.
    offset
        Mean of exp(2 pi i cents / 100), weighted: its angle is the tuning, its length (0 to 1) says
        how much of the weight keeps to one grid of semitones.
    frames
        How many frames there were.
    """

    weights: NDArray[np.float64]
    steady_share: float
    offset: complex
    frames: int


@compiled()
def _mark(s: NDArray[np.float32], first: int, floor: np.float32, is_peak: NDArray[np.uint8]) -> None:
    """Mark the local maxima of a frame, as a loop without branches, which becomes vector instructions."""
    for i in range(is_peak.size):
        m = s[first + i]
        is_peak[i] = np.uint8(m > floor) & np.uint8(m > s[first + i - 1]) & np.uint8(m >= s[first + i + 1])


@compiled(fastmath=FASTMATH)
def _gather(
    S: NDArray[np.float32],
    first: int,
    last: int,
    bin_hz: float,
    floor: np.float32,
    earlier: NDArray[np.float64],
    frame: int,
    weights: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> None:
    rows = earlier.shape[0]
    width = np.float32(2 * _NEIGHBOURS + 1)
    is_peak = np.empty(last - first, np.uint8)
    for t in range(S.shape[0]):
        now = earlier[(frame + t) % rows]
        before = earlier[(frame + t + 1) % rows]
        now[:] = np.nan
        s = S[t]
        _mark(s, first, floor, is_peak)
        for i in range(is_peak.size):
            if not is_peak[i]:
                continue
            k = first + i
            m = s[k]
            weight = np.sqrt(m)
            sums[1] += weight
            around = np.float32(0.0)
            for near in range(2 * _NEIGHBOURS + 1):
                around += s[k - _NEIGHBOURS + near]
            if m * width <= np.float32(_PROMINENCE) * around:
                continue
            # A sinusoid under a Hann window lies this far towards the larger neighbour, exactly.
            left, right = s[k - 1], s[k + 1]
            ratio = max(left, right) / m
            offset_bins = (2 * ratio - 1) / (1 + ratio)
            frequency_hz = (k + (offset_bins if right > left else -offset_bins)) * bin_hz
            now[k] = frequency_hz
            near_hz = min(_STEADY_SHARE * frequency_hz, _STEADY_BINS * bin_hz)
            if not (
                abs(before[k - 1] - frequency_hz) < near_hz
                or abs(before[k] - frequency_hz) < near_hz
                or abs(before[k + 1] - frequency_hz) < near_hz
            ):
                continue
            step = (1200 * np.log2(frequency_hz / 440.0) - MIN_CENTS) / STEP_CENTS
            below = int(np.floor(step))
            weights[below] += weight * (below + 1 - step)
            weights[below + 1] += weight * (step - below)
            sums[0] += weight


class PartialMeter:
    """Streaming gatherer; a fixed 30 KB whatever the length.

    Parameters
    ----------
    sample_rate
        Of the signal the spectrum was made of, Hz.
    n_fft
        Length of its window; hop n_fft / 4.
    """

    def __init__(self, *, sample_rate: int, n_fft: int) -> None:
        self._bin_hz = sample_rate / n_fft
        self._first = max(_NEIGHBOURS + 1, int(BAND_HZ[0] / self._bin_hz))
        self._last = min(n_fft // 2 - _NEIGHBOURS, int(BAND_HZ[1] / self._bin_hz))
        self._floor = np.float32(_FLOOR * n_fft / 4)
        self._earlier = np.full((_LAG_FRAMES + 1, self._last + 1), np.nan)
        self._weights = np.zeros(_STEPS)
        self._sums = np.zeros(2)
        self._frame = 0

    def push(self, S: NDArray[np.float32]) -> None:
        """Take magnitude frames in order, shape (frames, n_fft / 2 + 1)."""
        _gather(
            S,
            self._first,
            self._last,
            self._bin_hz,
            self._floor,
            self._earlier,
            self._frame,
            self._weights,
            self._sums,
        )
        self._frame += S.shape[0]

    def result(self) -> PartialsSummary:
        """What was gathered so far."""
        steady, everything = self._sums
        cents = MIN_CENTS + STEP_CENTS * np.arange(_STEPS)
        offset = complex(np.sum(self._weights * np.exp(2j * np.pi * cents / 100)))
        return PartialsSummary(
            weights=self._weights.copy(),
            steady_share=float(steady / everything) if everything else 0.0,
            offset=offset / float(steady) if steady else 0j,
            frames=self._frame,
        )
