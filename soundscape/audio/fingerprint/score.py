"""From evidence to a probability that the match is real.

A logistic regression on five numbers: the pairs counted, the tails against wrong lags, wrong pitches and
rhythm, and the agreement beyond chance. It is frozen here with its version: a probability stored today
means the same tomorrow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .verify import Evidence

CALIBRATION = "1"
"""Version of the weights below. Change it whenever they change."""

THRESHOLD = 0.5
"""Probability from which a match is claimed: at most 1 foreign query in 1,000 against 2,000 recordings."""


@dataclass(frozen=True)
class Logistic:
    """P = 1 / (1 + exp(-(bias + weights · features)))."""

    bias: float
    weights: tuple[float, ...]

    def probability(self, features: tuple[float, ...]) -> float:
        """Probability for one row of features."""
        z = self.bias + sum(w * x for w, x in zip(self.weights, features, strict=True))
        return 1.0 / (1.0 + math.exp(-min(max(z, -60.0), 60.0)))


FITTED = Logistic(bias=-13.0, weights=(0.4, 3.7, 1.9, 0.0, 0.5))


def features(pairs: int, evidence: Evidence) -> tuple[float, ...]:
    """ln(1 + pairs); ln(1 + tail) against wrong lags, wrong pitches, rhythm; agreement beyond chance."""
    chance = max(evidence.lag_chance, evidence.pitch_chance)
    return (
        math.log1p(pairs),
        math.log1p(evidence.lag_tail),
        math.log1p(evidence.pitch_tail),
        math.log1p(evidence.rhythm_tail),
        (evidence.k / evidence.n - chance) / (1.0 - chance),
    )


def probability(pairs: int, evidence: Evidence) -> float:
    """Calibrated probability that a candidate with this evidence is a true match."""
    return FITTED.probability(features(pairs, evidence))
