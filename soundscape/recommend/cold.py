"""A place among the factors for items nobody has chosen yet, from what they are like."""

from __future__ import annotations

import numpy as np

from soundscape.recommend.interactions import Float32, Float64, Int64

PENALTIES = np.logspace(-2, 6, 17)


class FeatureMap:
    """Ridge regression from features to factors, weighted by how often an item was chosen.

    Factors of what few chose are shrunk towards nothing by the fit that made them, so they say little. The
    penalty is the one of least generalised cross-validation (Golub, Heath and Wahba, 1979).
    """

    def fit(self, features: Float32, factors: Float32, chosen: Int64) -> None:
        """Learn from items: features (items, f), factors (items, k), times chosen (items,)."""
        known = chosen > 0
        trust = np.sqrt(chosen[known] / chosen[known].mean())[:, None]
        x = np.asarray(features, dtype=np.float64)[known]
        y = np.asarray(factors, dtype=np.float64)[known]
        self.x_mean = np.average(x, axis=0, weights=trust[:, 0] ** 2)
        self.y_mean = np.average(y, axis=0, weights=trust[:, 0] ** 2)
        left, spread, right = np.linalg.svd(trust * (x - self.x_mean), full_matrices=False)
        target = trust * (y - self.y_mean)
        along = left.T @ target
        self.penalty = min(PENALTIES, key=lambda penalty: _gcv(spread, along, target, float(penalty)))
        self.weights = right.T @ (along * (spread / (spread**2 + self.penalty))[:, None])

    def factors(self, features: Float32) -> Float32:
        """Factors that items of these features may be expected to have: (items, f) to (items, k)."""
        return np.asarray((features - self.x_mean) @ self.weights + self.y_mean, dtype=np.float32)


def _gcv(spread: Float64, along: Float64, target: Float64, penalty: float) -> float:
    kept = spread**2 / (spread**2 + penalty)
    missed = (target**2).sum() - (along**2 * (kept * (2 - kept))[:, None]).sum()
    freedom = len(target) - kept.sum() - 1
    return float(missed / max(freedom, 1e-9) ** 2)
