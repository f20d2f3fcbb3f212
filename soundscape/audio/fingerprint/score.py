"""From evidence to a probability that the match is real.

A logistic regression on three numbers: the pairs counted, the harshest of the tails, and the agreement
beyond chance. It was fitted by `benchmarks/fingerprint.py fit` on recordings and sounds that share nothing
with those of the published table, and is frozen here with its version: a probability stored today means
the same tomorrow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .verify import Evidence

CALIBRATION = "1"
"""Version of the weights below. Change it whenever they change."""

THRESHOLD = 0.7
"""Probability from which a match is claimed: at most 1 foreign query in 1,000 against 2,000 recordings."""


@dataclass(frozen=True)
class Logistic:
    """P = 1 / (1 + exp(-(bias + weights · features)))."""

    bias: float
    weights: tuple[float, float, float]

    def probability(self, features: tuple[float, float, float]) -> float:
        """Probability for one row of features."""
        z = self.bias + sum(w * x for w, x in zip(self.weights, features, strict=True))
        return 1.0 / (1.0 + math.exp(-min(max(z, -60.0), 60.0)))


FITTED = Logistic(bias=-12.663, weights=(3.215, 4.721, 4.61))


def features(pairs: int, evidence: Evidence) -> tuple[float, float, float]:
    """ln(1 + pairs), ln(1 + tail), agreement beyond chance."""
    return math.log1p(pairs), math.log1p(evidence.tail), evidence.excess


def probability(pairs: int, evidence: Evidence) -> float:
    """Calibrated probability that a candidate with this evidence is a true match."""
    return FITTED.probability(features(pairs, evidence))
