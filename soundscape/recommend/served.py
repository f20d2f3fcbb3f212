"""A model as SQL serves it: places and keys, neighbours, and how something sounds, blended.

What soundscape.listener_vector and recommended_audio do for one caller is done here for many, so that what is
measured is what is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from scipy import sparse

from soundscape.recommend.cold import FeatureMap, stretch
from soundscape.recommend.interactions import Float32, positive
from soundscape.recommend.models import (
    EASE_MOST_ITEMS,
    Als,
    Ease,
    ItemNeighbours,
    confidence,
    strongest,
)

FACTORS = 32
NEIGHBOURS = 20
"""Of each recording. Served are those of the latest choices: of more choices fewer are worth more."""
LEAST_CHOSEN = 3
"""What fewer people chose is placed by how it sounds: too little to learn from, and too much told of them."""


@dataclass(frozen=True)
class ServingWeights:
    """How recommended_audio weighs and what it reads: the row of soundscape.recommendation_weights.

    Only the columns that an evaluation needs; the table describes each of them.
    """

    taste: float
    skipped: float
    max_choices: int
    max_choices_with_neighbours: int
    max_skips: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> ServingWeights:
        """From the row as `begin_fit` returns it."""
        return cls(**{field.name: row[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Settings:
    """What a model is fitted with and how it is blended; a row's `settings`."""

    regularization: float = 50.0
    alpha: float = 8.0
    skip: float = 0.0
    doubt: float = 0.5
    """How much of an average user's choices the keys take for granted: see `Als.keys`."""
    lean: float = 0.0
    """A place leans towards its guess as if so many had chosen it there."""
    neighbours: float = 0.35
    content: float = 0.25
    ease: float = 300.0

    def as_dict(self) -> dict[str, float]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Served:
    """Of items: places and keys (items, FACTORS), neighbours (items, items), content (items, f), unit length.

    `cold` (items,) says whose places are guesses. `sounds` leads from content to places, if there is any.
    """

    settings: Settings
    weights: ServingWeights
    places: Float32
    keys: Float32
    neighbours: sparse.csr_matrix | None
    """None where nobody asked for them, the settings giving them no weight."""
    cold: np.ndarray[tuple[int], np.dtype[np.bool_]]
    content: Float32 | None = None
    sounds: FeatureMap | None = None
    unlocked: Float32 | None = None
    """What turns places into keys, (FACTORS, FACTORS)."""

    def scores(self, rows: sparse.csr_matrix, turns: sparse.csr_matrix | None = None) -> Float32:
        """Of rows of signed weights: what factors and neighbours say, each brought to 1 for the best that the
        row lacks, and the cosine to the middle of what the row has, times their settings.

        `turns` are those of the rows, see `Interactions.turns`: with them only what was chosen late counts.
        """
        lately = _latest(rows, turns, self.weights.max_choices)
        trust = confidence(lately, alpha=self.settings.alpha, skip=self.settings.skip)
        total = _to_one((trust @ self.keys) @ self.places.T, rows)
        if self.neighbours is not None and self.settings.neighbours:
            signs = _latest(rows, turns, self.weights.max_choices_with_neighbours).sign()
            total += self.settings.neighbours * _to_one((signs @ self.neighbours).toarray(), rows)
        if self.settings.content and self.content is not None:
            taste = np.asarray(trust.maximum(0) @ self.content)
            taste /= np.maximum(np.linalg.norm(taste, axis=1, keepdims=True), 1e-9)
            total += self.settings.content * np.maximum(taste @ self.content.T, 0)
        return np.asarray(total, dtype=np.float32)

    def answers(self, rows: sparse.csr_matrix, turns: sparse.csr_matrix | None = None) -> Float32:
        """The scores, less what sounds like the latest skips; without turns nobody knows which these are."""
        total = self.scores(rows, turns)
        if self.content is None or turns is None:
            return total
        skips = np.flatnonzero(rows.data < 0)
        person = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))[skips]
        order = np.lexsort((turns.data[skips], person))
        skips, person = skips[order], person[order]
        since = np.arange(len(person)) - np.searchsorted(person, person)
        closest = np.zeros_like(total)
        for turn in range(self.weights.max_skips):
            those = person[since == turn]
            cosine = self.content[rows.indices[skips[since == turn]]] @ self.content.T
            closest[those] = np.maximum(closest[those], cosine)
        # The scores give the best by the factors 1, where the SQL gives it the weight of taste.
        loss = self.weights.skipped / self.weights.taste
        return np.asarray(total - loss * np.maximum(2 * closest - 1, 0), dtype=np.float32)


@dataclass
class Fitting:
    """Fits what takes time once: factors and neighbours; places follow from the settings."""

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
        chosen = positive(self.choices)
        counts = np.asarray((chosen > 0).sum(axis=0)).ravel()
        self.known = counts >= LEAST_CHOSEN
        self.counts = np.where(self.known, counts, 0)
        self.chosen = positive(chosen.multiply(self.known[None, :]).tocsr())
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
            if int(self.known.sum()) <= EASE_MOST_ITEMS:
                few = Ease(regularization=self.ease)
                few.fit(self.chosen[:, self.known])
                among = strongest(few.weights, NEIGHBOURS).tocoo()
                at = np.flatnonzero(self.known)
                size = (len(self.known), len(self.known))
                self._neighbours = sparse.csr_matrix((among.data, (at[among.row], at[among.col])), shape=size)
            else:
                many = ItemNeighbours(neighbours=NEIGHBOURS)
                many.fit(self.chosen)
                # Kept as the nearest of each that may be recommended; here of each that was chosen.
                self._neighbours = many.alike.T.tocsr()
        return self._neighbours

    def served(self, settings: Settings, *, whole: bool = False) -> Served:
        """The model under `settings`; `whole` finds how far guesses may go too, which takes a while."""
        places = self.als.items.copy()
        cold = ~self.known
        if self.sounds is not None:
            assert self.content is not None
            known = self.heard > 0
            pull = (settings.lean / (self.heard[known] + settings.lean))[:, None] if settings.lean else 0.0
            places[known] = (1 - pull) * places[known] + pull * self.guesses[known]
        unlocked = self.als.keys(self.chosen, places, settings.doubt)
        if self.sounds is not None and self.content is not None:
            if whole:

                def fold_in(rows: sparse.csr_matrix) -> Float32:
                    return np.asarray(
                        confidence(rows, alpha=settings.alpha) @ (places @ unlocked), dtype=np.float32
                    )

                self.sounds.stretch = stretch(
                    self.content, places, self.heard, self.chosen, fold_in, cold=self.share_cold
                )
            has_sound = cold & np.any(self.content != 0, axis=1)
            places[has_sound] = self.sounds.factors(self.content[has_sound])
        return Served(
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


def _latest(rows: sparse.csr_matrix, turns: sparse.csr_matrix | None, most: int) -> sparse.csr_matrix:
    """Of each row the latest `most`: all where nobody knows which these are."""
    if turns is None or turns.data.max(initial=0) <= most:
        return rows
    found = rows.copy()
    found.data = np.where(turns.data <= most, found.data, 0)
    found.eliminate_zeros()
    return found


def _to_one(scores: Float32, rows: sparse.csr_matrix) -> Float32:
    """In proportion to the best of what the row lacks; what speaks against an item is nothing."""
    scores = np.maximum(scores, 0)
    there = rows.nonzero()
    others = scores.copy()
    others[there] = -np.inf
    most = others.max(axis=1, keepdims=True)
    return np.asarray(scores / np.where(most > 0, most, np.inf), dtype=np.float32)
