"""Keys: pairs of strong peaks as small integers, the terms of the inverted index.

A key stands for a peak in one cell of the warped frequency axis, and a second one in another cell, so many
frames later. It has 22 bits and fits Postgres' `integer`. Stored keys are sparse: ranks under 3, three
partners per peak, at most 30 keys per second. A query has more of them, because it is short, and because
noise adds and removes peaks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from soundscape.audio.compiled import compiled

from .code import FRAME_RATE_HZ, Fingerprint
from .peaks import LOWEST_PITCH, PITCH_STEPS, bin_to_pitch, pitch_to_bin

CELLS = 260
MIN_STEP = 2
MAX_STEP = 63
KEY_SPACE = CELLS * CELLS * (MAX_STEP - MIN_STEP + 1)
"""Keys are 0 <= key < KEY_SPACE, just under 2**22."""

STORED_RANKS = 3
STORED_PARTNERS = 3
QUERY_RANKS = 6
QUERY_PARTNERS = 8
MAX_KEYS_PER_SECOND = 30
LONG_QUERY_S = 120.0
"""A query longer than this uses the sparse keys of the stored side: they suffice."""


@dataclass(frozen=True, eq=False)
class Keys:
    """Keys of a sound.

    Attributes
    ----------
    values
        int32, shape (n,): the keys.
    frames
        int32, shape (n,): the frame of each pair's first peak.
    """

    values: npt.NDArray[np.int32]
    frames: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return int(self.values.shape[0])


def pitch_to_cell(pitches: npt.NDArray[np.integer | np.floating]) -> npt.NDArray[np.int32]:
    """Convert a pitch to its cell of the warped axis: 0 to CELLS - 1, or -1 outside the axis."""
    cells = np.floor((np.asarray(pitches, np.float64) - LOWEST_PITCH) / PITCH_STEPS).astype(np.int32)
    cells[(cells < 0) | (cells >= CELLS)] = -1
    return cells


def make_stored_keys(fingerprint: Fingerprint) -> Keys:
    """Make the keys that an index stores: at most 30 per second of the recording, the strongest."""
    chosen = fingerprint.ranks < STORED_RANKS
    values, frames = _pairs(
        fingerprint.frames[chosen],
        pitch_to_cell(fingerprint.pitches[chosen]),
        fingerprint.ranks[chosen],
        STORED_PARTNERS,
        MAX_KEYS_PER_SECOND,
    )
    return Keys(values, frames)


def make_query_keys(fingerprint: Fingerprint, *, speed: float = 1.0) -> Keys:
    """Make the keys that are looked up in an index.

    Parameters
    ----------
    fingerprint
        The query.
    speed
        How many times too fast the query is played. Its frequencies are then multiplied by `speed` and its
        times divided by it. Both are undone on the peaks, which costs little compared with resampling.
    """
    long = fingerprint.duration_s > LONG_QUERY_S
    chosen = fingerprint.ranks < (STORED_RANKS if long else QUERY_RANKS)
    partners = STORED_PARTNERS if long else QUERY_PARTNERS
    frames, pitches = undo_speed(fingerprint.frames[chosen], fingerprint.pitches[chosen], speed)
    values, starts = _pairs(frames, pitch_to_cell(pitches), fingerprint.ranks[chosen], partners, 0)
    return Keys(values, starts)


def undo_speed(
    frames: npt.NDArray[np.int32], pitches: npt.NDArray[np.uint16], speed: float
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Move peaks to their times and pitches before a change of speed."""
    if speed == 1.0:
        return frames, pitches.astype(np.float64)
    return (
        np.rint(frames * speed).astype(np.int32),
        bin_to_pitch(pitch_to_bin(pitches) / speed),
    )


def _pairs(
    frames: npt.NDArray[np.int32],
    cells: npt.NDArray[np.int32],
    ranks: npt.NDArray[np.uint8],
    partners: int,
    max_per_second: int,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    inside = cells >= 0
    frames, cells, ranks = frames[inside], cells[inside], ranks[inside]
    values = np.empty(frames.shape[0] * partners, np.int32)
    starts = np.empty_like(values)
    weakness = np.empty(values.shape[0], np.uint8)
    n = _pair(frames, cells, ranks, partners, values, starts, weakness)
    values, starts, weakness = values[:n], starts[:n], weakness[:n]
    if max_per_second and n:
        second = (starts / FRAME_RATE_HZ).astype(np.int64)
        order = np.lexsort((np.arange(n), weakness, second))
        _, first, counts = np.unique(second[order], return_index=True, return_counts=True)
        place = np.arange(n) - np.repeat(first, counts)
        keep = np.sort(order[place < max_per_second])
        values, starts = values[keep], starts[keep]
    return values.copy(), starts.copy()


@compiled()
def _pair(
    frames: npt.NDArray[np.int32],
    cells: npt.NDArray[np.int32],
    ranks: npt.NDArray[np.uint8],
    partners: int,
    values: npt.NDArray[np.int32],
    starts: npt.NDArray[np.int32],
    weakness: npt.NDArray[np.uint8],
) -> int:
    """Pair each peak with the `partners` best-ranked peaks 2 to 63 frames later, nearer ones first."""
    n = 0
    best = np.empty(partners, np.int64)
    for i in range(frames.shape[0]):
        held = 0
        j = i + 1
        while j < frames.shape[0] and frames[j] - frames[i] <= MAX_STEP:
            if frames[j] - frames[i] >= MIN_STEP:
                place = held
                while place > 0 and ranks[best[place - 1]] > ranks[j]:
                    place -= 1
                if place < partners:
                    last = min(held, partners - 1)
                    for k in range(last, place, -1):
                        best[k] = best[k - 1]
                    best[place] = j
                    held = min(held + 1, partners)
            j += 1
        for k in range(held):
            j = best[k]
            step = frames[j] - frames[i] - MIN_STEP
            values[n] = (cells[i] * CELLS + cells[j]) * (MAX_STEP - MIN_STEP + 1) + step
            starts[n] = frames[i]
            weakness[n] = ranks[i] + ranks[j]
            n += 1
    return n
