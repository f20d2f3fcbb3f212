"""Levels: how loud each band of a sound is, four times a second.

Peaks say where the energy of a sound is, not how much. Two voices over one bed have the bed's peaks in
common, and two works of one instrument share notes. Levels tell that the rest differs (`likeness`).

A level is the mean power within a bell around the middle of its band and of its time, in steps of half a
decibel. The bells are cubic B-splines, wider than their distance. So a level between the stored ones can be
interpolated, as comparing two sounds at any lag and speed needs. Bands and times with straight edges would
jump by decibels as a note or an onset moves from one to the next.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from soundscape.audio.compiled import FASTMATH, compiled

LEVEL_FRAMES = 11
"""Frames from one row of levels to the next: 3.9 rows a second."""
BELL_ROWS = 1.5
"""Width of the bell in rows: it ends at twice that on either side of its middle, after 0.77 s."""
LEVEL_BANDS = 12
LEVEL_STEP_DB = 0.5
LOWEST_LEVEL_DB = -60.0
"""Level 0, or less. A full-scale sine under a 2048 Hann window has 54 dB."""

LEVEL_CELLS = np.linspace(20.0, 256.0, LEVEL_BANDS)
"""Middles of the bands, in cells of the warped axis of `peaks` but counted from bin 0: 216 Hz to 5.1 kHz."""

LAST_BIN = 600
"""Power from this bin on, 6.5 kHz, is not counted."""
PITCH_WARP = 0.008


def bin_to_cell(bins: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Convert a fractional bin to a cell of the warped axis, counted from bin 0."""
    return np.asarray(np.arcsinh(PITCH_WARP * np.asarray(bins, np.float64)) / PITCH_WARP)


def cell_to_bin(cells: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Convert a cell to a fractional bin: the inverse of `bin_to_cell`."""
    return np.asarray(np.sinh(np.asarray(cells, np.float64) * PITCH_WARP) / PITCH_WARP)


def bell(distance: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The cubic B-spline: 2/3 at 0, 0 from a distance of 2 on. Those one apart add up to 1."""
    x = np.abs(np.asarray(distance, np.float64))
    return np.where(x < 1.0, 2.0 / 3.0 - x**2 + x**3 / 2.0, np.maximum(2.0 - x, 0.0) ** 3 / 6.0)


def count_rows(frame_count: int) -> int:
    """How many rows of levels a sound of so many frames has."""
    return -(-frame_count // LEVEL_FRAMES)


def _make_weights() -> npt.NDArray[np.float32]:
    """The bells of the bands, shape (bands, bins)."""
    cells = bin_to_cell(np.arange(LAST_BIN))
    distance = (cells[None, :] - LEVEL_CELLS[:, None]) / (LEVEL_CELLS[1] - LEVEL_CELLS[0])
    return bell(distance).astype(np.float32)


_WEIGHTS = _make_weights()
_BEGINS = np.array([int(np.flatnonzero(band)[0]) for band in _WEIGHTS])
_ENDS = np.array([int(np.flatnonzero(band)[-1]) + 1 for band in _WEIGHTS])
_REACH_ROWS = math.ceil(2 * BELL_ROWS)
_SHARES = bell(
    (np.arange(1 - _REACH_ROWS, 1 + _REACH_ROWS) - np.arange(LEVEL_FRAMES)[:, None] / LEVEL_FRAMES)
    / BELL_ROWS
).astype(np.float32)
"""A frame's weights in the rows around it, by how many frames it is after the middle of one."""
_LEAD = LEVEL_FRAMES - LEVEL_FRAMES // 2


@compiled(fastmath=FASTMATH)
def _add_power(
    S: npt.NDArray[np.float32],
    frame: int,
    weights: npt.NDArray[np.float32],
    begins: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    shares: npt.NDArray[np.float32],
    rows: npt.NDArray[np.float32],
    first_row: int,
) -> None:
    """Add the bands' power of frames, the first of which is `frame`, to the rows around each of them."""
    power = np.empty(weights.shape[1], np.float32)
    for t in range(S.shape[0]):
        at = frame + t + _LEAD
        place = at // LEVEL_FRAMES - _REACH_ROWS - first_row
        spectrum = S[t]
        for i in range(power.shape[0]):
            power[i] = spectrum[i] * spectrum[i]
        for band in range(begins.shape[0]):
            weighed, heard = weights[band, begins[band] : ends[band]], power[begins[band] : ends[band]]
            total = np.float32(0.0)
            for i in range(weighed.shape[0]):
                total += weighed[i] * heard[i]
            for r in range(shares.shape[1]):
                rows[place + r, band] += shares[at % LEVEL_FRAMES, r] * total


class LevelMeter:
    """Streaming measurement of levels from batches of the shared magnitude spectrum.

    The middle of row r is frame r * LEVEL_FRAMES + LEVEL_FRAMES // 2. Rows at both ends lack the power of
    frames that are not there.
    """

    def __init__(self) -> None:
        self._frames_seen = 0
        self._first_row = -_REACH_ROWS
        self._rows = np.zeros((2 * _REACH_ROWS, LEVEL_BANDS), np.float32)
        self._kept: list[npt.NDArray[np.float32]] = []

    def push(self, S: npt.NDArray[np.float32]) -> None:
        """Push magnitudes S, float32, shape (frames, 1025)."""
        first_pending = (self._frames_seen + S.shape[0] + _LEAD) // LEVEL_FRAMES - _REACH_ROWS
        complete = first_pending - self._first_row
        rows = np.concatenate([self._rows, np.zeros((complete, LEVEL_BANDS), np.float32)])
        _add_power(S, self._frames_seen, _WEIGHTS, _BEGINS, _ENDS, _SHARES, rows, self._first_row)
        self._frames_seen += S.shape[0]
        self._kept.append(rows[:complete])
        self._rows, self._first_row = rows[complete:], first_pending

    def result(self) -> npt.NDArray[np.uint8]:
        """The levels, shape (count_rows(frames), LEVEL_BANDS). Nothing may be pushed afterwards."""
        rows = np.concatenate([*self._kept, self._rows])
        power = rows[_REACH_ROWS : _REACH_ROWS + count_rows(self._frames_seen)]
        # A file may hold samples that are not finite.
        power = np.nan_to_num(power) / np.float32(BELL_ROWS * LEVEL_FRAMES)
        level_db = 10.0 * np.log10(power + np.float32(1e-9))
        steps = np.rint((level_db - LOWEST_LEVEL_DB) / LEVEL_STEP_DB)
        levels: npt.NDArray[np.uint8] = np.clip(steps, 0, 255).astype(np.uint8)
        return levels
