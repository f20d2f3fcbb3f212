"""A model as SQL serves it: factors, neighbours and sound, blended.

SQL does this for one caller (soundscape.listener_vector, soundscape.recommendation_candidates). Here it is
done for many, so that what is measured is what is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from scipy import sparse

from soundscape.recommend.feature_map import FeatureMap, choose_stretch
from soundscape.recommend.interactions import Float32, keep_positive
from soundscape.recommend.models import (
    EASE_MAX_ITEMS,
    Als,
    Ease,
    ItemNeighbours,
    confidence,
    keep_strongest,
)

FACTORS = 32
NEIGHBOURS = 20
"""Of each recording. Those of the latest choices are served: of more choices, fewer are worth more."""
MIN_SIMILARITY = 0.15
"""Sound counts from this cosine on: soundscape.min_similarity()."""
MIN_CHOICES = 3
"""A recording that fewer people chose gets its place from its sound.

Fewer choices are too little to learn from, and would say too much about the people.
"""


@dataclass(frozen=True)
class ServingWeights:
    """How recommended_audio weighs and what it reads: the row of soundscape.recommendation_weights.

    Only the columns that an evaluation needs. The table describes each of them.
    """

    taste: float
    together: float
    sound: float
    skipped: float
    max_choices: int
    max_choices_with_neighbours: int
    max_skips: int

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> ServingWeights:
        """Take the weights from the row that `begin_fit` returns."""
        return cls(**{field.name: row[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class FitSettings:
    """What a model is fitted with and how it is blended: a model row's `settings`."""

    regularization: float = 50.0
    alpha: float = 8.0
    skip: float = 0.0
    doubt: float = 0.5
    """How much of an average user's choices the keys assume: see `Als.compute_keys`."""
    lean: float = 0.0
    """How strongly the place guessed from the sound pulls: as strongly as this many choices."""
    neighbours: float = 0.35
    content: float = 0.25
    ease: float = 300.0

    def as_dict(self) -> dict[str, float]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ServedModel:
    """A fitted model over its items.

    Parameters
    ----------
    settings
        How it was fitted and is blended.
    weights
        How it is served.
    places, keys
        What each item is as a candidate, and what it adds to a listener who chose it: (items, FACTORS).
    neighbours
        Weights of neighbours, (items, items). None where the settings give them no weight.
    cold
        Whether an item's place is guessed from its sound: (items,).
    content
        Embeddings of unit length, (items, f).
    sounds
        The map from content to places.
    unlocked
        The matrix from places to keys, (FACTORS, FACTORS).
    """

    settings: FitSettings
    weights: ServingWeights
    places: Float32
    keys: Float32
    neighbours: sparse.csr_matrix | None
    cold: np.ndarray[tuple[int], np.dtype[np.bool_]]
    content: Float32 | None = None
    sounds: FeatureMap | None = None
    unlocked: Float32 | None = None

    def scores(self, rows: sparse.csr_matrix, recency: sparse.csr_matrix | None = None) -> Float32:
        """Score every item for each row of signed weights.

        Factors and neighbours are each scaled to 1 for the best item that the row lacks. The sound is the
        cosine to the middle of what the row has, from `MIN_SIMILARITY` on. All are weighted as SQL
        does, in units of the taste.

        Parameters
        ----------
        rows
            Choices above 0 and skips below, (rows, items).
        recency
            `Interactions.rank_recency` of the same rows. With it, only the latest choices count.

        Returns
        -------
        (rows, items), float32
        """
        weights = self.weights
        latest = _keep_latest(rows, recency, weights.max_choices)
        trust = confidence(latest, alpha=self.settings.alpha, skip=self.settings.skip)
        total = _scale_to_one((trust @ self.keys) @ self.places.T, rows)
        if self.neighbours is not None and self.settings.neighbours:
            signs = _keep_latest(rows, recency, weights.max_choices_with_neighbours).sign()
            scaled = _scale_to_one((signs @ self.neighbours).toarray(), rows)
            total += weights.together / weights.taste * self.settings.neighbours * scaled
        if self.settings.content and self.content is not None:
            taste = np.asarray(trust.maximum(0) @ self.content)
            taste /= np.maximum(np.linalg.norm(taste, axis=1, keepdims=True), 1e-9)
            cosine = taste @ self.content.T
            cosine[cosine < MIN_SIMILARITY] = 0
            total += weights.sound / weights.taste * self.settings.content * cosine
        return np.asarray(total, dtype=np.float32)

    def scores_with_skips(self, rows: sparse.csr_matrix, recency: sparse.csr_matrix | None = None) -> Float32:
        """Return `scores`, less what sounds like the latest skips. Without `recency` these are not known."""
        total = self.scores(rows, recency)
        if self.content is None or recency is None:
            return total
        skips = np.flatnonzero(rows.data < 0)
        person = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))[skips]
        order = np.lexsort((recency.data[skips], person))
        skips, person = skips[order], person[order]
        since = np.arange(len(person)) - np.searchsorted(person, person)
        closest = np.zeros_like(total)
        for rank in range(self.weights.max_skips):
            those = person[since == rank]
            cosine = self.content[rows.indices[skips[since == rank]]] @ self.content.T
            closest[those] = np.maximum(closest[those], cosine)
        loss = self.weights.skipped / self.weights.taste
        return np.asarray(total - loss * np.maximum(2 * closest - 1, 0), dtype=np.float32)


