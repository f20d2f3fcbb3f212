"""Matching: which recordings a sound comes from, at which offset, and how fast it is played."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from .code import FRAME_RATE_HZ, Fingerprint
from .index import Candidate, Index
from .keys import STORED_RANKS, make_query_keys, pitch_to_cell
from .likeness import MIN_CORRELATION
from .sameness import Sameness, measure_sameness
from .score import THRESHOLD, estimate_probability, estimate_sameness
from .verify import Evidence, make_screen, verify

SPEEDS = (1.0, 0.99, 1.01, 0.98, 1.02, 0.97, 1.03, 0.96, 1.04)
"""Speeds to try. Those after 1.0 are tried only if 1.0 finds nothing, or nothing at nearly that speed."""
HALF_SPEED_STEP = 0.004

MAX_CANDIDATES = 16
MIN_PEAKS = 20
MIN_NOTES = 5.0
"""How many equally frequent cells a sound's peaks must equal. A sine in noise equals fewer than 4."""
MOSTLY_SHARE = 0.7
"""A span of at least this share of a recording counts as most of it."""
MIN_SCORE = 1.0
"""Below this one pair in ten agrees as well by accident, whatever their number makes of it."""
MIN_SPAN_S = 4.0
"""Works that share notes agree for a bar or two. What tells longer ones apart is in `sameness`."""
MIN_SPAN_SHARE = 0.5
"""What is shorter than twice `MIN_SPAN_S` needs a span of this share."""
MIN_SCORE_SHARE = 0.6
"""Another offset is reported if its score is at least this share of the best one."""


class Verdict(StrEnum):
    """What is known about a query."""

    MATCH = "match"
    NO_MATCH = "no match"
    NOT_ENOUGH_CONTENT = "not enough content"


class MatchKind(StrEnum):
    """How much of the two recordings is the same: in time, and of what sounds meanwhile."""

    SAME_RECORDING = "same recording"
    EXCERPT = "excerpt"
    SHARED_MATERIAL = "shared material"


@dataclass(frozen=True, eq=False)
class VerifiedCandidate:
    """A candidate that agrees with the query beyond chance.

    Attributes
    ----------
    candidate, stored
        As from the index.
    evidence
        As from `verify`.
    speed
        The speed of the query that was undone.
    against_chance
        How probable it is that the agreement is no accident.
    sameness
        As from `measure_sameness`.
    """

    candidate: Candidate
    stored: Fingerprint
    evidence: Evidence
    speed: float
    against_chance: float
    sameness: Sameness

    @property
    def recording_id(self) -> str:
        """As given to the index."""
        return self.candidate.recording_id

    @property
    def probability(self) -> float:
        """The lesser of the probabilities that it is no accident, and no work that shares notes."""
        return min(self.against_chance, estimate_sameness(self.sameness))


