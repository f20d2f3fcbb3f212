"""Sameness: are two sounds one recording, or two works that share notes?

Works that one sampler plays share whole notes, to the sample, often on one grid of beats. Their peaks agree
far beyond chance, so verification alone calls them matches. What differs is how they agree:

* The rank of a peak tells how strong it is among its neighbours in time. In one recording the neighbours are
  the same, so ranks agree. In another work they are other notes.
* Where pitches agree to a seventh of a cell, nothing disturbs them, so nearly all peaks of one recording must
  agree. Noise that hides peaks also moves those that are left.
* One recording agrees all the time, two works while they play the same notes.
* Agreement over a small part of both, in few independent peaks, is what two works come to.

The weights come from works of one instrument against each other, and from recordings in noise, re-encoded,
cut, played too fast and mixed over each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from soundscape.audio.compiled import compiled

from .code import FRAME_RATE_HZ, Fingerprint
from .keys import undo_speed
from .peaks import PITCH_STEPS
from .verify import Evidence

NEAR_PITCH = 2 * PITCH_STEPS
"""Paired peaks are at most two cells apart, and at most a frame."""
EQUAL_PITCH = 1.0
EQUAL_RANK = 2
"""Pitches that differ by no more, after the median difference is taken off, and ranks, count as equal."""
MIN_PEAKS_PER_SECOND = 5
"""A second with fewer peaks says nothing of how evenly two sounds agree."""


@dataclass(frozen=True)
class Sameness:
    """How the peaks of two sounds agree within their span.

    Attributes
    ----------
    equal_ranks
        Share of the paired peaks that have about the same rank.
    equal_pitches
        Share of the paired peaks that have the same pitch.
    evenness
        Agreement in the tenth of the seconds that agree least, relative to the whole span's, 0 to 1.
    share
        The larger of the span's shares of the query and of the recording, 0 to 1.
    rhythm_tail
        As in `Evidence`.
    """

    equal_ranks: float
    equal_pitches: float
    evenness: float
    share: float
    rhythm_tail: float

    @property
    def features(self) -> tuple[float, float, float, float, float]:
        """What the logistic weighs."""
        return (
            math.log1p(self.rhythm_tail),
            self.equal_ranks,
            self.equal_pitches,
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
    found, pitch_steps, rank_steps = _pair_peaks(
        stored.frames[low:high],
        stored.pitches[low:high].astype(np.float64),
        stored.ranks[low:high].astype(np.int16),
        moved,
        pitches,
        query.ranks.astype(np.int16),
    )
    length = last - first + 1
    share = max(
        length / evidence.tempo / speed / max(query.frame_count, 1), length / max(stored.frame_count, 1)
    )
    if not found.any():
        return Sameness(0.0, 0.0, 0.0, min(1.0, share), evidence.rhythm_tail)
    steps = pitch_steps[found]
    return Sameness(
        equal_ranks=float(np.mean(np.abs(rank_steps[found]) <= EQUAL_RANK)),
        equal_pitches=float(np.mean(np.abs(steps - np.median(steps)) <= EQUAL_PITCH)),
        evenness=_measure_evenness(stored.frames[low:high] - first, found),
        share=min(1.0, share),
        rhythm_tail=evidence.rhythm_tail,
    )


def _measure_evenness(frames: npt.NDArray[np.int32], found: npt.NDArray[np.bool_]) -> float:
    seconds = (frames / FRAME_RATE_HZ).astype(np.int64)
    peaks, agreeing = np.bincount(seconds), np.bincount(seconds, found)
    enough = peaks >= MIN_PEAKS_PER_SECOND
    if not enough.any():
        return 1.0
    rates = np.sort(agreeing[enough] / peaks[enough])
    return min(1.0, float(rates[rates.shape[0] // 10] / np.mean(found)))


@compiled()
def _pair_peaks(
    frames: npt.NDArray[np.int32],
    pitches: npt.NDArray[np.float64],
    ranks: npt.NDArray[np.int16],
    other_frames: npt.NDArray[np.int32],
    other_pitches: npt.NDArray[np.float64],
    other_ranks: npt.NDArray[np.int16],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64], npt.NDArray[np.int16]]:
    """Pair each peak with the nearest of the others: whether there is one, and how it differs."""
    found = np.zeros(frames.shape[0], np.bool_)
    pitch_steps = np.zeros(frames.shape[0], np.float64)
    rank_steps = np.zeros(frames.shape[0], np.int16)
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
                pitch_steps[i] = step
                rank_steps[i] = other_ranks[j] - ranks[i]
            j += 1
    return found, pitch_steps, rank_steps