@dataclass
class Fitting:
    """Factors and neighbours, which take time to fit. Models with different settings are made from them."""

    choices: sparse.csr_matrix
    """Signed weights, (users, items)."""
    content: Float32 | None
    regularization: float
    alpha: float
    ease: float
    weights: ServingWeights
    iterations: int = 15
    share_cold: float = 0.1

    def __post_init__(self) -> None:
        chosen = keep_positive(self.choices)
        counts = np.asarray((chosen > 0).sum(axis=0)).ravel()
        self.known = counts >= MIN_CHOICES
        self.counts = np.where(self.known, counts, 0)
        self.chosen = keep_positive(chosen.multiply(self.known[None, :]).tocsr())
        self.als = Als(
            factors=FACTORS,
            regularization=self.regularization,
            alpha=self.alpha,
            iterations=self.iterations,
        )
        self.als.fit(self.chosen)
        self.sounds: FeatureMap | None = None
        self._neighbours: sparse.csr_matrix | None = None
        if self.content is not None:
            heard = np.where(np.any(self.content != 0, axis=1), self.counts, 0)
            if heard.any():
                self.sounds = FeatureMap()
                self.sounds.fit(self.content, self.als.items, heard)
                self.guesses = self.sounds.factors(self.content)
                self.heard = heard

    @property
    def neighbours(self) -> sparse.csr_matrix:
        """The strongest of each item, (items, items)."""
        if self._neighbours is None:
            if int(self.known.sum()) <= EASE_MAX_ITEMS:
                few = Ease(regularization=self.ease)
                few.fit(self.chosen[:, self.known])
                among = keep_strongest(few.weights, NEIGHBOURS).tocoo()
                at = np.flatnonzero(self.known)
                size = (len(self.known), len(self.known))
                self._neighbours = sparse.csr_matrix((among.data, (at[among.row], at[among.col])), shape=size)
            else:
                many = ItemNeighbours(neighbours=NEIGHBOURS)
                many.fit(self.chosen)
                # Kept as the nearest of each that may be recommended; here of each that was chosen.
                self._neighbours = many.alike.T.tocsr()
        return self._neighbours

    def make_model(self, settings: FitSettings, *, whole: bool = False) -> ServedModel:
        """Return the model under `settings`. With `whole`, the stretch of guesses too: that is slow."""
        places = self.als.items.copy()
        cold = ~self.known
        if self.sounds is not None:
            assert self.content is not None
            known = self.heard > 0
            pull = (settings.lean / (self.heard[known] + settings.lean))[:, None] if settings.lean else 0.0
            places[known] = (1 - pull) * places[known] + pull * self.guesses[known]
        unlocked = self.als.compute_keys(self.chosen, places, settings.doubt)
        if self.sounds is not None and self.content is not None:
            if whole:

                def fold_in(rows: sparse.csr_matrix) -> Float32:
                    return np.asarray(
                        confidence(rows, alpha=settings.alpha) @ (places @ unlocked), dtype=np.float32
                    )

                self.sounds.stretch = choose_stretch(
                    self.content, places, self.heard, self.chosen, fold_in, cold=self.share_cold
                )
            has_sound = cold & np.any(self.content != 0, axis=1)
            places[has_sound] = self.sounds.factors(self.content[has_sound])
        return ServedModel(
            settings=settings,
            weights=self.weights,
            places=places,
            keys=np.asarray(places @ unlocked, dtype=np.float32),
            neighbours=self.neighbours if settings.neighbours or whole else None,
            cold=cold,
            content=self.content,
            sounds=self.sounds,
            unlocked=unlocked,
        )


def _keep_latest(rows: sparse.csr_matrix, recency: sparse.csr_matrix | None, count: int) -> sparse.csr_matrix:
    """Keep the latest `count` entries of each row; all of them where the recency is not known."""
    if recency is None or recency.data.max(initial=0) <= count:
        return rows
    found = rows.copy()
    found.data = np.where(recency.data <= count, found.data, 0)
    found.eliminate_zeros()
    return found


def _scale_to_one(scores: Float32, rows: sparse.csr_matrix) -> Float32:
    """Divide by the best score of what the row lacks. Scores below 0 become 0."""
    scores = np.maximum(scores, 0)
    there = rows.nonzero()
    others = scores.copy()
    others[there] = -np.inf
    most = others.max(axis=1, keepdims=True)
    return np.asarray(scores / np.where(most > 0, most, np.inf), dtype=np.float32)
