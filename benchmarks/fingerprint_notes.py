"""The notes of rendered works: which two hold the same sound.

A sampler plays the same notes as the same sound, to the sample. Where two scores have them in common for as
long as a match must be, `find_matches` would be right to name one as the other. So the benchmark leaves one
of them out, by its notes alone. No fingerprint is asked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from soundscape.audio.fingerprint.match import MIN_SPAN_S

TOLERANCE_S = 0.05
SAME_SHARE = 0.5
"""Two works that share at least half of the notes of the shorter, at one offset, are one piece."""
MIN_SHARED = 10
"""Offsets at which fewer notes agree are not looked at: so few in 4 s are one long chord or two."""
RULES = (SAME_SHARE, MIN_SHARED, TOLERANCE_S, MIN_SPAN_S)
"""What decides, for whoever keeps what came of it."""
APART = 1000.0
"""Added to a start for each semitone, so that starts of different pitches are far apart."""

Notes = npt.NDArray[np.float64]
"""Start in seconds and MIDI pitch of each note, by start; shape (n, 2)."""


def read_notes(path: Path, duration_s: float) -> Notes:
    """Read the notes of a Standard MIDI File that start within `duration_s` of the first.

    The format: "Standard MIDI Files 1.0", MIDI Manufacturers Association. Times in frames of video are not
    read.
    """
    data = path.read_bytes()
    (division,) = struct.unpack(">H", data[12:14])
    at = 8 + struct.unpack(">I", data[4:8])[0]
    found: list[tuple[int, int]] = []
    tempos: list[tuple[int, float]] = [(0, 0.5)]
    while at < len(data):
        (length,) = struct.unpack(">I", data[at + 4 : at + 8])
        for tick, kind, content in _read_events(data[at + 8 : at + 8 + length]):
            if kind == 0x51:
                tempos.append((tick, int.from_bytes(content) / 1e6))
            elif kind == 0x90 and content[1]:
                found.append((tick, content[0]))
        at += 8 + length
    changes = sorted(dict(tempos).items())
    ticks = np.array([tick for tick, _ in changes], np.float64)
    beats_s = np.array([beat_s for _, beat_s in changes])
    reached_s = np.r_[0.0, np.cumsum(np.diff(ticks) * beats_s[:-1])] / division
    notes = np.array(sorted(set(found)), np.float64).reshape(-1, 2)
    current = np.searchsorted(ticks, notes[:, 0], "right") - 1
    notes[:, 0] = reached_s[current] + (notes[:, 0] - ticks[current]) * beats_s[current] / division
    notes[:, 0] -= notes[:1, 0]
    return notes[notes[:, 0] <= duration_s]


def _read_events(track: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield the tick, kind and content of a track's events: 0x90 for notes of any channel, or a meta type."""
    at, tick, status = 0, 0, 0
    while at < len(track):
        step, at = _read_number(track, at)
        tick += step
        if track[at] >= 0x80:
            status, at = track[at], at + 1
        if status >= 0xF0:
            kind = 0xF0
            if status == 0xFF:
                kind, at = track[at], at + 1
            length, at = _read_number(track, at)
        else:
            kind, length = status & 0xF0, 1 if status & 0xF0 in (0xC0, 0xD0) else 2
        yield tick, kind, track[at : at + length]
        at += length


def _read_number(track: bytes, at: int) -> tuple[int, int]:
    """Read a number of seven bits a byte. Returns it, and where it ends."""
    number = 0
    while True:
        number, at = number << 7 | track[at] & 0x7F, at + 1
        if track[at - 1] < 0x80:
            return number, at


def are_same_sound(ours: Notes, theirs: Notes) -> bool:
    """Whether two works of one instrument share half of their notes, or all for as long as a match must be.

    Either at one offset, to `TOLERANCE_S`. A stretch goes from the first of its notes to the next that only
    one of the two has, or to the end of either.
    """
    shorter = min(ours.shape[0], theirs.shape[0])
    if not shorter:
        return False
    our_keys, their_keys = (np.sort(notes @ [1.0, APART]) for notes in (ours, theirs))
    steps = np.concatenate(
        [
            (theirs[theirs[:, 1] == pitch, 0][:, None] - ours[ours[:, 1] == pitch, 0]).ravel()
            for pitch in np.unique(ours[:, 1])
        ]
    )
    offsets, counts = np.unique(np.rint(steps / TOLERANCE_S), return_counts=True)
    for offset_s in offsets[counts >= MIN_SHARED] * TOLERANCE_S:
        shared = _are_in(our_keys + offset_s, their_keys)
        if np.count_nonzero(shared) >= SAME_SHARE * shorter:
            return True
        starts = np.r_[our_keys % APART + offset_s, their_keys % APART]
        agree = np.r_[shared, _are_in(their_keys, our_keys + offset_s)]
        end_s = min(ours[-1, 0] + offset_s, theirs[-1, 0])
        inside = (starts >= max(offset_s, 0.0) - TOLERANCE_S) & (starts <= end_s + TOLERANCE_S)
        starts, agree = starts[inside], agree[inside]
        order = np.argsort(starts)
        if _measure_longest(np.r_[starts[order], end_s], np.r_[agree[order], False]) >= MIN_SPAN_S:
            return True
    return False


def _are_in(some: Notes, others: Notes) -> npt.NDArray[np.bool_]:
    """Whether each key is within `TOLERANCE_S` of one of the others, which are sorted."""
    after = np.searchsorted(others, some)
    distance = np.minimum(
        np.abs(some - others[np.minimum(after, others.shape[0] - 1)]),
        np.abs(some - others[np.maximum(after - 1, 0)]),
    )
    return distance <= TOLERANCE_S


def _measure_longest(starts: Notes, agree: npt.NDArray[np.bool_]) -> float:
    """Measure the longest time from a note that agrees to the next that does not."""
    change = np.flatnonzero(np.diff(np.r_[False, agree].astype(np.int8)))
    return float(np.max(starts[change[1::2]] - starts[change[::2]], initial=0.0))
