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

from .code import FRAME_RATE_HZ, Fingerprint
from .keys import STORED_RANKS, undo_speed
from .likeness import Likeness, measure_likeness
from .pairing import NEAR_PITCH, pair_peaks, refine_alignment
from .verify import Evidence

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
    likeness
        As from `measure_likeness`.
    """

    equal_ranks: float
    strong_evenness: float
    evenness: float
    share: float
    rhythm_tail: float
    likeness: Likeness | None

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
    moved = np.rint(frames * evidence.tempo + evidence.lag_frames)
    ranks = stored.ranks[low:high]
    partners = pair_peaks(
        stored.frames[low:high].astype(np.float64),
        stored.pitches[low:high].astype(np.float64),
        moved,
        pitches,
        1.0,
        NEAR_PITCH,
        0.5,
    )
    found = partners >= 0
    likeness = measure_likeness(
        query, stored, evidence.span, *refine_alignment(query, stored, evidence, speed)
    )
    length = last - first + 1
    share = max(
        length / evidence.tempo / speed / max(query.frame_count, 1), length / max(stored.frame_count, 1)
    )
    if not found.any():
        return Sameness(0.0, 0.0, 0.0, min(1.0, share), evidence.rhythm_tail, likeness)
    seconds = ((stored.frames[low:high] - first) / FRAME_RATE_HZ).astype(np.int64)
    strong = ranks < STORED_RANKS
    lowest = _measure_lowest(seconds, found, MIN_PEAKS_PER_SECOND)
    return Sameness(
        equal_ranks=float(np.mean(query.ranks[partners[found]] == ranks[found])),
        strong_evenness=_measure_lowest(seconds[strong], found[strong], MIN_STRONG_PER_SECOND),
        evenness=min(1.0, lowest / float(np.mean(found))),
        share=min(1.0, share),
        rhythm_tail=evidence.rhythm_tail,
        likeness=likeness,
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
