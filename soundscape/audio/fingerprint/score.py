"""From evidence to a probability that the match is real.

A logistic regression on four numbers: the pairs counted, their share of the keys looked up, the harshest of
the tails, and the tail against wrong pitches. `benchmarks/fingerprint.py fit` fitted it on recordings and
sounds that share nothing with those of the published tables. It is frozen here with its version: a
probability that is stored today means the same tomorrow.

A second regression, on how two sounds agree (`sameness`), tells one recording from two works that share
notes. The smaller of the two probabilities counts.

The larger the index, the likelier it is that a foreign sound agrees so well. In an index of more than
`AMONG_KEYS` keys, the odds are divided by how many times more keys it holds (Bonferroni's correction).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .index import Candidate
from .sameness import Sameness
from .verify import Evidence

CALIBRATION = "7"
"""Version of the weights below. Change it whenever they change."""

THRESHOLD = 0.7
"""Minimum probability of a match: at most 1 foreign query in 1,000, however large the index."""

AMONG_KEYS = 1_420_000
"""Keys of the index of the fit: 2,000 sounds, 17 hours."""


@dataclass(frozen=True)
class Logistic:
    """P = 1 / (1 + exp(-(bias + weights · features)))."""

    bias: float
    weights: tuple[float, ...]

    def probability(self, features: tuple[float, ...], *, odds: float = 1.0) -> float:
        """The probability for one row of features, with its odds multiplied by `odds`."""
        z = self.bias + sum(w * x for w, x in zip(self.weights, features, strict=True)) + math.log(odds)
        return 1.0 / (1.0 + math.exp(-min(max(z, -60.0), 60.0)))


FITTED = Logistic(bias=-2.75, weights=(3.442, 2.182, 1.635, 2.705))

FITTED_SAMENESS = Logistic(bias=-18.78, weights=(1.75, 7.8, 18.14))
"""On the three numbers of `Sameness.features`: what `benchmarks/fingerprint_sameness.py` prints."""


def make_features(candidate: Candidate, evidence: Evidence) -> tuple[float, float, float, float]:
    """Make ln(1 + pairs), ln of their share of the keys looked up, ln(1 + tail), ln(1 + pitch tail)."""
    return (
        math.log1p(candidate.pairs),
        math.log((1 + candidate.pairs) / max(candidate.asked, 1)),
        math.log1p(evidence.tail),
        math.log1p(evidence.pitch_tail),
    )


def estimate_probability(candidate: Candidate, evidence: Evidence) -> float:
    """Estimate the calibrated probability that a candidate with this evidence is a true match."""
    return FITTED.probability(
        make_features(candidate, evidence), odds=min(1.0, AMONG_KEYS / max(candidate.among, 1))
    )


def estimate_sameness(sameness: Sameness) -> float:
    """Estimate how probable it is that sounds that agree are one recording, not works that share notes."""
    return FITTED_SAMENESS.probability(sameness.features)
