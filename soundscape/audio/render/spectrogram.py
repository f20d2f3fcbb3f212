"""The spectrogram as data: levels over time and frequency, in memory that a six-hour file can afford.

The rows up to 10 kHz are made of the shared spectrum. Above, as many follow as the recording has room for.

Levels are kept as bytes in steps of 0.7 dB. A recording of up to three minutes is kept frame by frame (23
ms); of a longer one every column is the loudest of four frames (93 ms).
"""

from __future__ import annotations

import math

import numpy as np

from soundscape.audio.levels import STEP_DB, Levels
from soundscape.audio.own_spectrum import OwnFrames
from soundscape.audio.render.axis import FrequencyAxis, quantize_power, sum_magnitudes
from soundscape.audio.render.upper_rows import UpperRows
from soundscape.audio.spectral import find_top_hz
from soundscape.audio.spectrum import BINS, FRAME_RATE_HZ, N_FFT, SAMPLE_RATE, Float32
from soundscape.audio.wideband import MAX_BAND_HZ

LONG_COLUMNS = 8192
LONG_FRAMES_PER_COLUMN = 4


class Spectrogram:
    """A spectrogram that is filled by `push` and `push_own`, finished, and then read.

    Parameters
    ----------
    sample_rate
        The recording's own, Hz.
    """

    def __init__(self, *, sample_rate: int = SAMPLE_RATE) -> None:
        self.axis = FrequencyAxis(min(sample_rate / 2, MAX_BAND_HZ))
        is_resampled = sample_rate != SAMPLE_RATE
        split = self.axis.count_rows_below(find_top_hz(sample_rate)) if is_resampled else self.axis.rows
        self._filters = self.axis.make_filters(range(split), bin_hz=SAMPLE_RATE / N_FFT, bins=BINS)
        self._upper_rows = (
            UpperRows(sample_rate=sample_rate, axis=self.axis, rows=range(split, self.axis.rows))
            if split < self.axis.rows
            else None
        )
        self._lower = _Columns(split)
        self._upper = _Columns(self.axis.rows - split)

    def push(self, S: Float32) -> None:
        """Add frames of the shared spectrum, magnitudes, float32, shape (frames, 1025)."""
        self._lower.push(quantize_power(sum_magnitudes(S, *self._filters)))
        if self.frames_per_column == 1 and self._lower.count > LONG_COLUMNS:
            self._lower.join(LONG_FRAMES_PER_COLUMN)
            self._upper.join(LONG_FRAMES_PER_COLUMN)

    def push_own(self, frames: OwnFrames) -> None:
        """Add frames of the same sound at its own rate."""
        if self._upper_rows is not None:
            self._upper.push(self._upper_rows.push(frames))

    def finish(self) -> None:
        """Add the last frames; call once, after everything was pushed."""
        if self._upper_rows is not None:
            self._upper.push(self._upper_rows.finish())

    def result(self) -> Levels:
        """All columns as stored, shape (columns, rows), lowest row first."""
        lower = self._lower.result()
        if self._upper_rows is None:
            return lower
        upper = self._upper.result()
        # The resampler's length may be a sample off, and so a column.
        at = np.minimum(np.arange(len(lower)), max(len(upper) - 1, 0))
        return np.concatenate([lower, upper[at]], axis=1)

    @property
    def frames_per_column(self) -> int:
        """How many frames a column is the loudest of."""
        return self._lower.frames_per_column

    @property
    def seconds_per_column(self) -> float:
        """How long a column lasts, in seconds."""
        return self.frames_per_column / FRAME_RATE_HZ

    def shades(self, levels: Levels | Float32, *, range_db: float) -> Levels:
        """Levels of any shape as 0 (`range_db` below the loudest of the recording, or less) to 255."""
        # The floor of silence stays dark.
        loudest = max(self._lower.loudest, self._upper.loudest, math.ceil(range_db / STEP_DB))
        share = 1 + (levels.astype(np.float32) - loudest) * np.float32(STEP_DB / range_db)
        shades: Levels = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
        return shades

    def overview(self, width: int) -> Float32:
        """The loudest of neighbouring columns where need be: levels, float32, shape (at most `width`, rows).

        An average of decibels would leave nothing of a burst of half a second in 13 seconds of silence.
        """
        columns = self.result()
        if len(columns) > width:
            columns = np.maximum.reduceat(columns, np.arange(width) * len(columns) // width)
        return columns.astype(np.float32)


class _Columns:
    """Columns of some rows: frames, or the loudest of every few frames."""

    def __init__(self, rows: int) -> None:
        self.frames_per_column = 1
        self.count = 0
        self.loudest = 0
        self._parts: list[Levels] = []
        self._rest = np.empty((0, rows), dtype=np.uint8)

    def push(self, frames: Levels) -> None:
        self.loudest = max(self.loudest, int(frames.max(initial=0)))
        if self.frames_per_column > 1:
            frames = np.concatenate([self._rest, frames])
            whole = len(frames) // self.frames_per_column * self.frames_per_column
            self._rest = frames[whole:].copy()
            shape = (whole // self.frames_per_column, self.frames_per_column, frames.shape[1])
            frames = frames[:whole].reshape(shape).max(axis=1)
        self._parts.append(frames)
        self.count += len(frames)

    def join(self, frames_per_column: int) -> None:
        """Take the loudest of so many frames from now on, and of those that are there."""
        frames = self.result()
        self.frames_per_column = frames_per_column
        self._parts, self.count = [], 0
        self.push(frames)

    def result(self) -> Levels:
        parts = [self._rest[:0], *self._parts]
        if len(self._rest):
            parts.append(self._rest.max(axis=0, keepdims=True))
        return np.concatenate(parts)
