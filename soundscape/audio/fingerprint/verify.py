"""Verification: do the stored peaks lie where the candidate's offset says, and could that be chance?

For a lag and a tempo, `n` stored peaks fall inside the query and `k` of them have a query peak within
one frame and one cell. Under chance k is binomial with the rate p at which the same peaks agree at
wrong lags of the same two recordings, 8 to 66 frames away. Two p are used, the mean over those lags and
the mean of the best three: the mean alone is fooled by drum grids and steady tones, which agree well at
some wrong lags too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from .code import Fingerprint
from .keys import CELLS, cells_of_pitch, scaled

STORED_RANKS = 20
QUERY_RANKS = 20
WRONG_LAGS = np.concatenate([-np.arange(8, 67, 4), np.arange(8, 67, 4)]).astype(np.int32)
TEMPO_REACH = 0.02
LAG_REACH_FRAMES = 3
FIRST_WINDOW_FRAMES = 860
"""Tempo is searched on at most this much (20 s), then followed outwards by regression."""

_WORDS = (CELLS + 63) // 64


@dataclass(frozen=True, eq=False)
class Screen:
    """A query's peaks, undone by one speed, as bits to look stored peaks up in.

    `bits` uint64, shape (frames, words): bit c of a frame is set where the query has a peak within one
    frame and one cell of cell c.
    """

    speed: float
    frame_count: int
    bits: npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Evidence:
    """What verification found at the best lag and tempo near a candidate.

    Attributes
    ----------
    lag_frames
        Where the query's first frame lies in the recording.
    tempo
        Recording frames per frame of the speed-corrected query.
    n, k
        Stored peaks inside the query, and those matched.
    chance, chance_best
        Rate of agreement at wrong lags: mean, and mean of the best three.
    span
        First and last frame, in the recording, of the stretch that agrees.
    """

    lag_frames: float
    tempo: float
    n: int
    k: int
    chance: float
    chance_best: float
    span: tuple[int, int]

    @property
    def tail(self) -> float:
        """-log10 of the binomial tail against the mean chance."""
        return binomial_tail(self.n, self.k, self.chance)

    @property
    def tail_best(self) -> float:
        """-log10 of the binomial tail against the best three wrong lags."""
        return binomial_tail(self.n, self.k, self.chance_best)


def screen(query: Fingerprint, *, speed: float = 1.0) -> Screen:
    """Lay a query's peaks out for verification."""
    chosen = query.ranks < QUERY_RANKS
    frames, pitches = scaled(query.frames[chosen], query.pitches[chosen], speed)
    frame_count = max(1, int(np.ceil(query.frame_count * speed)))
    bits = np.zeros((frame_count, _WORDS), np.uint64)
    _spread(frames, cells_of_pitch(pitches), bits)
    return Screen(speed, frame_count, bits)


def verify(query: Screen, stored: Fingerprint, lag_frames: int) -> Evidence | None:
    """Evidence for a stored recording near a candidate's lag; None where the two do not overlap."""
    chosen = stored.ranks < STORED_RANKS
    frames = stored.frames[chosen]
    cells = cells_of_pitch(stored.pitches[chosen])
    inside = (
        (cells >= 0) & (frames >= lag_frames - 90) & (frames <= lag_frames + 1.03 * query.frame_count + 90)
    )
    frames, cells = frames[inside], cells[inside]
    if not frames.shape[0]:
        return None
    first = max(0, -lag_frames)
    last = min(query.frame_count, stored.frame_count - lag_frames)
    if last <= first:
        return None
    middle = (first + last) / 2.0
    reach = min((last - first) / 2.0, FIRST_WINDOW_FRAMES / 2.0)
    tempo_step = max(1.0 / max(reach, 1.0), 1e-3)
    tempo_steps = int(TEMPO_REACH / tempo_step)
    lag, tempo = _fit(frames, cells, query.bits, float(lag_frames), middle, reach, tempo_step, tempo_steps)
    n, k = _agree(frames, cells, query.bits, lag, tempo)
    if n == 0:
        return None
    rates = _wrong(frames, cells, query.bits, lag, tempo, WRONG_LAGS)
    rates.sort()
    chance = float(np.mean(rates))
    chance_best = float(np.mean(rates[-3:]))
    hits = _hits(frames, cells, query.bits, lag, tempo)
    span = _span(frames, hits, chance, k / n)
    return Evidence(lag, tempo, n, k, chance, chance_best, span)


def binomial_tail(n: int, k: int, p: float) -> float:
    """-log10 P(X >= k), X ~ Binomial(n, p); p is kept within [0.02, 0.98]."""
    p = min(max(p, 0.02), 0.98)
    if k <= n * p:
        return 0.0
    term = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    term += k * math.log(p) + (n - k) * math.log1p(-p)
    ratio, total, i = 1.0, 1.0, k
    while i < n and ratio > 1e-9:
        ratio *= (n - i) / (i + 1) * p / (1.0 - p)
        total += ratio
        i += 1
    return -(term + math.log(total)) / math.log(10.0)


