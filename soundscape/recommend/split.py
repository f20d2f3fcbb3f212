"""Splits of events into what a model learns from and what it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from soundscape.errors import RecommendationError
from soundscape.recommend.interactions import Int64, Interactions

HELD_BACK = 0.2
COLD_ITEMS = 0.1

Bool = npt.NDArray[np.bool_]
Kind = Literal["random", "time"]


@dataclass(frozen=True)
class Split:
    """`train` and `test`, both (users, items), share no pair. `cold` are the items that `train` lacks."""

    train: sparse.csr_matrix
    test: sparse.csr_matrix
    cold: Int64

    @property
    def asked(self) -> Int64:
        """Users with choices in both parts."""
        return np.flatnonzero((np.diff(self.test.indptr) > 0) & (np.diff(self.train.indptr) > 0))


def split_warm(interactions: Interactions, kind: Kind, *, seed: int) -> Split:
    """Hold back a random fifth of each user's items, or the latest fifth of all events.

    Items that only the held-back part has are not asked for; `split_cold` is for them. The split by time
    does not ask for what a user had chosen before, and it is the same for every seed.

    Raises
    ------
    RecommendationError
        The events have no times, or nothing is left to ask.
    """
    if kind == "time":
        train, test = _by_time(interactions)
    else:
        train, test = split_at_random(interactions.matrix, np.random.default_rng(seed))
    seen = np.asarray((train > 0).sum(axis=0)).ravel() > 0
    test = _without(test, ~seen)
    found = Split(train, test, np.empty(0, dtype=np.int64))
    if not len(found.asked):
        raise RecommendationError(
            "Nobody is left to ask: no user has events on both sides of the split.",
            remedy="Give more events, or split at random.",
        )
    return found


def split_cold(interactions: Interactions, *, seed: int) -> Split:
    """Hold back a tenth of the items with all their events."""
    whole = interactions.matrix
    chosen = np.flatnonzero(np.diff(whole.tocsc().indptr) > 0)
    rng = np.random.default_rng(seed)
    cold = np.sort(rng.choice(chosen, size=max(1, round(COLD_ITEMS * len(chosen))), replace=False))
    is_cold = np.zeros(whole.shape[1], dtype=bool)
    is_cold[cold] = True
    return Split(_without(whole, is_cold), _without(whole, ~is_cold), cold)


def split_at_random(
    whole: sparse.csr_matrix, rng: np.random.Generator
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Hold back a fifth of each user's items, rounded down. Users with fewer than five items keep all."""
    users = np.repeat(np.arange(whole.shape[0]), np.diff(whole.indptr))
    order = np.lexsort((rng.random(whole.nnz), users))
    rank = np.empty(whole.nnz, dtype=np.int64)
    rank[order] = np.arange(whole.nnz) - whole.indptr[users]
    held = rank < np.floor(HELD_BACK * np.diff(whole.indptr))[users]
    return _entries(whole, ~held), _entries(whole, held)


def _by_time(interactions: Interactions) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    if interactions.time is None:
        raise RecommendationError(
            "The events have no times, so they cannot be split by time.",
            remedy="Give a column `time`, or split at random.",
        )
    late = interactions.time > np.quantile(interactions.time, 1 - HELD_BACK)
    train, test = interactions.select(~late), interactions.select(late)
    test = test - test.multiply(train > 0)
    test.eliminate_zeros()
    return train, test.tocsr()


def _entries(matrix: sparse.csr_matrix, kept: Bool) -> sparse.csr_matrix:
    found = matrix.copy()
    found.data = np.where(kept, found.data, 0).astype(np.float32)
    found.eliminate_zeros()
    return found


def _without(matrix: sparse.csr_matrix, items: Bool) -> sparse.csr_matrix:
    return _entries(matrix, ~items[matrix.indices])
