"""The mel spectrogram as data: levels over time and frequency, in memory that a six-hour file can afford.

The bands up to 11 kHz are those of the shared spectrum. Above, as many follow as the recording has room for.

Levels are kept as bytes in steps of 0.7 dB. A recording of up to three minutes is kept frame by frame (23
ms); of a longer one every column is the loudest of four frames (93 ms).
"""

from __future__ import annotations

import math

import numpy as np
from librosa import hz_to_mel

from soundscape.audio.levels import STEP_DB, Levels, quantize
from soundscape.audio.spectrum import (
    FRAME_RATE_HZ,
    MEL_STEP,
    MELS,
    SAMPLE_RATE,
    Float32,
    count_mel_bands,
)
from soundscape.audio.wideband import UpperBands

LONG_COLUMNS = 8192
LONG_FRAMES_PER_COLUMN = 4


class Spectrogram:
    """A spectrogram that is filled by `push` and then read.

    Parameters
    ----------
    top_hz
        Where the recording's band ends.
    """

    def __init__(self, *, top_hz: float = SAMPLE_RATE / 2) -> None:
        self.top_hz = top_hz
        self.bands = count_mel_bands(top_hz)
        self.frames_per_column = 1
        self._columns: list[Levels] = []
        self._count = 0
        self._rest = np.empty((0, min(self.bands, MELS)), dtype=np.uint8)
        self._upper: Levels | None = None
        self._upper_hop_s = 1.0

    def push(self, log_mel_db: Float32) -> None:
        """Add frames of the shared spectrum, decibels, shape (frames, 128)."""
        self._add(quantize(log_mel_db[:, : self.bands]))
        if self.frames_per_column == 1 and self._count > LONG_COLUMNS:
            kept = self.result()
            self.frames_per_column = LONG_FRAMES_PER_COLUMN
            self._columns, self._count = [], 0
            self._add(kept)

    def add_upper(self, upper: UpperBands) -> None:
        """Add what lies above the shared spectrum, after the last `push`."""
        if upper.levels.size:
            self._upper, self._upper_hop_s = upper.levels, upper.hop_s

    def _add(self, frames: Levels) -> None:
        if self.frames_per_column > 1:
            frames = np.concatenate([self._rest, frames])
            whole = len(frames) // self.frames_per_column * self.frames_per_column
            self._rest = frames[whole:].copy()
            frames = frames[:whole].reshape(-1, self.frames_per_column, frames.shape[1]).max(axis=1)
        self._columns.append(frames)
        self._count += len(frames)

    def result(self) -> Levels:
        """All columns as stored, shape (columns, bands), lowest band first."""
        parts = list(self._columns)
        if len(self._rest):
            parts.append(self._rest.max(axis=0, keepdims=True))
        lower = np.concatenate(parts) if parts else np.empty((0, self._rest.shape[1]), dtype=np.uint8)
        if self._upper is None or not len(lower):
            return lower
        # A column takes the loudest of the upper frames within it, or the nearest where there is none.
        at = np.rint(np.arange(len(lower)) * (self.seconds_per_column / self._upper_hop_s)).astype(np.int64)
        upper = np.maximum.reduceat(self._upper, np.minimum(at, len(self._upper) - 1))
        return np.concatenate([lower, upper], axis=1)

    @property
    def seconds_per_column(self) -> float:
        """How long a column lasts, in seconds."""
        return self.frames_per_column / FRAME_RATE_HZ

    def shades(self, levels: Levels | Float32, *, range_db: float) -> Levels:
        """Levels of any shape as 0 (`range_db` below the loudest of the recording, or less) to 255."""
        parts = [*self._columns, self._rest, *([] if self._upper is None else [self._upper])]
        loudest = max((int(part.max()) for part in parts if part.size), default=0)
        # The floor of silence stays dark.
        loudest = max(loudest, math.ceil(range_db / STEP_DB))
        share = 1 + (levels.astype(np.float32) - loudest) * np.float32(STEP_DB / range_db)
        shades: Levels = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
        return shades

    def overview(self, width: int) -> Float32:
        """The loudest of neighbouring columns where need be: levels, float32, shape (at most `width`, bands).

        An average of decibels would leave nothing of a burst of half a second in 13 seconds of silence.
        """
        columns = self.result()
        if len(columns) > width:
            columns = np.maximum.reduceat(columns, np.arange(width) * len(columns) // width)
        return columns.astype(np.float32)

    def locate(self, frequency_hz: float) -> float:
        """Where a frequency lies on the axis: 0 at 0 Hz, 1 at the end of the highest band."""
        return float(hz_to_mel(frequency_hz)) / (MEL_STEP * (self.bands + 1))
