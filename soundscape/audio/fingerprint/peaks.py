"""Spectral peaks: what a fingerprint keeps of a sound.

A peak is a local maximum of the shared magnitude spectrum. No neighbour within 6 frames and 8 bins exceeds it
by more than 6 dB. Peaks are ranked by magnitude among those of their band in the second before and the second
after. So a quiet passage, a low-passed copy and a tilted spectrum keep as many peaks as a loud one. All later
steps select by rank: the strongest few make the keys of the inverted index, all kept peaks verify a
candidate.

The idea of constellations of peaks is A. Wang, "An industrial-strength audio search algorithm",
ISMIR 2003.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from soundscape.audio.compiled import compiled

from .code import Fingerprint
from .levels import LevelMeter, bin_to_cell, cell_to_bin

LOWEST_BIN = 6
HIGHEST_BIN = 511
"""Bins searched, both ends included: 65 Hz to 5.5 kHz at 22,050 Hz and n_fft 2048."""

NEIGHBOUR_FRAMES = 6
NEIGHBOUR_BINS = 8
NEIGHBOUR_RATIO = 2.0
"""A maximum is no peak if a neighbour is this many times (6 dB) stronger."""

RANK_FRAMES = 43
"""A peak is ranked among those of its band at most this many frames (1 s) away."""

PITCH_STEPS = 7
"""Pitch units per cell of the warped frequency axis; odd, so that a cell has a middle."""

BANDS = 6
BAND_PITCHES = 44 * PITCH_STEPS
"""Six bands of equal width on the warped axis, counted from LOWEST_BIN."""

RANKS_KEPT = 20
"""Per band and 2 s: up to 60 peaks per second."""

FLOOR = 0.016
"""Minimum magnitude of a peak: 90 dB below a full-scale sine under a 2048 Hann window."""

_RANKED_FRAMES = 512  # ranked at once: 12 s
_ROWS = 16  # ring of frames; a power of two that holds 2 * NEIGHBOUR_FRAMES + 1
_WIDTH = HIGHEST_BIN - LOWEST_BIN + 1

_Float32s = npt.NDArray[np.float32]


def bin_to_pitch(bin_position: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Convert a fractional bin to a pitch on the warped axis: linear below about 1.3 kHz, logarithmic above.

    asinh(0.008 · bin) / 0.008 cells, PITCH_STEPS units to a cell. The error of a peak's position is
    constant in bins at low frequencies and grows with the frequency under a change of speed; the warp
    gives both about the same room.
    """
    return bin_to_cell(bin_position) * PITCH_STEPS


