"""The mel spectrogram as data: levels over time and frequency, in memory that a six-hour file can afford.

Levels are kept as bytes in steps of 0.7 dB. A recording of up to three minutes is kept frame by frame (23
ms); of a longer one every column is the loudest of four frames (93 ms).
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from soundscape.audio.spectrum import FRAME_RATE_HZ, MELS, SAMPLE_RATE, Float32

LONG_COLUMNS = 8192
LONG_FRAMES_PER_COLUMN = 4
_FLOOR_DB = -100.0
_STEP_DB = 0.7

Levels = npt.NDArray[np.uint8]


class Spectrogram:
    """A spectrogram that is filled by `push` and then read."""

    def __init__(self) -> None:
        self.frames_per_column = 1
        self._columns: list[Levels] = []
        self._count = 0
        self._rest = np.empty((0, MELS), dtype=np.uint8)

    def push(self, log_mel_db: Float32) -> None:
        """Add frames, decibels, shape (frames, 128)."""
        steps = np.rint((log_mel_db - _FLOOR_DB) * np.float32(1 / _STEP_DB))
        self._add(np.clip(steps, 0, 255).astype(np.uint8))
        if self.frames_per_column == 1 and self._count > LONG_COLUMNS:
            kept = self.result()
            self.frames_per_column = LONG_FRAMES_PER_COLUMN
            self._columns, self._count = [], 0
            self._add(kept)

    def _add(self, frames: Levels) -> None:
        if self.frames_per_column > 1:
            frames = np.concatenate([self._rest, frames])
            whole = len(frames) // self.frames_per_column * self.frames_per_column
            self._rest = frames[whole:].copy()
            frames = frames[:whole].reshape(-1, self.frames_per_column, MELS).max(axis=1)
        self._columns.append(frames)
        self._count += len(frames)

    def result(self) -> Levels:
        """All columns as stored, shape (columns, 128), lowest band first."""
        parts = list(self._columns)
        if len(self._rest):
            parts.append(self._rest.max(axis=0, keepdims=True))
        return np.concatenate(parts) if parts else np.empty((0, MELS), dtype=np.uint8)

    @property
    def seconds_per_column(self) -> float:
        return self.frames_per_column / FRAME_RATE_HZ

    def shades(self, levels: Levels | Float32, *, range_db: float) -> Levels:
        """Levels of any shape as 0 (`range_db` below the loudest of the recording, or less) to 255."""
        loudest = max((int(part.max()) for part in self._columns if len(part)), default=0)
        # The floor of silence stays dark.
        loudest = max(loudest, math.ceil(range_db / _STEP_DB))
        share = 1 + (levels.astype(np.float32) - loudest) * np.float32(_STEP_DB / range_db)
        shades: Levels = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
        return shades

    def overview(self, width: int) -> Float32:
        """Levels, float32, shape (at most `width`, 128): neighbouring columns are averaged where need be."""
        columns = self.result()
        if len(columns) > width:
            edges = np.arange(width + 1) * len(columns) // width
            return np.stack(
                [columns[begin:end].mean(axis=0, dtype=np.float32) for begin, end in pairwise(edges)]
            )
        return columns.astype(np.float32)


def locate_on_mel_axis(frequency_hz: float) -> float:
    """Where a frequency lies on the mel axis, 0 at 0 Hz to 1 at 11,025 Hz."""
    return _mel(frequency_hz) / _mel(SAMPLE_RATE / 2)


def _mel(frequency_hz: float) -> float:
    """Slaney's mel scale, as the filters use it: linear to 1 kHz, then logarithmic."""
    linear = frequency_hz * 3 / 200
    return linear if frequency_hz < 1000 else float(15 + np.log(frequency_hz / 1000) * 27 / np.log(6.4))
