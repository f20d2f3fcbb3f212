"""Loudness as broadcasting measures it: ITU-R BS.1770-4, EBU R 128, EBU Tech 3341 and 3342.

Public surface::

    meter = LoudnessMeter(sample_rate=44_100, channels=2, layout="stereo")
    for block in blocks:                      # float32, shape (channels, n), any n >= 0
        meter.push(block)
    meter.result()                            # Loudness(integrated_lufs=-14.2, range_lu=6.1, ...)
    meter.short_term_lufs()                   # ten values a second, for drawing

What is stored is one number for every 100 ms (exact energies rather than a histogram: six hours are 1.7
MB), plus the last three seconds in steps of 10 ms for the maxima. Results do not depend on how the signal
is cut into blocks, to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from soundscape.audio.compiled import FASTMATH, compiled
from soundscape.audio.loudness.k_weighting import SEGMENTS_PER_SECOND, WeightedEnergy
from soundscape.audio.loudness.true_peak import TruePeakMeter
from soundscape.audio.measurements import Loudness

ABSOLUTE_GATE_LUFS = -70.0
RANGE_LU = 60.0
INTEGRATED_RELATIVE_GATE_LU = -10.0
RANGE_RELATIVE_GATE_LU = -20.0
RANGE_PERCENTILES = (10, 95)

_OFFSET_LU = -0.691
_MOMENTARY_SEGMENTS = 40
_SHORT_TERM_SEGMENTS = 300
# Gating blocks overlap by 75 % of 400 ms; Tech 3342 wants windows of 3 s at least every 100 ms.
_STEP_SEGMENTS = 10


# Reassociation lets a window's sum be vectorised, in the same order for every window.
@compiled(fastmath=FASTMATH)
def _greatest_sum(energies: NDArray[np.float64], length: int) -> float:
    # Each window is summed afresh: a running sum would depend on where the signal was cut.
    greatest = 0.0
    for first in range(energies.size - length + 1):
        total = 0.0
        for k in range(first, first + length):
            total += energies[k]
        greatest = max(greatest, total)
    return greatest


def _lufs(mean_square: float) -> float | None:
    return _OFFSET_LU + 10 * math.log10(mean_square) if mean_square > 0 else None


def _mean_square_at(lufs: float) -> float:
    return float(10 ** ((lufs - _OFFSET_LU) / 10))


def _gate(mean_squares: NDArray[np.float64], relative_gate_lu: float, floor: float) -> NDArray[np.float64]:
    """What is not softer than `floor`, and louder than the mean of that, moved by the relative gate."""
    audible = mean_squares[mean_squares >= floor]
    if not audible.size:
        return audible
    loud: NDArray[np.float64] = audible[audible >= audible.mean() * 10 ** (relative_gate_lu / 10)]
    return loud


class LoudnessMeter:
    """Streaming meter; see the module for its use.

    Parameters
    ----------
    sample_rate
        Hz, at least 4000.
    channels
        Rows of the blocks pushed.
    layout
        FFmpeg's layout name or the channels' names in order; see `k_weighting.channel_weights`.
        Mono counts as one channel (not as the same sound from two speakers), as in BS.1770.

    Raises
    ------
    PolicyRefusal
        The sample rate is too low for the filter.
    ValueError
        The layout does not have that many channels.
    """

    def __init__(self, *, sample_rate: int, channels: int, layout: str | Sequence[str] | None = None) -> None:
        self._sample_rate = sample_rate
        self._energy = WeightedEnergy(sample_rate=sample_rate, channels=channels, layout=layout)
        self._peak = TruePeakMeter(sample_rate=sample_rate, channels=channels)
        self._recent = np.empty(0)
        self._unsummed = np.empty(0)
        self._steps: list[NDArray[np.float64]] = []
        self._max_momentary = 0.0
        self._max_short_term = 0.0

    def push(self, block: NDArray[np.float32]) -> None:
        """Take samples, float32, shape (channels, n), full scale 1.0, any n >= 0."""
        self._peak.push(block)
        fresh = self._energy.push(block)
        if not fresh.size:
            return
        recent = np.concatenate((self._recent[-(_SHORT_TERM_SEGMENTS - 1) :], fresh))
        # Only windows that end in a fresh segment are new.
        for_momentary = recent[-(fresh.size + _MOMENTARY_SEGMENTS - 1) :]
        self._max_momentary = max(self._max_momentary, _greatest_sum(for_momentary, _MOMENTARY_SEGMENTS))
        self._max_short_term = max(self._max_short_term, _greatest_sum(recent, _SHORT_TERM_SEGMENTS))
        self._recent = recent[-_SHORT_TERM_SEGMENTS:].copy()
        unsummed = np.concatenate((self._unsummed, fresh))
        whole = unsummed.size // _STEP_SEGMENTS * _STEP_SEGMENTS
        if whole:
            self._steps.append(unsummed[:whole].reshape(-1, _STEP_SEGMENTS).sum(axis=1))
        self._unsummed = unsummed[whole:].copy()

    def momentary_lufs(self) -> NDArray[np.float64]:
        """Loudness of 400 ms, ten values a second from 0.4 s on; -inf for silence."""
        return self._series_lufs(_MOMENTARY_SEGMENTS)

    def short_term_lufs(self) -> NDArray[np.float64]:
        """Loudness of 3 s, ten values a second from 3 s on; -inf for silence."""
        return self._series_lufs(_SHORT_TERM_SEGMENTS)

    def latest_momentary_lufs(self) -> float | None:
        """Loudness of the latest 400 ms, in steps of 10 ms; None for silence, and before there are 400 ms."""
        return self._latest_lufs(_MOMENTARY_SEGMENTS)

    def latest_short_term_lufs(self) -> float | None:
        """Loudness of the latest 3 s, in steps of 10 ms; None for silence, and before there are 3 s."""
        return self._latest_lufs(_SHORT_TERM_SEGMENTS)

    def result(self, *, relative: bool = False) -> Loudness:
        """The readings so far. More may be pushed afterwards.

        Parameters
        ----------
        relative
            Leave out what lies 60 LU below the loudest 400 ms, in place of what lies below -70 LUFS. Range
            and distance to the peak are then the same at any level.
        """
        floor = _mean_square_at(ABSOLUTE_GATE_LUFS)
        if relative:
            loudest = self._max_momentary / self._samples(_MOMENTARY_SEGMENTS)
            floor = max(loudest * 10 ** (-RANGE_LU / 10), 1e-20)
        blocks = _gate(self._mean_squares(_MOMENTARY_SEGMENTS), INTEGRATED_RELATIVE_GATE_LU, floor)
        windows = _gate(self._mean_squares(_SHORT_TERM_SEGMENTS), RANGE_RELATIVE_GATE_LU, floor)
        peak = self._peak.result()
        return Loudness(
            integrated_lufs=_lufs(float(blocks.mean())) if blocks.size else None,
            range_lu=_range_lu(windows) if windows.size else None,
            true_peak_dbtp=peak.true_peak_dbtp,
            sample_peak_dbfs=peak.sample_peak_dbfs,
            max_momentary_lufs=_lufs(self._max_momentary / self._samples(_MOMENTARY_SEGMENTS)),
            max_short_term_lufs=_lufs(self._max_short_term / self._samples(_SHORT_TERM_SEGMENTS)),
        )

    def _latest_lufs(self, segments: int) -> float | None:
        if self._recent.size < segments:
            return None
        return _lufs(float(self._recent[-segments:].sum()) / self._samples(segments))

    def _samples(self, segments: int) -> float:
        return segments * self._sample_rate / SEGMENTS_PER_SECOND

    def _mean_squares(self, segments: int) -> NDArray[np.float64]:
        """Mean square of each window of so many segments, every 100 ms, shape (windows,)."""
        steps = np.concatenate(self._steps) if self._steps else np.empty(0)
        length = segments // _STEP_SEGMENTS
        if steps.size < length:
            return np.empty(0)
        windows = np.lib.stride_tricks.sliding_window_view(steps, length)
        sums: NDArray[np.float64] = windows.sum(axis=1)
        return sums / self._samples(segments)

    def _series_lufs(self, segments: int) -> NDArray[np.float64]:
        with np.errstate(divide="ignore"):
            series: NDArray[np.float64] = _OFFSET_LU + 10 * np.log10(self._mean_squares(segments))
        return series


def _range_lu(mean_squares: NDArray[np.float64]) -> float:
    """Spread between two percentiles; each is the nearest of the values measured (Tech 3342, annex)."""
    ordered = np.sort(mean_squares)
    low, high = (ordered[int((ordered.size - 1) * p / 100 + 0.5)] for p in RANGE_PERCENTILES)
    return float(10 * np.log10(high / low))
