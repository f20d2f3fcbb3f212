"""Levels of a spectrogram as bytes: steps of 0.7 dB from -100 dB, which six hours can afford."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FLOOR_DB = -100.0
STEP_DB = 0.7

Levels = npt.NDArray[np.uint8]
