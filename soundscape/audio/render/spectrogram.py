"""The spectrogram as data: levels over time and frequency, in memory that a six-hour file can afford.

The rows up to 10 kHz are made of the shared spectrum. Above, as many follow as the recording has room for.

Levels are kept as bytes in steps of 0.7 dB. A recording of up to three minutes is kept frame by frame (23
ms); of a longer one every column is the loudest of four frames (93 ms).
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from soundscape.audio.levels import STEP_DB, Levels
from soundscape.audio.own_spectrum import OwnFrames
from soundscape.audio.render.axis import FrequencyAxis, quantize_power, sum_magnitudes
from soundscape.audio.render.upper_rows import UpperRows
from soundscape.audio.spectral import find_top_hz
from soundscape.audio.spectrum import BINS, FRAME_RATE_HZ, N_FFT, SAMPLE_RATE, Float32
from soundscape.audio.wideband import MAX_BAND_HZ

Value = TypeVar("Value", np.uint8, np.float32)

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
        self._lower.push(sum_magnitudes(S, *self._filters))
        if self.frames_per_column == 1 and self._lower.count > LONG_COLUMNS:
            self._lower.join()
            self._upper.join()

    def push_own(self, frames: OwnFrames) -> None:
        """Add frames of the same sound at its own rate."""
        if self._upper_rows is not None:
            self._upper.push(self._upper_rows.push(frames))

    def finish(self) -> None:
        """Add the last frames; call once, after everything was pushed."""
        if self._upper_rows is not None:
            self._upper.push(self._upper_rows.finish())
        self._lower.finish()
        self._upper.finish()

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
        # Powers of the frames after the last whole column of a long recording.
        self._rest = np.empty((0, rows), dtype=np.float32)

    def push(self, power: Float32) -> None:
        """Add frames, float32, shape (frames, rows)."""
        pending = np.concatenate([self._rest, power])
        whole = len(pending) // LONG_FRAMES_PER_COLUMN * LONG_FRAMES_PER_COLUMN
        self._rest = pending[whole:].copy()
        # The level of the loudest is the loudest level, and one logarithm in place of four.
        self._add(quantize_power(power if self.frames_per_column == 1 else _join(pending[:whole])))

    def _add(self, levels: Levels) -> None:
        self.loudest = max(self.loudest, int(levels.max(initial=0)))
        self._parts.append(levels)
        self.count += len(levels)

    def join(self) -> None:
        """Take the loudest of every few frames from now on, and of those that are there."""
        frames = self.result()
        self.frames_per_column = LONG_FRAMES_PER_COLUMN
        self._parts, self.count = [], 0
        self._add(_join(frames[: len(frames) - len(self._rest)]))

    def finish(self) -> None:
        """Add what is left of the last column; call once, after the last `push`."""
        if self.frames_per_column > 1 and len(self._rest):
            self._add(quantize_power(self._rest.max(axis=0, keepdims=True)))

    def result(self) -> Levels:
        """All columns that are whole, or were finished."""
        return np.concatenate([np.empty((0, self._rest.shape[1]), dtype=np.uint8), *self._parts])


def _join(frames: npt.NDArray[Value]) -> npt.NDArray[Value]:
    """The loudest of every few frames, whose number is a multiple of that."""
    columns = len(frames) // LONG_FRAMES_PER_COLUMN
    joined: npt.NDArray[Value]
    joined = frames.reshape(columns, LONG_FRAMES_PER_COLUMN, frames.shape[1]).max(axis=1)
    return joined