def _span(
    frames: npt.NDArray[np.int32], hits: npt.NDArray[np.int8], chance: float, rate: float
) -> tuple[int, int]:
    """The stretch whose peaks best separate agreement from chance: a maximal sum of log likelihood ratios."""
    chance = min(max(chance, 0.02), 0.95)
    inside = np.flatnonzero(hits >= 0)
    rate = max(rate, chance + 0.1 * (1 - chance))
    first, last = int(frames[inside[0]]), int(frames[inside[-1]])
    for _ in range(2):
        gain = np.where(
            hits[inside] == 1, math.log(rate / chance), math.log((1 - min(rate, 0.99)) / (1 - chance))
        )
        low, high = _heaviest(gain)
        first, last = int(frames[inside[low]]), int(frames[inside[high]])
        agreed = float(np.mean(hits[inside[low : high + 1]] == 1))
        rate = min(0.99, max(agreed, chance + 0.1 * (1 - chance)))
    return first, last


@njit(cache=True, nogil=True)
def _heaviest(gain: npt.NDArray[np.float64]) -> tuple[int, int]:
    """Ends of the contiguous run with the greatest sum (Kadane)."""
    best = -1e300
    low = high = start = 0
    total = 0.0
    for i in range(gain.shape[0]):
        if total <= 0.0:
            total = 0.0
            start = i
        total += gain[i]
        if total > best:
            best = total
            low = start
            high = i
    return low, high


@njit(cache=True, nogil=True)
def _spread(
    frames: npt.NDArray[np.int32], cells: npt.NDArray[np.int32], bits: npt.NDArray[np.uint64]
) -> None:
    for i in range(frames.shape[0]):
        if cells[i] < 0:
            continue
        for t in range(max(0, frames[i] - 1), min(bits.shape[0], frames[i] + 2)):
            for c in range(max(0, cells[i] - 1), min(CELLS, cells[i] + 2)):
                bits[t, c >> 6] |= np.uint64(1) << np.uint64(c & 63)


@njit(cache=True, nogil=True)
def _agree(
    frames: npt.NDArray[np.int32],
    cells: npt.NDArray[np.int32],
    bits: npt.NDArray[np.uint64],
    lag: float,
    tempo: float,
) -> tuple[int, int]:
    """(n, k): stored peaks that fall inside the query, and those with a query peak there."""
    n = 0
    k = 0
    for i in range(frames.shape[0]):
        t = int(np.floor((frames[i] - lag) / tempo + 0.5))
        if t < 0 or t >= bits.shape[0]:
            continue
        n += 1
        c = cells[i]
        k += int((bits[t, c >> 6] >> np.uint64(c & 63)) & np.uint64(1))
    return n, k


@njit(cache=True, nogil=True)
def _hits(
    frames: npt.NDArray[np.int32],
    cells: npt.NDArray[np.int32],
    bits: npt.NDArray[np.uint64],
    lag: float,
    tempo: float,
) -> npt.NDArray[np.int8]:
    """Per stored peak: 1 matched, 0 not, -1 outside the query."""
    hits = np.full(frames.shape[0], -1, np.int8)
    for i in range(frames.shape[0]):
        t = int(np.floor((frames[i] - lag) / tempo + 0.5))
        if 0 <= t < bits.shape[0]:
            c = cells[i]
            hits[i] = (bits[t, c >> 6] >> np.uint64(c & 63)) & np.uint64(1)
    return hits


@njit(cache=True, nogil=True)
def _wrong(
    frames: npt.NDArray[np.int32],
    cells: npt.NDArray[np.int32],
    bits: npt.NDArray[np.uint64],
    lag: float,
    tempo: float,
    away: npt.NDArray[np.int32],
) -> npt.NDArray[np.float64]:
    """Rate of agreement at each wrong lag, with one matched and one unmatched peak added."""
    rates = np.empty(away.shape[0])
    for a in range(away.shape[0]):
        n, k = _agree(frames, cells, bits, lag + away[a], tempo)
        rates[a] = (k + 1.0) / (n + 2.0)
    return rates


@njit(cache=True, nogil=True)
def _fit(
    frames: npt.NDArray[np.int32],
    cells: npt.NDArray[np.int32],
    bits: npt.NDArray[np.uint64],
    lag: float,
    middle: float,
    reach: float,
    tempo_step: float,
    tempo_steps: int,
) -> tuple[float, float]:
    """Lag and tempo with the most agreement within `reach` frames of the query's frame `middle`."""
    low = np.searchsorted(frames, lag + middle - reach - 6)
    high = np.searchsorted(frames, lag + middle + reach + 7)
    frames = frames[low:high]
    cells = cells[low:high]
    best = -1
    best_lag = lag
    best_tempo = 1.0
    for s in range(2 * tempo_steps + 1):
        # From the middle outwards, so that of equals the plainest stands.
        m = (s + 1) // 2 if s % 2 else -(s // 2)
        tempo = 1.0 + m * tempo_step
        for d in range(2 * LAG_REACH_FRAMES + 1):
            e = (d + 1) // 2 if d % 2 else -(d // 2)
            at = lag + e + middle * (1.0 - tempo)
            _, k = _agree(frames, cells, bits, at, tempo)
            if k > best:
                best = k
                best_lag = at
                best_tempo = tempo
    return best_lag, best_tempo
