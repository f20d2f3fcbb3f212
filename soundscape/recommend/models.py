"""Models that score every item for a user, from what the user chose.

No model stores users. All are asked with rows of choices, so a like counts at once.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from scipy import linalg, sparse
from threadpoolctl import threadpool_limits

from soundscape.errors import RecommendationError
from soundscape.recommend.interactions import Float32

EASE_MAX_ITEMS = 5000
SCORES_AT_ONCE = 1 << 23


class Model(Protocol):
    """Fitted on (users, items); scores rows of the same items."""

    def fit(self, choices: sparse.csr_matrix) -> None:
        """Learn from weights, (users, items)."""

    def scores(self, rows: sparse.csr_matrix) -> Float32:
        """Return a score per item, (rows, items). Higher is better; items in the row are scored too."""


class Popularity:
    """How many users chose an item: the same for everyone."""

    def fit(self, choices: sparse.csr_matrix) -> None:
        """Count the users of each item of `choices`, (users, items)."""
        self.counts = np.asarray((choices > 0).sum(axis=0)).ravel().astype(np.float32)

    def scores(self, rows: sparse.csr_matrix) -> Float32:
        """Return the counts once per row, (rows, items)."""
        return np.tile(self.counts, (rows.shape[0], 1))


class ItemNeighbours:
    """Item-kNN: the cosine of who chose both, the nearest `neighbours` of an item kept.

    Sarwar et al. (2001), with the shrinkage of Ferrari Dacrema et al. (2019): n / (n + `shrinkage`).
    """

    def __init__(self, *, neighbours: int = 100, shrinkage: float = 10.0) -> None:
        self.neighbours = neighbours
        self.shrinkage = shrinkage

    def fit(self, choices: sparse.csr_matrix) -> None:
        """Find the nearest items of each item of `choices`, (users, items)."""
        chosen = _binary(choices)
        by_item = chosen.T.tocsr()
        items = by_item.shape[0]
        norm = np.sqrt(np.diff(by_item.indptr)).astype(np.float32)
        parts = []
        at_once = max(1, SCORES_AT_ONCE // items)
        for start in range(0, items, at_once):
            rows = slice(start, start + at_once)
            alike = (by_item[rows] @ chosen).toarray()
            alike /= np.maximum(norm[rows, None] * norm + np.float32(self.shrinkage), 1e-9)
            alike[np.arange(alike.shape[0]), np.arange(start, start + alike.shape[0])] = 0
            parts.append(keep_strongest(alike, self.neighbours))
        self.alike = sparse.vstack(parts).T.tocsr()

    def scores(self, rows: sparse.csr_matrix) -> Float32:
        """Return the summed similarity to what each row chose, (rows, items)."""
        return np.asarray((_binary(rows) @ self.alike).toarray(), dtype=np.float32)


class Ease:
    """EASE^R, in closed form: B = I - P / diag(P), P = (XᵀX + λI)⁻¹.

    Steck (2019), Embarrassingly Shallow Autoencoders for Sparse Data, eq. 8. Inverts (items, items) in
    float32, so it is for at most EASE_MAX_ITEMS of them.
    """

    def __init__(self, *, regularization: float = 200.0) -> None:
        self.regularization = regularization

    def fit(self, choices: sparse.csr_matrix) -> None:
        """Compute the weights between items from `choices`, (users, items)."""
        if choices.shape[1] > EASE_MAX_ITEMS:
            raise RecommendationError(
                f"EASE is for at most {EASE_MAX_ITEMS:,} items, not {choices.shape[1]:,}."
            )
        chosen = _binary(choices)
        gram = np.asfortranarray((chosen.T @ chosen).toarray(), dtype=np.float32)
        gram[np.diag_indices_from(gram)] += self.regularization
        # On a busy machine BLAS's threads wait for each other longer than one takes for everything.
        with threadpool_limits(1, "blas"):
            factor, _ = linalg.lapack.spotrf(gram, lower=0, overwrite_a=1)
            inverse, failed = linalg.lapack.spotri(factor, lower=0, overwrite_c=1)
        assert failed == 0
        inverse = np.triu(inverse)
        inverse += np.triu(inverse, 1).T
        weights = -inverse / inverse.diagonal()
        np.fill_diagonal(weights, 0)
        self.weights = np.ascontiguousarray(weights)

    def scores(self, rows: sparse.csr_matrix) -> Float32:
        """Return the summed weights of what each row chose, (rows, items)."""
        return np.asarray(_binary(rows) @ self.weights, dtype=np.float32)


class Als:
    """Factors by weighted alternating least squares: Hu, Koren and Volinsky (2008).

    A pair of weight w has confidence 1 + `alpha` · log2(1 + w), and one without 1.
    """

    def __init__(
        self,
        *,
        factors: int = 64,
        regularization: float = 5.0,
        alpha: float = 2.0,
        iterations: int = 15,
        seed: int = 0,
    ) -> None:
        self.factors = factors
        self.regularization = regularization
        self.alpha = alpha
        self.iterations = iterations
        self.seed = seed
        self.items: Float32 = np.empty((0, factors), dtype=np.float32)

    def fit(self, choices: sparse.csr_matrix) -> None:
        """Factorise `choices`, (users, items). Items that nobody chose get zeros."""
        try:
            from implicit.cpu.als import AlternatingLeastSquares
        except ModuleNotFoundError as error:
            raise RecommendationError(
                "Factors are fitted by `implicit`, which is not installed.",
                remedy="pip install 'soundscape[recommend]'",
            ) from error
        # The solver's own threads and BLAS's beside them would fight for the same cores.
        with threadpool_limits(1, "blas"):
            solver = AlternatingLeastSquares(
                factors=self.factors,
                regularization=self.regularization,
                iterations=self.iterations,
                random_state=self.seed,
            )
            solver.fit(self._confidence(choices), show_progress=False)
        # Items nobody chose are left at whatever the iteration began with.
        chosen = np.asarray((choices > 0).sum(axis=0)).ravel() > 0
        self.items = np.where(chosen[:, None], solver.item_factors, 0).astype(np.float32)

    def fold_in(self, rows: sparse.csr_matrix) -> Float32:
        """Return factors of users, (rows, factors), solved from what they chose."""
        confidence = self._confidence(rows)
        gram = self.items.T @ self.items + self.regularization * np.eye(self.factors, dtype=np.float32)
        found = np.zeros((rows.shape[0], self.factors), dtype=np.float32)
        for row in range(rows.shape[0]):
            part = slice(confidence.indptr[row], confidence.indptr[row + 1])
            chosen = self.items[confidence.indices[part]]
            trust = confidence.data[part]
            found[row] = np.linalg.solve(gram + chosen.T @ (chosen * (trust - 1)[:, None]), chosen.T @ trust)
        return found

    def scores(self, rows: sparse.csr_matrix) -> Float32:
        """Return the product of each row's factors and the items', (rows, items)."""
        return self.fold_in(rows) @ self.items.T

    def compute_keys(self, choices: sparse.csr_matrix, places: Float32, share: float) -> Float32:
        """Return the matrix from places to keys, (factors, factors).

        A user is the sum of confidence · place @ this matrix.

        The exact fold-in adds YᵀCY of what this user chose to the gram, which has to be inverted for each;
        here `share` of what an average user would add stands for it. `choices` are everybody's,
        (users, items).
        """
        people = max(1, int((np.diff(choices.indptr) > 0).sum()))
        doubt = np.asarray((self._confidence(choices) - _binary(choices)).sum(axis=0)).ravel() / people
        y = places.astype(np.float64)
        gram = y.T @ y + self.regularization * np.eye(y.shape[1]) + share * (y.T @ (y * doubt[:, None]))
        return np.asarray(np.linalg.inv(gram), dtype=np.float32)

    def _confidence(self, choices: sparse.csr_matrix) -> sparse.csr_matrix:
        return confidence(choices, alpha=self.alpha)


def confidence(choices: sparse.csr_matrix, *, alpha: float, skip: float = 0.0) -> sparse.csr_matrix:
    """1 + `alpha` · log2(1 + weight), `skip` times a weight below 0; in SQL soundscape.choice_confidence."""
    found = choices.astype(np.float32)
    chosen = np.maximum(found.data, 0)
    found.data = np.where(found.data > 0, 1 + alpha * np.log2(1 + chosen), skip * found.data).astype(
        np.float32
    )
    return found


def keep_strongest(weights: Float32, count: int) -> sparse.csr_matrix:
    """Keep the `count` largest weights of each row that are above 0."""
    rows, columns = weights.shape
    count = min(count, columns)
    kept = np.argpartition(weights, columns - count, axis=1)[:, columns - count :]
    kept.sort(axis=1)
    found = sparse.csr_matrix(
        (
            np.maximum(np.take_along_axis(weights, kept, axis=1), 0).ravel(),
            kept.ravel(),
            np.arange(rows + 1) * count,
        ),
        shape=weights.shape,
        dtype=np.float32,
    )
    found.eliminate_zeros()
    return found


def _binary(choices: sparse.csr_matrix) -> Any:
    found = choices.astype(np.float32)
    found.data = np.ones_like(found.data)
    return found
