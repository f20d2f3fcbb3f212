"""Fit a model on what people chose, and say what it is worth on what no model ever learns from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from soundscape.errors import RecommendationError
from soundscape.recommend import metrics, split
from soundscape.recommend.interactions import Float32, Interactions, positive
from soundscape.recommend.models import ItemNeighbours, Model, Popularity
from soundscape.recommend.served import Fitting, Served, ServingWeights, Settings

LEAST_PEOPLE = 20
LEAST_PAIRS = 200
HELD_BACK_OF = 10
MOST_ASKED = 2000
MOST_ASKED_TO_CHOOSE = 600
SLACK = 0.03
OURS, IN_FORCE, EXACT = "as served", "in force", "ALS alone, exact"

FACTORIZATIONS = ((50.0, 8.0), (20.0, 2.0))
# One after the other, each with the best of those before it.
STEPS: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("doubt", (0.5, 0.25, 1.0)),
    ("lean", (0.0, 5.0, 20.0)),
    ("neighbours", (0.35, 0.0, 0.7)),
    ("content", (0.25, 0.0, 0.5, 1.0)),
    ("skip", (0.0, 1.0, 3.0)),
)

Tell = Callable[[str], None]
Scorer = metrics.Scorer
Turns = Callable[[sparse.csr_matrix], sparse.csr_matrix | None]


@dataclass(frozen=True)
class Fitted:
    """A model with what it was learnt from and what it and others are worth."""

    model: Served
    people: int
    items: int
    pairs: int
    popularity: Float32
    """The share of people who chose each item, (items,)."""
    figures: dict[str, Any]
    reasons: tuple[str, ...]
    """Why it should not be published; nothing, if it may."""


def fit(
    interactions: Interactions,
    weights: ServingWeights,
    *,
    content: Float32 | None = None,
    in_force: Served | None = None,
    share_cold: float = 0.1,
    tell: Tell = lambda _: None,
) -> Fitted:
    """Fit, choose settings on a part of what is learnt from, and measure on the rest.

    One pair of person and item in ten is held back, by a hash of both, so that it is the same one in every
    fit and no model has ever learnt from it: on those the new one and the one in force can be compared.
    `weights` are those that recommended_audio serves with. `content` is (items, f) of unit length, zeros
    where unknown.

    Raises RecommendationError: too few people or choices.
    """
    # On a busy machine BLAS's threads wait for each other longer than one takes for everything.
    with threadpool_limits(1, "blas"):
        return _fit(interactions, weights, content, in_force, share_cold, tell)


def _fit(
    interactions: Interactions,
    weights: ServingWeights,
    content: Float32 | None,
    in_force: Served | None,
    share_cold: float,
    tell: Tell,
) -> Fitted:
    began = time.perf_counter()
    signed = interactions.signed
    whole = positive(signed)
    people = int((np.diff(whole.indptr) > 0).sum())
    if people < LEAST_PEOPLE or whole.nnz < LEAST_PAIRS:
        raise RecommendationError(
            f"{people:,} people made {whole.nnz:,} choices among listed recordings of others; "
            f"a model takes {LEAST_PEOPLE} and {LEAST_PAIRS}.",
            code="too_few_events",
            remedy="Nothing changed. Without a model, recommendations go by sound, and by what is new.",
        )
    held = held_back(interactions, whole)
    train = signed - held
    train.eliminate_zeros()
    tell("settings")
    settings = choose(train, content, interactions.turns, weights)
    chosen_s = time.perf_counter() - began
    tell("factors and neighbours")
    began_fit = time.perf_counter()
    fitting = Fitting(
        train,
        content,
        settings.regularization,
        settings.alpha,
        settings.ease,
        weights,
        share_cold=share_cold,
    )
    model = fitting.served(settings, whole=True)
    fitted_s = time.perf_counter() - began_fit
    tell("what it is worth")
    asked = np.flatnonzero((np.diff(held.indptr) > 0) & (np.diff(positive(train).indptr) > 0))
    asked = _some(asked, MOST_ASKED)
    turns = interactions.turns(train)
    turns = None if turns is None else turns[asked]
    worth: dict[str, Any] = {}
    for name, scores in _contestants(model, in_force, fitting, train):
        worth[name] = _worth(scores, train[asked], turns, held[asked], positive(train))
    figures = {
        "models": worth,
        "asked": len(asked),
        "choose_s": round(chosen_s, 3),
        "fit_s": round(fitted_s, 3),
        "whole_s": round(time.perf_counter() - began, 3),
        "stretch": None if model.sounds is None else model.sounds.stretch,
    }
    return Fitted(
        model=model,
        people=people,
        items=int((np.diff(whole.tocsc().indptr) > 0).sum()),
        pairs=whole.nnz,
        popularity=np.asarray((whole > 0).sum(axis=0) / people, dtype=np.float32).ravel(),
        figures=figures,
        reasons=tuple(_reasons(worth)),
    )


def held_back(interactions: Interactions, whole: sparse.csr_matrix) -> sparse.csr_matrix:
    """The pairs of `whole` that no model learns from, (users, items)."""
    rows, columns = whole.nonzero()
    users, items = (
        np.array([crc32(name.encode()) for name in names], dtype=np.uint64)
        for names in (interactions.users, interactions.items)
    )
    away = _mixed(users[rows] << np.uint64(32) | items[columns]) % HELD_BACK_OF == 0
    found = sparse.csr_matrix((whole.data * away, (rows, columns)), shape=whole.shape, dtype=np.float32)
    found.eliminate_zeros()
    return found


def _mixed(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's finish (Steele, Lea and Flood, 2014).

    A hash that adds up one of the person and one of the item would hold back whole blocks of both, which
    a model would learn as not chosen.
    """
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return bits ^ (bits >> np.uint64(31))


