"""A resampler that gives what it has at once, for readings of the moment.

soxr filters by blocks: of 48 kHz, a sample comes out up to 38 ms after it went in. Here each sample comes out
when the half of the filter that lies behind it is there, 1 ms.

Crochiere and Rabiner, "Multirate Digital Signal Processing", 1983, section 3.3: a polyphase filter computes
only the samples that are kept. The filter is a Kaiser-windowed sinc of 70 dB. What lies just above 11,025 Hz
folds back to between 10 and 11 kHz, where it is not yet damped.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from soundscape.audio.compiled import FASTMATH, compiled
from soundscape.audio.spectrum import SAMPLE_RATE, Float32, Resampler

MAX_PHASES = 1024
_PASS_HZ = 10_000.0
_ATTENUATION_DB = 70.0


class QuickResampler:
    """One signal to 22,050 Hz, streaming.

    Rates that need more than 1,024 phases, such as 44,099 Hz, are left to soxr.

    Parameters
    ----------
    sample_rate
        Hz.
    """

    def __init__(self, *, sample_rate: int) -> None:
        shared = math.gcd(sample_rate, SAMPLE_RATE)
        self._up, self._down = SAMPLE_RATE // shared, sample_rate // shared
        self._other = None
        if sample_rate == SAMPLE_RATE or self._up > MAX_PHASES:
            self._other = Resampler(sample_rate=sample_rate)
            return
        self._filters = _make_filters(sample_rate, self._up)
        # The first sample lies in the middle of the filter.
        self._tail = np.zeros(self._filters.shape[1] // 2 - 1, dtype=np.float32)
        self._phase = 0

    def push(self, y: Float32) -> Float32:
        """Take samples, float32, shape (n,); return those that are ready, float32, shape (m,)."""
        if self._other is not None:
            return self._other.push(y)
        signal = np.concatenate([self._tail, y])
        # Output m lies at (phase + m * down) / up; it needs the taps behind that.
        places = len(signal) - self._filters.shape[1] + 1
        count = max(0, -((self._phase - places * self._up) // self._down))
        out = np.empty(count, dtype=np.float32)
        _filter(signal, self._filters, self._phase, self._down, out)
        self._phase += count * self._down
        used = min(self._phase // self._up, len(signal))
        self._phase -= used * self._up
        self._tail = signal[used:].copy()
        return out


@lru_cache(maxsize=8)
def _make_filters(sample_rate: int, up: int) -> Float32:
    """The taps of each phase, in the order of the signal, float32, shape (up, taps)."""
    lower_hz = min(sample_rate, SAMPLE_RATE)
    pass_hz = _PASS_HZ * lower_hz / SAMPLE_RATE
    # What folds back above the pass band is let through.
    stop_hz = lower_hz - pass_hz
    width = 2 * math.pi * (stop_hz - pass_hz) / sample_rate
    taps = math.ceil((_ATTENUATION_DB - 7.95) / (2.285 * width) / 2) * 2 + 2
    beta = 0.1102 * (_ATTENUATION_DB - 8.7)
    # Distance of each tap from the output's place, in samples of the input.
    distance = (taps // 2 - 1 - np.arange(taps))[None, :] + np.arange(up)[:, None] / up
    cutoff = (pass_hz + stop_hz) / sample_rate
    window = np.i0(beta * np.sqrt(np.maximum(0, 1 - (distance / (taps // 2)) ** 2))) / np.i0(beta)
    filters = cutoff * np.sinc(cutoff * distance) * window
    filters /= filters.sum(axis=1, keepdims=True)
    return np.ascontiguousarray(filters, dtype=np.float32)


@compiled(fastmath=FASTMATH)
def _filter(signal: Float32, filters: Float32, phase: int, down: int, out: Float32) -> None:
    up, taps = filters.shape
    whole, rest = divmod(down, up)
    begin, place = divmod(phase, up)
    for m in range(len(out)):
        # Views, whose indices begin at 0, become vector instructions.
        weights, part = filters[place], signal[begin : begin + taps]
        total = np.float32(0.0)
        for k in range(taps):
            total += weights[k] * part[k]
        out[m] = total
        begin, place = begin + whole, place + rest
        if place >= up:
            begin, place = begin + 1, place - up
