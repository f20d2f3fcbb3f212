"""Verification: are the stored peaks where a candidate's offset says, and could that be chance?

For a lag and a tempo, `n` stored peaks are inside the query, and `k` of them have a query peak within one
frame and one cell. By chance, k is binomial. The rate of chance is measured on each pair of recordings: how
often the same peaks agree where they should not.

* At wrong lags, 8 to 66 frames away, with the right pitches: steady tones and repetitions agree there.
* At wrong pitches, 4 to 20 cells away, at the right lag: two rhythms on one grid agree there, since a drum's
  noise fills a frame with peaks at any pitch.

Of each, the mean of the best three counts: a match must beat chance at its luckiest, not on average. A true
match beats both. A drum loop of the same tempo beats only the first, a drone only the second.

The peaks of one drum beat agree or miss together, so that n of them are fewer than n independent trials. How
unevenly wrong lags agree shows how many they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .agreement import (
    count_agreeing,
    find_heaviest_run,
    fit_alignment,
    mark_agreeing,
    measure_rates_at_lags,
    measure_rates_at_pitches,
    set_bits,
)
from .code import Fingerprint
from .keys import CELLS, pitch_to_cell, undo_speed

WRONG_LAGS = np.concatenate([-np.arange(8, 67), np.arange(8, 67)]).astype(np.int32)
WRONG_PITCHES = np.concatenate([-np.arange(4, 21), np.arange(4, 21)]).astype(np.int32)

TEMPO_REACH = 0.011
"""The tempo is searched this far on either side: a little more than the step between two speeds."""
TEMPO_RELUCTANCE = 0.03
LAG_REACH_FRAMES = 3
WINDOW_FRAMES = 860
"""Lag and tempo are first fitted on the 20 s that agree best, then on wider stretches."""
MIN_SPAN_FRAMES = 215
"""A stretch may be judged alone if it has at least 5 s, in an overlap of at least three times that."""

Frames = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Screen:
    """A query's peaks as bits in which stored peaks are looked up.

    Attributes
    ----------
    speed
        The speed that was undone.
    bits
        uint64, shape (frames, words): bit c of a frame is set if the query has a peak within one frame and
        one cell of cell c.
    """

    speed: float
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
        Stored peaks inside the query (inside the span, where that was judged alone), and those matched.
    lag_chance, pitch_chance
        Rate of agreement at the three luckiest wrong lags, and wrong pitches.
    trials
        How many independent peaks the n are worth: those of one drum beat agree or miss together. From
        the spread of agreement over wrong lags, which for n independent ones would be binomial.
    span
        First and last frame, in the recording, of the stretch that agrees.
    """

    lag_frames: float
    tempo: float
    n: int
    k: int
    lag_chance: float
    pitch_chance: float
    trials: float
    span: tuple[int, int]

    @property
    def lag_tail(self) -> float:
        """-log10 of the probability of k or more by chance, measured at wrong lags."""
        return binomial_tail(self.n, self.k, self.lag_chance)

    @property
    def pitch_tail(self) -> float:
        """-log10 of the probability of k or more by chance, measured at wrong pitches."""
        return binomial_tail(self.n, self.k, self.pitch_chance)

    @property
    def rhythm_tail(self) -> float:
        """-log10 of Chernoff's bound on agreeing so well in `trials` peaks, measured at wrong lags."""
        share = min(self.k / self.n, 1.0 - 1e-9)
        p = min(max(self.lag_chance, 0.02), 0.98)
        if share <= p:
            return 0.0
        gain = share * math.log(share / p) + (1.0 - share) * math.log((1.0 - share) / (1.0 - p))
        return self.trials * gain / math.log(10.0)

    @property
    def tail(self) -> float:
        """The smallest of the three. The one on `trials` counts twice: it is by far the most cautious."""
        return min(self.lag_tail, self.pitch_tail, 2.0 * self.rhythm_tail)


