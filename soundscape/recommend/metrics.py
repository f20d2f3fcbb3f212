"""Figures of lists of recommendations, with confidence intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from scipy import sparse

from soundscape.recommend.interactions import Float32, Float64, Int64

LENGTH = 20
SCORES_AT_ONCE = 1 << 22
RESAMPLES = 1000

Scorer = Callable[..., Float32]
"""Returns a score per item for rows of choices: (rows, items) of both."""


@dataclass(frozen=True)
class Interval:
    """A mean over users with its 95 % confidence interval."""

    mean: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """Return the interval for JSON."""
        return asdict(self)


def make_lists(
    scorer: Scorer, rows: sparse.csr_matrix, *, recency: sparse.csr_matrix | None = None, length: int = LENGTH
) -> Int64:
    """Return the best items of each row, best first, without those that the row has.

    Parameters
    ----------
    scorer
        The model.
    rows
        Choices, (rows, items).
    recency
        `Interactions.rank_recency` of the same rows, for scorers that take it.
    length
        How many items to list.

    Returns
    -------
    (rows, length), int64
        A row with fewer items left ends in items that it has; those never count as found.
    """
    length = min(length, rows.shape[1])
    best = np.empty((rows.shape[0], length), dtype=np.int64)
    users = max(1, SCORES_AT_ONCE // rows.shape[1])
    for start in range(0, rows.shape[0], users):
        part = rows[start : start + users]
        scores = (scorer(part) if recency is None else scorer(part, recency[start : start + users])).copy()
        scores[part.nonzero()] = -np.inf
        found = np.argpartition(-scores, length - 1, axis=1)[:, :length]
        order = np.argsort(-np.take_along_axis(scores, found, axis=1), axis=1, kind="stable")
        best[start : start + users] = np.take_along_axis(found, order, axis=1)
    return best


def find_hits(best: Int64, wanted: sparse.csr_matrix) -> Float64:
    """Return 1 where a listed item is wanted: (rows, length) of both."""
    rows = np.arange(best.shape[0])[:, None]
    return np.asarray((wanted[rows, best] > 0).todense(), dtype=np.float64)


def recall(best: Int64, wanted: sparse.csr_matrix) -> Float64:
    """Return the share of the wanted items that is listed, of as many as fit into the list: (rows,)."""
    sought = np.minimum(np.diff(wanted.indptr), best.shape[1])
    return np.asarray(find_hits(best, wanted).sum(axis=1) / sought, dtype=np.float64)


def random_recall(wanted: sparse.csr_matrix, left: Int64, *, length: int = LENGTH) -> Float64:
    """Return the expected recall of a list drawn at random from `left` items: (rows,) of both."""
    sought = np.diff(wanted.indptr)
    drawn = np.minimum(length, left)
    return np.asarray(sought * drawn / left / np.minimum(sought, drawn), dtype=np.float64)


def ndcg(best: Int64, wanted: sparse.csr_matrix) -> Float64:
    """Return the normalised discounted cumulative gain of each list: (rows,).

    Each hit gains 1 / log2(rank + 1); the sum is divided by that of the best possible list.
    """
    discount = 1 / np.log2(np.arange(best.shape[1]) + 2)
    ideal = np.concatenate([[0.0], np.cumsum(discount)])
    most = np.minimum(np.diff(wanted.indptr), best.shape[1])
    return np.asarray(find_hits(best, wanted) @ discount / ideal[most], dtype=np.float64)


def coverage(best: Int64, items: int) -> float:
    """Return the share of all items that is in anybody's list."""
    return len(np.unique(best)) / items


def novelty(best: Int64, choices: sparse.csr_matrix) -> Float64:
    """Return the mean of -log2(share of users who chose an item) over each list, in bits: (rows,).

    An item nobody chose counts as if half a user had.
    """
    counts = np.asarray((choices > 0).sum(axis=0)).ravel()
    bits = -np.log2(np.maximum(counts, 0.5) / choices.shape[0])
    return np.asarray(bits[best].mean(axis=1), dtype=np.float64)


def bootstrap_interval(values: Float64, *, seed: int = 0) -> Interval:
    """Return the mean of `values`, one per user, with the percentile bootstrap over users."""
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))
