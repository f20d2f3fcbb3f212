"""Levels of a spectrogram as bytes: steps of 0.7 dB from -100 dB, which six hours can afford."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FLOOR_DB = -100.0
STEP_DB = 0.7

Levels = npt.NDArray[np.uint8]


def quantize(level_db: npt.NDArray[np.float32]) -> Levels:
    """Decibels, float32, of any shape, to the nearest steps, uint8; those beyond the ends to the ends."""
    steps = np.rint((level_db - FLOOR_DB) * np.float32(1 / STEP_DB))
    levels: Levels = np.clip(steps, 0, 255).astype(np.uint8)
    return levels