def make_screen(query: Fingerprint, *, speed: float = 1.0) -> Screen:
    """Make the bits of a query for verification, with `speed` undone."""
    frames, pitches = undo_speed(query.frames, query.pitches, speed)
    frame_count = max(1, math.ceil(query.frame_count * speed))
    bits = np.zeros((frame_count, (CELLS + 63) // 64), np.uint64)
    set_bits(frames, pitch_to_cell(pitches), bits)
    return Screen(speed, bits)


def verify(query: Screen, stored: Fingerprint, lag_frames: int) -> Evidence | None:
    """Measure the evidence for a stored recording near a candidate's lag.

    Parameters
    ----------
    query
        As from `make_screen`.
    stored
        The fingerprint of the candidate.
    lag_frames
        The lag of the candidate.

    Returns
    -------
    Evidence or None
        None if the two do not overlap.
    """
    length = query.bits.shape[0]
    first = max(0, -lag_frames)
    last = min(length, stored.frame_count - lag_frames)
    if last <= first:
        return None
    slack = 30 + int(TEMPO_REACH * length)
    low, high = np.searchsorted(stored.frames, (lag_frames + first - slack, lag_frames + last + slack))
    frames = stored.frames[low:high]
    cells = pitch_to_cell(stored.pitches[low:high])
    frames, cells = frames[cells >= 0], cells[cells >= 0]
    lag, tempo = _align(query, frames, cells, lag_frames, first, last)
    agreed = mark_agreeing(frames, cells, query.bits, lag, tempo)
    inside = agreed >= 0
    if not inside.any():
        return None
    frames, cells, agreed = frames[inside], cells[inside], agreed[inside]
    whole = _evidence(query, frames, cells, lag, tempo)
    low, high = _span(agreed, max(whole.lag_chance, whole.pitch_chance))
    span = (int(frames[low]), int(frames[high]))
    evidence = replace(whole, span=span)
    if span[1] - span[0] >= MIN_SPAN_FRAMES and last - first >= 3 * MIN_SPAN_FRAMES:
        part = _evidence(query, frames[low : high + 1], cells[low : high + 1], lag, tempo)
        # The stretch was chosen for its agreement, which makes chance likelier by the number of choices.
        price = 2.0 * math.log10(frames.shape[0] / part.n) + 1.0
        if part.tail - price > whole.tail:
            evidence = part
    return evidence


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


def _evidence(query: Screen, frames: Frames, cells: Frames, lag: float, tempo: float) -> Evidence:
    n, k = count_agreeing(frames, cells, query.bits, lag, tempo)
    lag_rates = np.sort(measure_rates_at_lags(frames, cells, query.bits, lag, tempo, WRONG_LAGS))
    mean, spread = float(np.mean(lag_rates)), float(np.var(lag_rates))
    pitch_rates = np.sort(measure_rates_at_pitches(frames, cells, query.bits, lag, tempo, WRONG_PITCHES))
    return Evidence(
        lag_frames=lag,
        tempo=tempo,
        n=n,
        k=k,
        lag_chance=float(np.mean(lag_rates[-3:])),
        pitch_chance=float(np.mean(pitch_rates[-3:])),
        trials=min(float(n), mean * (1.0 - mean) / max(spread, 1e-9)),
        span=(int(frames[0]), int(frames[-1])),
    )


def _align(
    query: Screen, frames: Frames, cells: Frames, lag_frames: int, first: int, last: int
) -> tuple[float, float]:
    """Find the best lag and tempo: on the window that agrees best, then on wider ones."""
    reach = min((last - first) / 2.0, WINDOW_FRAMES / 2.0)
    middle = (first + last) / 2.0
    if last - first > WINDOW_FRAMES:
        agreed = frames[mark_agreeing(frames, cells, query.bits, float(lag_frames), 1.0) == 1] - lag_frames
        if agreed.shape[0]:
            ends = np.searchsorted(agreed, agreed + WINDOW_FRAMES)
            best = int(np.argmax(ends - np.arange(agreed.shape[0])))
            middle = float(np.mean(agreed[best : ends[best]]))
    step = max(1.0 / max(reach, 1.0), 1e-3)
    lag, tempo = fit_alignment(
        frames,
        cells,
        query.bits,
        float(lag_frames),
        1.0,
        middle,
        reach,
        step,
        int(TEMPO_REACH / step),
        LAG_REACH_FRAMES,
        TEMPO_RELUCTANCE,
    )
    while middle - reach > first or middle + reach < last:
        reach *= 2.0
        lag, tempo = fit_alignment(
            frames, cells, query.bits, lag, tempo, middle, reach, 1.0 / reach, 2, 1, 0.0
        )
    return lag, tempo


def _span(agreed: npt.NDArray[np.int8], chance: float) -> tuple[int, int]:
    """Find the stretch that best separates agreement from chance.

    It is the run with the greatest sum of log likelihood ratios. The rate inside it is estimated twice.
    """
    chance = min(max(chance, 0.02), 0.95)
    min_rate = chance + 0.1 * (1.0 - chance)
    rate = max(float(np.mean(agreed)), min_rate)
    low, high = 0, agreed.shape[0] - 1
    for _ in range(2):
        rate = min(rate, 0.99)
        gain = np.where(agreed == 1, math.log(rate / chance), math.log((1.0 - rate) / (1.0 - chance)))
        low, high = find_heaviest_run(gain)
        rate = max(float(np.mean(agreed[low : high + 1])), min_rate)
    return low, high