def pitch_to_bin(pitch: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Convert a pitch to a fractional bin: the inverse of `bin_to_pitch`."""
    return cell_to_bin(np.asarray(pitch, np.float64) / PITCH_STEPS)


LOWEST_PITCH = int(bin_to_pitch(LOWEST_BIN - 0.5))


@compiled()
def _greater(a: _Float32s, b: _Float32s, out: _Float32s) -> None:
    """out = max(a, b), as a loop that becomes vector instructions."""
    for i in range(out.shape[0]):
        x = a[i]
        y = b[i]
        out[i] = x if x > y else y


@compiled()
def _widest(row: _Float32s, scratch: _Float32s, out: _Float32s) -> None:
    """out[i] = max(row[i - 8 : i + 9]), by doubling windows: 2, 4, 8, 16, then two of 16."""
    n = row.shape[0]
    m = n + 2 * NEIGHBOUR_BINS
    padded = scratch[0]
    for i in range(NEIGHBOUR_BINS):
        padded[i] = padded[NEIGHBOUR_BINS + n + i] = 0.0
    # A loop: numba takes three seconds to compile an assignment of slices.
    for i in range(n):
        padded[NEIGHBOUR_BINS + i] = row[i]
    twos = scratch[1]
    _greater(padded[: m - 1], padded[1:m], twos[: m - 1])
    _greater(twos[: m - 3], twos[2 : m - 1], padded[: m - 3])
    _greater(padded[: m - 7], padded[4 : m - 3], twos[: m - 7])
    _greater(twos[: m - 15], twos[8 : m - 7], padded[: m - 15])
    _greater(padded[:n], padded[1 : n + 1], out)


@compiled()
def _mark(
    before: _Float32s, here: _Float32s, after: _Float32s, tallest: _Float32s, is_peak: npt.NDArray[np.uint8]
) -> None:
    """Mark the peaks of a frame, as a loop without branches, which becomes vector instructions."""
    ratio, floor = np.float32(NEIGHBOUR_RATIO), np.float32(FLOOR)
    for i in range(1, is_peak.shape[0]):
        x = here[i]
        is_peak[i] = (
            np.uint8(ratio * x >= tallest[i - 1])
            & np.uint8(x >= floor)
            & np.uint8(here[i - 1] < x)
            & np.uint8(here[i + 1] <= x)
            & np.uint8(before[i - 1] <= x)
            & np.uint8(before[i] <= x)
            & np.uint8(before[i + 1] <= x)
            & np.uint8(after[i - 1] < x)
            & np.uint8(after[i] < x)
            & np.uint8(after[i + 1] < x)
        )


@compiled()
def _find(
    S: _Float32s,
    seen: int,
    rows: _Float32s,
    widest: _Float32s,
    scratch: _Float32s,
    frames: npt.NDArray[np.int32],
    positions: _Float32s,
    strengths: _Float32s,
) -> int:
    """Push S's frames through the rings; write the peaks of the frames that now have their neighbours.

    `widest[j]` is a ring of maxima over 17 bins and 1, 2, 4, 8 frames (j = 0 to 3) ending at the row's own.
    """
    found = 0
    tallest = np.empty(_WIDTH, np.float32)
    is_peak = np.empty(_WIDTH + 1, np.uint8)
    for t in range(S.shape[0]):
        now = seen + t
        slot = now % _ROWS
        for i in range(_WIDTH + 2):
            rows[slot, i] = S[t, LOWEST_BIN - 1 + i]
        _widest(rows[slot, 1 : _WIDTH + 1], scratch, widest[0, slot])
        _greater(widest[0, slot], widest[0, (now - 1) % _ROWS], widest[1, slot])
        _greater(widest[1, slot], widest[1, (now - 2) % _ROWS], widest[2, slot])
        _greater(widest[2, slot], widest[2, (now - 4) % _ROWS], widest[3, slot])
        _greater(widest[3, slot], widest[3, (now - 5) % _ROWS], tallest)
        at = now - NEIGHBOUR_FRAMES
        if at < 0:
            continue
        before = rows[(at - 1) % _ROWS]
        here = rows[at % _ROWS]
        after = rows[(at + 1) % _ROWS]
        _mark(before, here, after, tallest, is_peak)
        for i in range(1, _WIDTH + 1):
            if not is_peak[i]:
                continue
            x = here[i]
            # Vertex of the parabola through the three log magnitudes.
            left = np.log(max(here[i - 1], np.float32(1e-9)))
            middle = np.log(x)
            right = np.log(max(here[i + 1], np.float32(1e-9)))
            bend = left - 2.0 * middle + right
            shift = 0.5 * (left - right) / bend if bend < 0.0 else 0.0
            frames[found] = at
            positions[found] = LOWEST_BIN + (i - 1) + min(max(shift, -0.5), 0.5)
            strengths[found] = x
            found += 1
    return found


@compiled()
def _rank(
    frames: npt.NDArray[np.int32],
    bands: npt.NDArray[np.int8],
    strengths: _Float32s,
    start: int,
    stop: int,
    ranks: npt.NDArray[np.uint8],
) -> None:
    """ranks[i] = how many peaks of i's band within RANK_FRAMES are stronger (at most RANKS_KEPT)."""
    mates = np.empty(frames.shape[0], np.int64)
    for band in range(BANDS):
        size = 0
        for i in range(frames.shape[0]):
            if bands[i] == band:
                mates[size] = i
                size += 1
        for place in range(size):
            i = mates[place]
            if i < start or i >= stop:
                continue
            stronger = 0
            other = place - 1
            while other >= 0 and stronger < RANKS_KEPT:
                j = mates[other]
                if frames[i] - frames[j] > RANK_FRAMES:
                    break
                stronger += strengths[j] >= strengths[i]
                other -= 1
            other = place + 1
            while other < size and stronger < RANKS_KEPT:
                j = mates[other]
                if frames[j] - frames[i] > RANK_FRAMES:
                    break
                stronger += strengths[j] > strengths[i]
                other += 1
            ranks[i] = stronger


class Fingerprinter:
    """Streaming extraction of a `Fingerprint` from batches of the shared magnitude spectrum.

    Parameters
    ----------
    sample_rate, n_fft, hop_length
        Of the shared spectrum. The peaks' constants are tuned for 22,050 Hz, 2048 and 512 and a
        fingerprint only compares with others made so: anything else raises ValueError.

    The result does not depend on how the frames are split into batches.
    """

    def __init__(self, *, sample_rate: int = 22_050, n_fft: int = 2048, hop_length: int = 512) -> None:
        if (sample_rate, n_fft, hop_length) != (22_050, 2048, 512):
            raise ValueError("fingerprints are defined on 22,050 Hz, n_fft 2048, hop_length 512")
        self._levels = LevelMeter()
        self._frames_seen = 0
        self._rows = np.zeros((_ROWS, _WIDTH + 2), np.float32)
        self._widest = np.zeros((4, _ROWS, _WIDTH), np.float32)
        self._scratch = np.zeros((2, _WIDTH + 2 * NEIGHBOUR_BINS), np.float32)
        self._frames = np.zeros(0, np.int32)
        self._pitches = np.zeros(0, np.uint16)
        self._bands = np.zeros(0, np.int8)
        self._strengths = np.zeros(0, np.float32)
        self._ranked_to = 0  # index into the pending arrays above; earlier ones are context only
        self._ranked_frames = 0
        self._kept: list[tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]] = []

    def push(self, S: _Float32s) -> None:
        """Push magnitudes S, float32, shape (frames, 1025)."""
        if S.ndim != 2 or S.shape[1] != 1025:
            raise ValueError(f"S must have shape (frames, 1025), not {S.shape}")
        self._levels.push(S)
        for first in range(0, S.shape[0], 2048):
            self._find(S[first : first + 2048])
        complete_to = self._frames_seen - NEIGHBOUR_FRAMES - RANK_FRAMES - 1
        # Each time, the peaks of two seconds before are gone through again.
        if complete_to >= self._ranked_frames + _RANKED_FRAMES:
            self._rank(complete_to)
            self._ranked_frames = complete_to

    def result(self) -> Fingerprint:
        """The fingerprint of everything that was pushed. Nothing may be pushed afterwards."""
        frame_count = self._frames_seen
        self._find(np.zeros((NEIGHBOUR_FRAMES, 1025), np.float32))
        self._rank(self._frames_seen)
        kept = self._kept or [(self._frames[:0], self._pitches[:0], np.zeros(0, np.uint8))]
        frames, pitches, ranks = (np.concatenate(column) for column in zip(*kept, strict=True))
        inside = frames < frame_count
        return Fingerprint(
            frame_count=frame_count,
            frames=frames[inside],
            pitches=pitches[inside],
            ranks=ranks[inside],
            levels=self._levels.result(),
        )

    def _find(self, S: _Float32s) -> None:
        most = S.shape[0] * (_WIDTH // 2 + 1)
        frames = np.empty(most, np.int32)
        positions = np.empty(most, np.float32)
        strengths = np.empty(most, np.float32)
        n = _find(
            S,
            self._frames_seen,
            self._rows,
            self._widest,
            self._scratch,
            frames,
            positions,
            strengths,
        )
        self._frames_seen += S.shape[0]
        pitches = np.rint(bin_to_pitch(positions[:n])).astype(np.uint16)
        self._frames = np.concatenate([self._frames, frames[:n]])
        self._pitches = np.concatenate([self._pitches, pitches])
        self._bands = np.concatenate(
            [self._bands, ((pitches - LOWEST_PITCH) // BAND_PITCHES).astype(np.int8)]
        )
        self._strengths = np.concatenate([self._strengths, strengths[:n]])

    def _rank(self, complete_to: int) -> None:
        """Rank and keep the pending peaks up to frame `complete_to`; drop what no later peak looks at."""
        stop = int(np.searchsorted(self._frames, complete_to, side="right"))
        start = self._ranked_to
        if stop > start:
            ranks = np.empty(self._frames.shape[0], np.uint8)
            _rank(self._frames, self._bands, self._strengths, start, stop, ranks)
            keep = start + np.flatnonzero(ranks[start:stop] < RANKS_KEPT)
            self._kept.append((self._frames[keep], self._pitches[keep], ranks[keep]))
            self._ranked_to = stop
        drop = int(np.searchsorted(self._frames, complete_to - RANK_FRAMES))
        drop = min(drop, self._ranked_to)
        self._frames = self._frames[drop:]
        self._pitches = self._pitches[drop:]
        self._bands = self._bands[drop:]
        self._strengths = self._strengths[drop:]
        self._ranked_to -= drop
