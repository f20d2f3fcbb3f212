"""Likeness: do the levels of two sounds follow each other where their peaks agree?

In a copy they do, band by band. An equaliser or another gain moves a whole band, noise lifts its quiet
moments; both are undone. Another voice over the same bed, or another work of the same notes, is louder at
other times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .code import Fingerprint
from .levels import (
    BELL_ROWS,
    LEVEL_BANDS,
    LEVEL_CELLS,
    LEVEL_FRAMES,
    LEVEL_STEP_DB,
    LOWEST_LEVEL_DB,
    bin_to_cell,
    cell_to_bin,
)

MIN_CORRELATION = 0.985
"""Below this correlation, two recordings share a part of what sounds: a bed, a loop, a stem."""
MIN_ROWS = 4
EDGE_FRAMES = math.ceil(2 * BELL_ROWS * LEVEL_FRAMES)
"""Levels so near to an end of the span also hold what surrounds it, such as silence."""
RANGE_DB = 20.0
"""Levels further below their band's mean power count as that far below."""
MIN_BAND_SHARE = 1e-4
"""A band with less of the energy of either sound is not compared: 40 dB below the whole."""
ERROR_DB = 2.0
"""Levels that differ by so little follow each other. It counts where a sound is steady."""
QUIET, LOUD = 0.1, 0.9
"""A band's quiet and loud moments, as quantiles. Noise and gain are estimated from these two."""

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Likeness:
    """How the levels of two sounds follow each other.

    Attributes
    ----------
    correlation
        Of their levels in decibels, each band relative to its mean; at most 1.
    share_of_energy
        The energy that both have in common, of the louder of the two in each band and row, 0 to 1.
    """

    correlation: float
    share_of_energy: float


def measure_likeness(
    query: Fingerprint, stored: Fingerprint, span: tuple[int, int], lag_frames: float, speed: float
) -> Likeness | None:
    """Measure how the levels follow each other; None where they are too short or too quiet to compare.

    Parameters
    ----------
    query, stored
        The fingerprints.
    span
        First and last frame, in the stored recording, of what is compared.
    lag_frames
        Where the query's first frame lies in the recording.
    speed
        How fast the query plays the recording.
    """
    aligned = _align(query.levels, stored.levels, span, lag_frames, speed)
    if aligned is None:
        return None
    ours, theirs = aligned
    enough = np.ones(LEVEL_BANDS, np.bool_)
    for power in aligned:
        whole = power.sum(axis=0)
        enough &= whole > MIN_BAND_SHARE * whole.sum()
    if not enough.any():
        return None
    ours, theirs = _match(ours[:, enough], theirs[:, enough])
    x, y = _centre(ours), _centre(theirs)
    error = ERROR_DB**2 * x.size
    spread = math.sqrt((float(np.sum(x * x)) + error) * (float(np.sum(y * y)) + error))
    return Likeness(
        correlation=(float(np.sum(x * y)) + error) / spread,
        share_of_energy=float(np.minimum(ours, theirs).sum() / np.maximum(ours, theirs).sum()),
    )


def _align(
    query: npt.NDArray[np.uint8],
    stored: npt.NDArray[np.uint8],
    span: tuple[int, int],
    lag_frames: float,
    speed: float,
) -> tuple[_Floats, _Floats] | None:
    """Read the power of both at the same moments and pitches, halfway between their rows and bands.

    Both are interpolated by as much, so that both are as blurred.
    """
    middle = LEVEL_FRAMES // 2
    first = math.ceil((span[0] + EDGE_FRAMES - middle) / LEVEL_FRAMES)
    last = math.floor((span[1] - EDGE_FRAMES - middle) / LEVEL_FRAMES)
    rows = np.arange(max(first, 1), min(last, stored.shape[0] - 2) + 1)
    places = ((rows * LEVEL_FRAMES + middle - lag_frames) / speed - middle) / LEVEL_FRAMES
    inside = (places >= 1) & (places <= query.shape[0] - 2)
    rows, places = rows[inside], places[inside]
    if rows.shape[0] < MIN_ROWS:
        return None
    half = (places - np.rint(places)) / 2.0
    bands = np.arange(LEVEL_BANDS)
    step = (bin_to_cell(cell_to_bin(LEVEL_CELLS) * speed) - LEVEL_CELLS) / (LEVEL_CELLS[1] - LEVEL_CELLS[0])
    both = (stored, rows - half, bands - step / 2.0), (query, places - half, bands + step / 2.0)
    ours, theirs = (
        10.0 ** (0.1 * (_interpolate(_interpolate(levels, at).T, pitch).T * LEVEL_STEP_DB + LOWEST_LEVEL_DB))
        for levels, at, pitch in both
    )
    return ours, theirs


def _interpolate(values: npt.NDArray[np.uint8] | _Floats, at: _Floats) -> _Floats:
    """Read rows at fractional places: Catmull and Rom's cubic through the four around each."""
    last = values.shape[0] - 1
    low = np.clip(np.floor(at).astype(int), 0, last)
    x = np.clip(at - low, 0.0, 1.0)[:, None]
    a, b, c, d = (values[np.clip(low + i, 0, last)].astype(np.float64) for i in (-1, 0, 1, 2))
    found: _Floats = b + 0.5 * x * (c - a + x * (2 * a - 5 * b + 4 * c - d + x * (3 * (b - c) + d - a)))
    return found


def _match(ours: _Floats, theirs: _Floats) -> tuple[_Floats, _Floats]:
    """Undo another gain of each band, and add to each sound the steady noise that only the other has."""
    quiet, loud = np.quantile(ours, (QUIET, LOUD), axis=0)
    other_quiet, other_loud = np.quantile(theirs, (QUIET, LOUD), axis=0)
    gain = np.maximum(other_loud - other_quiet, 1e-9) / np.maximum(loud - quiet, 1e-9)
    # Short gaps in steady noise lie below its quiet moments: it is no louder than the whole.
    noise = np.minimum(other_quiet - gain * quiet, theirs.mean(axis=0))
    theirs = theirs + np.maximum(-noise, 0.0)
    # The whole tells the gain better than two moments do.
    gain = (theirs - np.maximum(noise, 0.0)).mean(axis=0) / ours.mean(axis=0)
    return gain * ours + np.maximum(noise, 0.0), theirs


def _centre(power: _Floats) -> _Floats:
    level_db = 10.0 * np.log10(np.maximum(power, 10.0 ** (-0.1 * RANGE_DB) * power.mean(axis=0)))
    centred: _Floats = level_db - level_db.mean(axis=0)
    return centred
