"""A place among the factors for items nobody has chosen yet, from what they are like."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from soundscape.recommend import metrics
from soundscape.recommend.interactions import Float32, Float64, Int64

PENALTIES = np.logspace(-2, 6, 17)
STRETCHES = tuple(np.round(np.arange(0.7, 1.55, 0.05), 2))
MOST_OF_LISTS = 0.25
MOST_ASKED = 200

Folding = Callable[[sparse.csr_matrix], Float32]


class FeatureMap:
    """Ridge regression from features to factors, weighted by how often an item was chosen.

    Factors of what few chose are shrunk towards nothing by the fit that made them, so they say little. The
    penalty is the one of least generalised cross-validation (Golub, Heath and Wahba, 1979). Guesses are times
    `stretch`, see `stretch`.
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


def stretch(
    features: Float32,
    places: Float32,
    chosen: Int64,
    rows: sparse.csr_matrix,
    fold_in: Folding,
    *,
    cold: float = 0.1,
) -> float:
    """By how much guesses are to be stretched so that what is new is heard and does not fill the lists.

    A guess is a mean, and so shorter than what it guesses. Here a share `cold` of the known items is guessed
    from a map of the others and taken from what people, `rows`, chose; of STRETCHES the largest is taken with
    which they have at most MOST_OF_LISTS of all places in the lists.
    """
    rng = np.random.default_rng(0)
    known = np.flatnonzero(chosen)
    away = np.zeros(len(chosen), dtype=bool)
    away[rng.choice(known, size=max(1, round(cold * len(known))), replace=False)] = True
    others = FeatureMap()
    others.fit(features, places, np.where(away, 0, chosen))
    guessed = others.factors(features[away])
    if rows.shape[0] > MOST_ASKED:
        rows = rows[np.sort(rng.choice(rows.shape[0], size=MOST_ASKED, replace=False))]
    rows = rows.multiply(~away[None, :]).tocsr()
    rows.eliminate_zeros()
    placed = places.copy()

    def scores(part: sparse.csr_matrix) -> Float32:
        found = fold_in(part) @ placed.T
        found[:, chosen == 0] = -np.inf
        return found

    def share(by: float) -> float:
        placed[away] = by * guessed
        return float(away[metrics.lists(scores, rows)].mean())

    low, high = 0, len(STRETCHES) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if share(float(STRETCHES[middle])) <= MOST_OF_LISTS else (low, middle - 1)
    return float(STRETCHES[low])


def _gcv(spread: Float64, along: Float64, target: Float64, penalty: float) -> float:
    kept = spread**2 / (spread**2 + penalty)
    missed = (target**2).sum() - (along**2 * (kept * (2 - kept))[:, None]).sum()
    freedom = len(target) - kept.sum() - 1
    return float(missed / max(freedom, 1e-9) ** 2)
