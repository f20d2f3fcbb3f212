"""The map from features to factors: it places items that nobody has chosen yet."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from soundscape.recommend import metrics
from soundscape.recommend.interactions import Float32, Float64, Int64

PENALTIES = np.logspace(-2, 6, 17)
STRETCHES = tuple(np.round(np.arange(0.7, 1.55, 0.05), 2))
MAX_SHARE_OF_LISTS = 0.25
MAX_ASKED = 200

Folding = Callable[[sparse.csr_matrix], Float32]


class FeatureMap:
    """Ridge regression from features to factors, weighted by how often an item was chosen.

    The fit that made the factors shrinks those of rarely chosen items towards 0, so they say little. The
    penalty minimises generalised cross-validation (Golub, Heath and Wahba, 1979). Guesses are multiplied by
    `stretch`, see `choose_stretch`.
    """

    stretch = 1.0

    def fit(self, features: Float32, factors: Float32, chosen: Int64) -> None:
        """Learn from items: features (items, f), factors (items, k), times chosen (items,)."""
        known = chosen > 0
        trust = np.sqrt(chosen[known] / chosen[known].mean())[:, None]
        x = np.asarray(features, dtype=np.float64)[known]
        y = np.asarray(factors, dtype=np.float64)[known]
        self.x_mean = np.average(x, axis=0, weights=trust[:, 0] ** 2)
        self.y_mean = np.average(y, axis=0, weights=trust[:, 0] ** 2)
        centred, target = trust * (x - self.x_mean), trust * (y - self.y_mean)
        # Features are fewer than items, as a rule: their gram's eigenvectors come sooner than an SVD.
        squared, axes = np.linalg.eigh(centred.T @ centred)
        told = squared > 1e-9 * squared.max(initial=0)
        spread, axes = np.sqrt(squared[told]), axes[:, told]
        along = (axes.T @ (centred.T @ target)) / spread[:, None]
        self.penalty = min(PENALTIES, key=lambda penalty: _gcv(spread, along, target, float(penalty)))
        self.weights = axes @ (along * (spread / (spread**2 + self.penalty))[:, None])

    def factors(self, features: Float32) -> Float32:
        """Factors that items of these features may be expected to have: (items, f) to (items, k)."""
        found = (features - self.x_mean) @ self.weights + self.y_mean
        return np.asarray(self.stretch * found, dtype=np.float32)


def choose_stretch(
    features: Float32,
    places: Float32,
    chosen: Int64,
    rows: sparse.csr_matrix,
    fold_in: Folding,
    *,
    cold: float = 0.1,
) -> float:
    """Return how much guesses are stretched, so that new items are listed and do not fill the lists.

    A guess is a mean, and therefore shorter than what it guesses. A share `cold` of the known items is
    guessed from a map of the others and removed from `rows`, what people chose. The result is the largest of
    STRETCHES with which these items take at most MAX_SHARE_OF_LISTS of all lists.
    """
    rng = np.random.default_rng(0)
    known = np.flatnonzero(chosen)
    away = np.zeros(len(chosen), dtype=bool)
    away[rng.choice(known, size=max(1, round(cold * len(known))), replace=False)] = True
    others = FeatureMap()
    others.fit(features, places, np.where(away, 0, chosen))
    guessed = others.factors(features[away])
    if rows.shape[0] > MAX_ASKED:
        rows = rows[np.sort(rng.choice(rows.shape[0], size=MAX_ASKED, replace=False))]
    rows = rows.multiply(~away[None, :]).tocsr()
    rows.eliminate_zeros()
    placed = places.copy()

    def scores(part: sparse.csr_matrix) -> Float32:
        found = fold_in(part) @ placed.T
        found[:, chosen == 0] = -np.inf
        return found

    def share(by: float) -> float:
        placed[away] = by * guessed
        return float(away[metrics.make_lists(scores, rows)].mean())

    low, high = 0, len(STRETCHES) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (
            (middle, high) if share(float(STRETCHES[middle])) <= MAX_SHARE_OF_LISTS else (low, middle - 1)
        )
    return float(STRETCHES[low])


def _gcv(spread: Float64, along: Float64, target: Float64, penalty: float) -> float:
    kept = spread**2 / (spread**2 + penalty)
    missed = (target**2).sum() - (along**2 * (kept * (2 - kept))[:, None]).sum()
    freedom = len(target) - kept.sum() - 1
    return float(missed / max(freedom, 1e-9) ** 2)
