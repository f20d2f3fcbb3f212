"""Sameness: are two sounds one recording, or two works that share notes?

Works that one sampler plays share whole notes, to the sample, often on one grid of beats. Their peaks agree
far beyond chance, so verification alone calls them matches. What differs is how they agree:

* The rank of a peak tells how strong it is among its neighbours in time. In one recording the neighbours are
  the same, so ranks agree. In another work they are other notes.
* Levels follow each other in one recording. Another work is louder at other times.
* Noise changes ranks and leaves levels, another sound laid over a recording changes levels most. So either of
  the two speaks for one recording, and neither speaks against it alone.
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

from .code import Fingerprint
from .keys import undo_speed
from .likeness import MIN_CORRELATION, Likeness, measure_likeness
from .pairing import NEAR_PITCH, pair_peaks, refine_alignment
from .verify import Evidence

MAX_EQUAL_RANKS = 0.35
"""From this share of equal ranks on, a higher one adds nothing: only copies have so many."""
MIN_TELLING, MAX_TELLING = 0.9, 0.9975
"""Levels count from the lower correlation on, and fully from the upper. Below the lower one, other works and
beds are as alike as copies."""


@dataclass(frozen=True)
class Sameness:
    """How the peaks of two sounds agree within their span.

    Attributes
    ----------
    equal_ranks
        Share of the paired peaks that have the same rank.
    share
        The larger of the span's shares of the query and of the recording, 0 to 1.
    rhythm_tail
        As in `Evidence`.
    likeness
        As from `measure_likeness`. What cannot be compared counts as `MIN_CORRELATION`.
    """

    equal_ranks: float
    share: float
    rhythm_tail: float
    likeness: Likeness | None

    NAMES: ClassVar = ("ln(1 + rhythm_tail)", "share", "ranks or levels")

    @property
    def features(self) -> tuple[float, float, float]:
        """What the logistic weighs."""
        return math.log1p(self.rhythm_tail), self.share, self.ranks_or_levels

    @property
    def ranks_or_levels(self) -> float:
        """How much ranks or levels speak for one recording, 0 to 1; either of them can say it all."""
        ranks = min(self.equal_ranks / MAX_EQUAL_RANKS, 1.0)
        correlation = MIN_CORRELATION if self.likeness is None else self.likeness.correlation
        telling = min(max(correlation, MIN_TELLING), MAX_TELLING)
        levels = math.log((1.0 - telling) / (1.0 - MIN_TELLING)) / math.log(
            (1.0 - MAX_TELLING) / (1.0 - MIN_TELLING)
        )
        return 1.0 - (1.0 - ranks) * (1.0 - levels)


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
        return Sameness(0.0, min(1.0, share), evidence.rhythm_tail, likeness)
    return Sameness(
        equal_ranks=float(np.mean(query.ranks[partners[found]] == stored.ranks[low:high][found])),
        share=min(1.0, share),
        rhythm_tail=evidence.rhythm_tail,
        likeness=likeness,
    )
