"""Sameness: are two sounds one recording, or two works that share notes?

Works that one sampler plays share whole notes, to the sample, often on one grid of beats. Their peaks agree
far beyond chance, so verification alone calls them matches. What differs is how they agree:

* The rank of a peak tells how strong it is among its neighbours in time. In one recording the neighbours are
  the same, so ranks agree. In another work they are other notes.
* One recording agrees all the time, two works while they play the same notes. The strongest peaks show it
  best: noise and codecs hide and add weak ones.
* Agreement over a small part of both, in few independent peaks, is what two works come to.

The weights come from works of one instrument against each other, and from recordings in noise, re-encoded,
cut, played too fast and mixed over each other. Sounds with few peaks, such as tunes of pure tones, are among
both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from soundscape.audio.compiled import compiled

from .code import FRAME_RATE_HZ, Fingerprint
from .keys import STORED_RANKS, undo_speed
from .peaks import PITCH_STEPS
from .verify import Evidence

NEAR_PITCH = 2 * PITCH_STEPS
"""Paired peaks are at most two cells apart, and at most a frame."""
MIN_PEAKS_PER_SECOND = 5
MIN_STRONG_PER_SECOND = 3
"""A second with fewer peaks says nothing of how evenly two sounds agree."""


@dataclass(frozen=True)
class Sameness:
    """How the peaks of two sounds agree within their span.

    Attributes
    ----------
    equal_ranks
        Share of the paired peaks that have the same rank.
    strong_evenness
        Share of the recording's strongest peaks that are paired, in the tenth of the seconds with the fewest
        such pairs.
    evenness
        The same of all its peaks, relative to the whole span's, 0 to 1.
    share
        The larger of the span's shares of the query and of the recording, 0 to 1.
    rhythm_tail
        As in `Evidence`.
    """

    equal_ranks: float
    strong_evenness: float
    evenness: float
    share: float
    rhythm_tail: float

    NAMES: ClassVar = ("ln(1 + rhythm_tail)", "equal_ranks", "strong_evenness", "evenness", "share")

    @property
    def features(self) -> tuple[float, float, float, float, float]:
        """What the logistic weighs."""
        return (
            math.log1p(self.rhythm_tail),
            self.equal_ranks,
            self.strong_evenness,
            self.evenness,
            self.share,
        )


def measure_sameness(query: Fingerprint, stored: Fingerprint, evidence: Evidence, speed: float) -> Sameness:
    """Measure how a query and a stored recording agree within the span that verification found.

    Parameters
    ----------
    query, stored
        The fingerprints.
    evidence
        As from `verify`.
    speed
        The speed of the query that was undone.
    """
    first, last = evidence.span
    low, high = np.searchsorted(stored.frames, (first, last + 1))
    frames, pitches = undo_speed(query.frames, query.pitches, speed)
    moved = np.rint(frames * evidence.tempo + evidence.lag_frames).astype(np.int32)
    ranks = stored.ranks[low:high]
    found, is_equal = _pair_peaks(
        stored.frames[low:high],
        stored.pitches[low:high].astype(np.float64),
        ranks,
        moved,
        pitches,
        query.ranks,
    )
    length = last - first + 1
    share = max(
        length / evidence.tempo / speed / max(query.frame_count, 1), length / max(stored.frame_count, 1)
    )
    if not found.any():
        return Sameness(0.0, 0.0, 0.0, min(1.0, share), evidence.rhythm_tail)
    seconds = ((stored.frames[low:high] - first) / FRAME_RATE_HZ).astype(np.int64)
    strong = ranks < STORED_RANKS
    lowest = _measure_lowest(seconds, found, MIN_PEAKS_PER_SECOND)
    return Sameness(
        equal_ranks=float(np.mean(is_equal[found])),
        strong_evenness=_measure_lowest(seconds[strong], found[strong], MIN_STRONG_PER_SECOND),
        evenness=min(1.0, lowest / float(np.mean(found))),
        share=min(1.0, share),
        rhythm_tail=evidence.rhythm_tail,
    )


def _measure_lowest(
    seconds: npt.NDArray[np.int64], found: npt.NDArray[np.bool_], min_peaks_per_second: int
) -> float:
    """Measure the share of peaks that are found, in the tenth of the seconds that have fewest."""
    peaks, agreeing = np.bincount(seconds), np.bincount(seconds, found)
    enough = peaks >= min_peaks_per_second
    if not enough.any():
        return 1.0
    rates = np.sort(agreeing[enough] / peaks[enough])
    return float(rates[rates.shape[0] // 10])


@compiled()
def _pair_peaks(
    frames: npt.NDArray[np.int32],
    pitches: npt.NDArray[np.float64],
    ranks: npt.NDArray[np.uint8],
    other_frames: npt.NDArray[np.int32],
    other_pitches: npt.NDArray[np.float64],
    other_ranks: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Pair each peak with the nearest of the others: whether there is one, whether its rank is the same."""
    found = np.zeros(frames.shape[0], np.bool_)
    is_equal = np.zeros(frames.shape[0], np.bool_)
    start = 0
    for i in range(frames.shape[0]):
        while start < other_frames.shape[0] and other_frames[start] < frames[i] - 1:
            start += 1
        nearest = 1e9
        j = start
        while j < other_frames.shape[0] and other_frames[j] <= frames[i] + 1:
            step = other_pitches[j] - pitches[i]
            distance = abs(step) + 0.5 * abs(other_frames[j] - frames[i])
            if abs(step) <= NEAR_PITCH and distance < nearest:
                nearest = distance
                found[i] = True
                is_equal[i] = other_ranks[j] == ranks[i]
            j += 1
    return found, is_equal