def choose(
    train: sparse.csr_matrix, content: Float32 | None, turns_of: Turns, weights: ServingWeights
) -> Settings:
    """The settings whose lists have the highest nDCG on a fifth of `train`.

    What sounds like a skip loses nothing here: it would lose the same whatever the settings.
    """
    inner, wanted = split.at_random(positive(train), np.random.default_rng(0))
    seen = train - wanted
    seen.eliminate_zeros()
    asked = np.flatnonzero((np.diff(wanted.indptr) > 0) & (np.diff(inner.indptr) > 0))
    if not len(asked):
        return Settings()
    asked = _some(asked, MOST_ASKED_TO_CHOOSE)
    rows, wanted, turns = seen[asked], wanted[asked], turns_of(seen)
    turns = None if turns is None else turns[asked]

    def worth(model: Served) -> float:
        return float(metrics.ndcg(metrics.lists(model.scores, rows, turns=turns), wanted).mean())

    best: tuple[float, Settings, Fitting] | None = None
    for regularization, alpha in FACTORIZATIONS:
        settings = Settings(regularization=regularization, alpha=alpha, neighbours=0.0, content=0.0)
        fitting = Fitting(seen, content, regularization, alpha, settings.ease, weights, iterations=6)
        found = worth(fitting.served(settings))
        if best is None or found > best[0]:
            best = (found, settings, fitting)
    assert best is not None
    _, settings, fitting = best
    settings = replace(settings, neighbours=Settings.neighbours, content=Settings.content)
    value = worth(fitting.served(settings))
    for name, candidates in STEPS:
        if name in ("lean", "content") and content is None:
            continue
        if name == "skip" and not (rows.data < 0).any():
            continue
        for candidate in candidates:
            if candidate == getattr(settings, name):
                continue
            other = replace(settings, **{name: candidate})
            found = worth(fitting.served(other))
            if found > value:
                value, settings = found, other
    return settings


def _contestants(
    model: Served, in_force: Served | None, fitting: Fitting, train: sparse.csr_matrix
) -> Iterable[tuple[str, Scorer]]:
    yield OURS, model.answers
    if in_force is not None:
        yield IN_FORCE, in_force.answers
    yield EXACT, partial(_of_choices, fitting.als)
    others: dict[str, Model] = {"item-kNN": ItemNeighbours(neighbours=200), "popularity": Popularity()}
    for name, other in others.items():
        other.fit(positive(train))
        yield name, partial(_of_choices, other)


def _of_choices(model: Model, rows: sparse.csr_matrix, _turns: sparse.csr_matrix | None = None) -> Float32:
    return model.scores(positive(rows))


def _worth(
    scores: Scorer,
    rows: sparse.csr_matrix,
    turns: sparse.csr_matrix | None,
    wanted: sparse.csr_matrix,
    train: sparse.csr_matrix,
) -> dict[str, float]:
    best = metrics.lists(scores, rows, turns=turns)
    found = {
        "recall": metrics.recall(best, wanted).mean(),
        "ndcg": metrics.ndcg(best, wanted).mean(),
        "coverage": metrics.coverage(best, rows.shape[1]),
        "novelty_bits": metrics.novelty(best, train).mean(),
    }
    return {name: round(float(value), 4) for name, value in found.items()}


def _reasons(worth: dict[str, Any]) -> Iterable[str]:
    ours = worth[OURS]["ndcg"]
    if ours < worth["popularity"]["ndcg"]:
        yield f"its nDCG@20 is {ours:.3f}, popularity's {worth['popularity']['ndcg']:.3f}"
    if IN_FORCE in worth and ours < (1 - SLACK) * worth[IN_FORCE]["ndcg"]:
        yield f"its nDCG@20 is {ours:.3f}, that of the model in force {worth[IN_FORCE]['ndcg']:.3f}"


def _some(asked: Any, most: int) -> Any:
    if len(asked) <= most:
        return asked
    return np.sort(np.random.default_rng(0).choice(asked, size=most, replace=False))
