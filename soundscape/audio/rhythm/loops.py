"""Loops: recordings that are cut to whole bars, which tells their tempo better than their onsets do.

Loops hold 4, 8, 16... beats and are made at whole tempi (after Font and Serra, "Tempo Estimation for Music
Loops and a Simple Confidence Measure", ISMIR 2016). A length of a round number of tenths of a second says
nothing: many recordings are cut to one.

Public surface: `measure_loop(bpm, loop_s)`, `count_loop_beats(bpm, duration_s)`, `MAX_LOOP_S`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

MAX_LOOP_S = 40.0
LOOP_BEATS = (4, 8, 16, 32, 64)
TRIPLE_LOOP_BEATS = (6, 12, 24)
WHOLE_BPM = 0.02
# Long recordings are about whole bars long by chance.
_MAX_ABOUT_S = 16.0
_ABOUT, _EXACTLY = 0.015, 0.0015


def measure_loop(bpm: Float64, loop_s: float | None) -> tuple[Float64, Float64, Float64]:
    """Whether the length is about, or exactly, whole bars, and exactly so at a whole tempo.

    Parameters
    ----------
    bpm
        Tempi, shape (n,).
    loop_s
        Exact length, if the recording may be a loop.
    """
    none = np.zeros(bpm.size)
    if loop_s is None:
        return none, none, none
    beats = loop_s * bpm[:, np.newaxis] / 60
    error = np.abs(beats / np.array(LOOP_BEATS) - 1).min(axis=1)
    about = (error < _ABOUT) * float(loop_s < _MAX_ABOUT_S)
    exactly = (error < _EXACTLY) * float(_is_uneven(loop_s))
    return about, exactly, exactly * (np.abs(bpm - np.round(bpm)) < WHOLE_BPM)


def count_loop_beats(bpm: float, duration_s: float, *, exactly: bool = False) -> int | None:
    """How many beats a recording of that tempo holds, if it is about, or exactly, whole bars long."""
    if duration_s >= MAX_LOOP_S:
        return None
    for count in (*LOOP_BEATS, *TRIPLE_LOOP_BEATS):
        error = abs(duration_s * bpm / 60 / count - 1)
        if error < _EXACTLY and _is_uneven(duration_s):
            return count
        if not exactly and error < _ABOUT and duration_s < _MAX_ABOUT_S:
            return count
    return None


def _is_uneven(length_s: float) -> bool:
    return abs(length_s * 10 - round(length_s * 10)) >= 0.01
