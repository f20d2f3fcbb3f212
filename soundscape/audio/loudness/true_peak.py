"""True peak: the highest level the reconstructed waveform reaches between the samples.

ITU-R BS.1770-4 annex 2: oversample, take the largest magnitude. The interpolator is the one of libebur128
(49 taps for four times oversampling, 25 for twice: a sinc under a Hann window), so readings agree with it.
As there, the factor follows the sample rate: 4 below 96 kHz, 2 below 192 kHz, 1 from there on.

Public surface: `TruePeakMeter(*, sample_rate, channels)`, `.push(block)`, `.result() -> Peak`,
`oversampling_factor`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soundscape.audio.compiled import compiled

_TAPS_PER_PHASE = 12
# The interpolator looks at 12 samples, so 11 of them come from before.
_MEMORY = _TAPS_PER_PHASE - 1
_CHUNK = 128


@dataclass(frozen=True)
class Peak:
    """The highest levels met, `None` for digital silence.

    Attributes
    ----------
    true_peak_dbtp
        Of the oversampled waveform, dB relative to full scale. Never below the sample peak.
    sample_peak_dbfs
        Of the samples themselves.
    """

    true_peak_dbtp: float | None
    sample_peak_dbfs: float | None


def oversampling_factor(sample_rate: int) -> int:
    """How many points BS.1770-4 annex 2 wants for each sample, so that about 192 kHz are looked at."""
    if sample_rate < 96_000:
        return 4
    return 2 if sample_rate < 192_000 else 1


def interpolation_phases(factor: int) -> NDArray[np.float32]:
    """The interpolator between samples, shape (factor - 1, 12).

    Row p weighs twelve consecutive samples so that their sum is the waveform (p + 1) / factor of the way
    from the sixth to the seventh. The phase that falls on a sample is the sample itself and has no row.
    """
    half = factor * _TAPS_PER_PHASE // 2
    offset = np.arange(-half, half + 1)
    prototype = np.sinc(offset / factor) * 0.5 * (1 + np.cos(np.pi * offset / half))
    rows = np.empty((factor - 1, _TAPS_PER_PHASE))
    for p in range(1, factor):
        position = (np.arange(_TAPS_PER_PHASE) - (_TAPS_PER_PHASE // 2 - 1)) * factor - p
        rows[p - 1] = prototype[position + half]
    return rows.astype(np.float32)


@compiled()
def _largest(bits: NDArray[np.int32]) -> np.int32:
    # The bits of magnitudes order as integers do, and an integer maximum vectorises where a float one does
    # not.
    largest = np.int32(0)
    for i in range(bits.size):
        largest = max(largest, bits[i] & np.int32(0x7FFFFFFF))
    return largest


@compiled()
def _copy(source: NDArray[np.float32], target: NDArray[np.float32], begin: int, n: int) -> None:
    # numba takes three seconds to compile an assignment of slices.
    for i in range(n):
        target[begin + i] = source[i]


@compiled()
def _interpolate(
    window: NDArray[np.float32], h: NDArray[np.float32], out: NDArray[np.float32], n: int
) -> None:
    h0, h1, h2, h3, h4, h5 = h[0], h[1], h[2], h[3], h[4], h[5]
    h6, h7, h8, h9, h10, h11 = h[6], h[7], h[8], h[9], h[10], h[11]
    for i in range(n):
        out[i] = (
            (h0 * window[i] + h1 * window[i + 1] + h2 * window[i + 2])
            + (h3 * window[i + 3] + h4 * window[i + 4] + h5 * window[i + 5])
            + (h6 * window[i + 6] + h7 * window[i + 7] + h8 * window[i + 8])
            + (h9 * window[i + 9] + h10 * window[i + 10] + h11 * window[i + 11])
        )


@compiled()
def _peaks(
    block: NDArray[np.float32],
    memory: NDArray[np.float32],
    phases: NDArray[np.float32],
    gain_bound: float,
    peaks: NDArray[np.float32],
) -> None:
    channels, n = block.shape
    window = np.zeros(_CHUNK + _MEMORY, dtype=np.float32)
    window_bits = window.view(np.int32)
    between = np.zeros(_CHUNK, dtype=np.float32)
    between_bits = between.view(np.int32)
    # peaks holds [true peak, sample peak]; both only ever grow.
    peak_bits = peaks.view(np.int32)
    for c in range(channels):
        _copy(memory[c], window, 0, _MEMORY)
        start = 0
        while start < n:
            length = min(_CHUNK, n - start)
            _copy(block[c, start:], window, _MEMORY, length)
            peak_bits[1] = max(peak_bits[1], _largest(window_bits[_MEMORY : _MEMORY + length]))
            peak_bits[0] = max(peak_bits[0], peak_bits[1])
            reach_bits = np.empty(1, dtype=np.float32)
            reach_bits.view(np.int32)[0] = _largest(window_bits[: _MEMORY + length])
            # No point between these samples can exceed their largest magnitude by more than the taps sum to.
            if reach_bits[0] * gain_bound > peaks[0]:
                for p in range(phases.shape[0]):
                    _interpolate(window, phases[p], between, length)
                    peak_bits[0] = max(peak_bits[0], _largest(between_bits[:length]))
            # Forwards: where the two overlap, each sample is read before it is written.
            _copy(window[length:], window, 0, _MEMORY)
            start += length
        _copy(window, memory[c], 0, _MEMORY)


class TruePeakMeter:
    """Streaming true and sample peak over all channels.

    Chunks whose samples are so low that no interpolated point could pass the peak already found are
    not interpolated; what is skipped cannot change the result, which is therefore the same for any
    division into blocks.

    Parameters
    ----------
    sample_rate
        Hz.
    channels
        Rows of the blocks pushed.
    """

    def __init__(self, *, sample_rate: int, channels: int) -> None:
        self._phases = interpolation_phases(oversampling_factor(sample_rate))
        magnitudes = np.abs(self._phases.astype(np.float64)).sum(axis=1)
        # The margin covers rounding of twelve float32 products and sums.
        self._gain_bound = float(magnitudes.max(initial=0.0)) * (1 + 1e-5)
        self._memory = np.zeros((channels, _MEMORY), dtype=np.float32)
        self._peaks = np.zeros(2, dtype=np.float32)

    def push(self, block: NDArray[np.float32]) -> None:
        """Take samples, float32, shape (channels, n), any n >= 0."""
        _peaks(block, self._memory, self._phases, self._gain_bound, self._peaks)

    def take(self) -> Peak:
        """The highest levels since the last call, without what follows. More may be pushed afterwards."""
        true_peak, sample_peak = float(self._peaks[0]), float(self._peaks[1])
        self._peaks[:] = 0
        return _peak(true_peak, sample_peak)

    def result(self) -> Peak:
        """What was met so far, as if silence followed. More may be pushed afterwards."""
        peaks = self._peaks.copy()
        after = np.zeros((self._memory.shape[0], _MEMORY), dtype=np.float32)
        _peaks(after, self._memory.copy(), self._phases, self._gain_bound, peaks)
        return _peak(float(peaks[0]), float(peaks[1]))


def _peak(true_peak: float, sample_peak: float) -> Peak:
    if not (math.isfinite(true_peak) and math.isfinite(sample_peak)):
        raise ValueError("samples must be finite")
    return Peak(
        # Between samples that are all zero, what is left is of samples before.
        true_peak_dbtp=20 * math.log10(true_peak) if true_peak and sample_peak else None,
        sample_peak_dbfs=20 * math.log10(sample_peak) if sample_peak else None,
    )
