"""Matching: which known recordings does this sound come from, where, and how fast?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from .code import FRAME_RATE_HZ, Fingerprint
from .index import Candidate, Candidates
from .keys import STORED_RANKS, cells_of_pitch, query_keys
from .score import THRESHOLD, probability
from .verify import Evidence, screen, verify

SPEEDS = (1.0, 0.99, 1.01, 0.98, 1.02, 0.97, 1.03, 0.96, 1.04)
"""Playing speeds tried: those after 1.0 only where that finds nothing, or nothing at nearly that speed."""
HALF_A_STEP = 0.004

CANDIDATES = 16
FEWEST_PEAKS = 20
FEWEST_NOTES = 5.0
"""How many equally frequent cells a sound's peaks must be worth; a sine in noise is worth under 4."""
MOST = 0.7
"""Share of a recording from which a span counts as most of it."""
NEAR_BEST = 0.6
"""Another offset is reported where its score is at least this part of the best one's."""


class Answer(StrEnum):
    """What a query came to."""

    MATCH = "match"
    NO_MATCH = "no match"
    NOT_ENOUGH_CONTENT = "not enough content"


class Kind(StrEnum):
    """How much of the two recordings the span covers."""

    SAME_RECORDING = "same recording"
    EXCERPT = "excerpt"
    SHARED_MATERIAL = "shared material"


@dataclass(frozen=True)
class Hit:
    """One recording that the query matches.

    Attributes
    ----------
    recording_id
        As given to the index.
    offset_s
        Where the query's start lies in the recording; negative where the query begins earlier.
    span_s
        Start and end, in the recording, of what both share.
    share_of_query, share_of_recording
        The span's part of each, 0 to 1.
    speed
        How fast the query plays the recording: 1.02 is 2 % too fast.
    score
        -log10 of the chance that so many peaks agree by accident.
    probability
        Calibrated probability that the match is real.
    kind
        Same recording, excerpt (most of one lies in the other) or shared material.
    other_offsets_s
        Further offsets that fit nearly as well, as in loops.
    """

    recording_id: str
    offset_s: float
    span_s: tuple[float, float]
    share_of_query: float
    share_of_recording: float
    speed: float
    score: float
    probability: float
    kind: Kind
    other_offsets_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Matches:
    """The answer and, where it is `Answer.MATCH`, the hits, most probable first."""

    answer: Answer
    hits: tuple[Hit, ...] = ()


def match(
    query: Fingerprint,
    index: Candidates,
    *,
    threshold: float = THRESHOLD,
    speeds: Sequence[float] = SPEEDS,
) -> Matches:
    """Look a query up.

    Parameters
    ----------
    query
        Fingerprint of the sound to identify, made as every other.
    index
        An `Index`, or anything that answers as one.
    threshold
        Probability from which a recording is a hit.
    speeds
        Speeds to try, at least one. Those after the first only where it finds nothing, or finds the
        recording at a speed that another is nearer to.

    """
    if not enough_content(query):
        return Matches(Answer.NOT_ENOUGH_CONTENT)
    found: dict[str, list[Hit]] = {}
    for some in (speeds[:1], speeds[1:]):
        for speed in some:
            laid_out = screen(query, speed=speed)
            for candidate in index.candidates(query_keys(query, speed=speed), CANDIDATES):
                stored = index.fingerprint(candidate.recording_id)
                evidence = verify(laid_out, stored, candidate.lag_frames)
                if evidence is None or evidence.n < FEWEST_PEAKS:
                    continue
                hit = _hit(query, stored, candidate, evidence, speed)
                if hit.probability >= threshold:
                    found.setdefault(hit.recording_id, []).append(hit)
        hits = sorted((_best(several) for several in found.values()), key=lambda hit: -hit.score)
        if hits and abs(hits[0].speed - speeds[0]) < HALF_A_STEP:
            break
    return Matches(Answer.MATCH, tuple(hits)) if hits else Matches(Answer.NO_MATCH)


def enough_content(query: Fingerprint) -> bool:
    """Whether a sound has peaks enough, on notes enough, to be told from others at all."""
    strong = query.pitches[query.ranks < STORED_RANKS]
    if strong.shape[0] < FEWEST_PEAKS:
        return False
    _, counts = np.unique(cells_of_pitch(strong), return_counts=True)
    share = counts / counts.sum()
    return bool(np.exp(-np.sum(share * np.log(share))) >= FEWEST_NOTES)


def _hit(
    query: Fingerprint, stored: Fingerprint, candidate: Candidate, evidence: Evidence, speed: float
) -> Hit:
    first, last = evidence.span
    length = last - first + 1
    played_speed = speed * evidence.tempo
    share_of_query = min(1.0, length / played_speed / max(query.frame_count, 1))
    share_of_recording = min(1.0, length / max(stored.frame_count, 1))
    shares = sorted((share_of_query, share_of_recording))
    if shares[0] >= MOST:
        kind = Kind.SAME_RECORDING
    elif shares[1] >= MOST:
        kind = Kind.EXCERPT
    else:
        kind = Kind.SHARED_MATERIAL
    return Hit(
        recording_id=candidate.recording_id,
        offset_s=evidence.lag_frames / FRAME_RATE_HZ,
        span_s=(first / FRAME_RATE_HZ, (last + 1) / FRAME_RATE_HZ),
        share_of_query=share_of_query,
        share_of_recording=share_of_recording,
        speed=played_speed,
        score=min(evidence.lag_tail, evidence.pitch_tail),
        probability=probability(candidate, evidence),
        kind=kind,
    )


def _best(hits: list[Hit]) -> Hit:
    """The best of one recording's hits, carrying the offsets of those nearly as good."""
    hits = sorted(hits, key=lambda h: -h.score)
    best = hits[0]
    others: list[float] = []
    for hit in hits[1:]:
        if hit.score >= NEAR_BEST * best.score and all(
            abs(hit.offset_s - seen) > 0.1 for seen in (best.offset_s, *others)
        ):
            others.append(hit.offset_s)
    return replace(best, other_offsets_s=tuple(others))