@dataclass(frozen=True)
class Match:
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
    share_of_energy
        The part of the energy within the span that both have, an estimate from levels, 0 to 1.
    level_correlation
        How closely the levels of the two follow each other within the span; 1 in an exact copy. Both are None
        where the span is too short or too quiet to tell.
    speed
        How fast the query plays the recording: 1.02 is 2 % too fast.
    score
        -log10 of the chance that so many peaks agree by accident.
    probability
        How probable it is that the match is real: the lesser of the calibrated probability against chance
        and that of `estimate_sameness`, which is not calibrated.
    kind
        Same recording, excerpt (most of one lies in the other) or shared material. The first two need a
        level correlation of at least `MIN_CORRELATION`, or one that cannot be told.
    other_offsets_s
        Further offsets that fit nearly as well, as in loops.
    """

    recording_id: str
    offset_s: float
    span_s: tuple[float, float]
    share_of_query: float
    share_of_recording: float
    share_of_energy: float | None
    level_correlation: float | None
    speed: float
    score: float
    probability: float
    kind: MatchKind
    other_offsets_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class MatchResult:
    """The verdict and, if it is `Verdict.MATCH`, the matches, best score first."""

    verdict: Verdict
    matches: tuple[Match, ...] = ()


def find_matches(
    query: Fingerprint,
    index: Index,
    *,
    threshold: float = THRESHOLD,
    speeds: Sequence[float] = SPEEDS,
) -> MatchResult:
    """Find the recordings that a query comes from.

    Parameters
    ----------
    query
        Fingerprint of the sound to identify, made as every other.
    index
        Where candidates come from.
    threshold
        Probability from which a recording is a match.
    speeds
        Speeds to try, at least one. Those after the first only where it finds nothing, or finds the
        recording at a speed that another is nearer to.

    Returns
    -------
    MatchResult
        Nothing is matched if the query has too few peaks.
    """
    if not has_enough_content(query):
        return MatchResult(Verdict.NOT_ENOUGH_CONTENT)
    found: dict[str, list[Match]] = {}
    for some in (speeds[:1], speeds[1:]):
        for speed in some:
            for candidate in verify_candidates(query, index, speed=speed, threshold=threshold):
                if candidate.probability >= threshold:
                    name = candidate.recording_id
                    found.setdefault(name, []).append(_make_match(query, candidate))
        matches = sorted(
            (_merge_offsets(several) for several in found.values()), key=lambda match: -match.score
        )
        if matches and abs(matches[0].speed - speeds[0]) < HALF_SPEED_STEP:
            break
    return MatchResult(Verdict.MATCH, tuple(matches)) if matches else MatchResult(Verdict.NO_MATCH)


def verify_candidates(
    query: Fingerprint, index: Index, *, speed: float = 1.0, threshold: float = THRESHOLD
) -> Iterator[VerifiedCandidate]:
    """Find the recordings that agree with a query beyond chance, be they works that share notes.

    Parameters
    ----------
    query, index
        As for `find_matches`.
    speed
        How many times too fast the query is played.
    threshold
        Minimum probability against chance.
    """
    screen = make_screen(query, speed=speed)
    for candidate in index.find_candidates(make_query_keys(query, speed=speed), MAX_CANDIDATES):
        stored = index.read_fingerprint(candidate.recording_id)
        evidence = verify(screen, stored, candidate.lag_frames)
        if evidence is None or evidence.n < MIN_PEAKS or not is_long_enough(evidence, query, stored):
            continue
        against_chance = estimate_probability(candidate, evidence)
        if against_chance >= threshold and min(evidence.lag_tail, evidence.pitch_tail) >= MIN_SCORE:
            sameness = measure_sameness(query, stored, evidence, speed)
            yield VerifiedCandidate(candidate, stored, evidence, speed, against_chance, sameness)


def has_enough_content(query: Fingerprint) -> bool:
    """Whether a sound has enough peaks, on enough different notes, to be told apart from others."""
    strong = query.pitches[query.ranks < STORED_RANKS]
    if strong.shape[0] < MIN_PEAKS:
        return False
    _, counts = np.unique(pitch_to_cell(strong), return_counts=True)
    share = counts / counts.sum()
    return bool(np.exp(-np.sum(share * np.log(share))) >= MIN_NOTES)


def is_long_enough(evidence: Evidence, query: Fingerprint, stored: Fingerprint) -> bool:
    """Whether the span is long enough to be told from a bar in common."""
    first, last = evidence.span
    shorter = min(query.frame_count, stored.frame_count)
    return last - first + 1 >= min(MIN_SPAN_S * FRAME_RATE_HZ, MIN_SPAN_SHARE * shorter)


def _make_match(query: Fingerprint, candidate: VerifiedCandidate) -> Match:
    stored, evidence, speed = candidate.stored, candidate.evidence, candidate.speed
    first, last = evidence.span
    length = last - first + 1
    played_speed = speed * evidence.tempo
    share_of_query = min(1.0, length / played_speed / max(query.frame_count, 1))
    share_of_recording = min(1.0, length / max(stored.frame_count, 1))
    shares = sorted((share_of_query, share_of_recording))
    likeness = candidate.sameness.likeness
    if likeness is not None and likeness.correlation < MIN_CORRELATION:
        kind = MatchKind.SHARED_MATERIAL
    elif shares[0] >= MOSTLY_SHARE:
        kind = MatchKind.SAME_RECORDING
    elif shares[1] >= MOSTLY_SHARE:
        kind = MatchKind.EXCERPT
    else:
        kind = MatchKind.SHARED_MATERIAL
    return Match(
        recording_id=candidate.recording_id,
        offset_s=evidence.lag_frames / FRAME_RATE_HZ,
        span_s=(first / FRAME_RATE_HZ, (last + 1) / FRAME_RATE_HZ),
        share_of_query=share_of_query,
        share_of_recording=share_of_recording,
        share_of_energy=None if likeness is None else likeness.share_of_energy,
        level_correlation=None if likeness is None else likeness.correlation,
        speed=played_speed,
        score=min(evidence.lag_tail, evidence.pitch_tail),
        probability=candidate.probability,
        kind=kind,
    )


def _merge_offsets(matches: list[Match]) -> Match:
    """Merge the matches of one recording: the best one, with the offsets of those nearly as good."""
    matches = sorted(matches, key=lambda match: -match.score)
    best = matches[0]
    others: list[float] = []
    for match in matches[1:]:
        if match.score >= MIN_SCORE_SHARE * best.score and all(
            abs(match.offset_s - seen) > 0.1 for seen in (best.offset_s, *others)
        ):
            others.append(match.offset_s)
    return replace(best, other_offsets_s=tuple(others))
