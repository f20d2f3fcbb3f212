"""The fit of a model on what people chose, and its figures on choices that no model learns from."""

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
from soundscape.recommend.interactions import Float32, Interactions, keep_positive
from soundscape.recommend.models import ItemNeighbours, Model, Popularity
from soundscape.recommend.served_model import FitSettings, Fitting, ServedModel, ServingWeights

MIN_PEOPLE = 20
MIN_PAIRS = 200
HELD_BACK_OF = 10
MAX_ASKED = 2000
MAX_ASKED_TO_CHOOSE = 600
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

Report = Callable[[str], None]
Scorer = metrics.Scorer
RankRecency = Callable[[sparse.csr_matrix], sparse.csr_matrix | None]


@dataclass(frozen=True)
class FitResult:
    """A model, what it was learnt from, and its figures beside those of others."""

    model: ServedModel
    people: int
    items: int
    pairs: int
    popularity: Float32
    """The share of people who chose each item, (items,)."""
    figures: dict[str, Any]
    reasons: tuple[str, ...]
    """Why it should not be published; empty if it may."""


def fit(
    interactions: Interactions,
    weights: ServingWeights,
    *,
    content: Float32 | None = None,
    in_force: ServedModel | None = None,
    share_cold: float = 0.1,
    report: Report = lambda _: None,
) -> FitResult:
    """Fit a model, choose its settings, and measure it.

    One pair of person and item in ten is held back, by a hash of both. These are the same pairs in every fit,
    so no model has ever learnt from them, and the new model can be compared with the one in force.

    Parameters
    ----------
    interactions
        What people chose.
    weights
        How the database serves models.
    content
        Embeddings of unit length, (items, f); zeros where unknown.
    in_force
        The model that serves now, over the same items.
    share_cold
        The share of cold items in the catalogue.
    report
        Called with the name of each step.

    Raises
    ------
    RecommendationError
        Too few people or choices (`too_few_events`).
    """
    # On a busy machine BLAS's threads wait for each other longer than one takes for everything.
    with threadpool_limits(1, "blas"):
        return _fit(interactions, weights, content, in_force, share_cold, report)


def _fit(
    interactions: Interactions,
    weights: ServingWeights,
    content: Float32 | None,
    in_force: ServedModel | None,
    share_cold: float,
    report: Report,
) -> FitResult:
    began = time.perf_counter()
    signed = interactions.signed
    whole = keep_positive(signed)
    people = int((np.diff(whole.indptr) > 0).sum())
    if people < MIN_PEOPLE or whole.nnz < MIN_PAIRS:
        raise RecommendationError(
            f"{people:,} people made {whole.nnz:,} choices among listed recordings of others; "
            f"a model takes {MIN_PEOPLE} and {MIN_PAIRS}.",
            code="too_few_events",
            remedy="Nothing changed. Without a model, recommendations go by sound, and by what is new.",
        )
    held = hold_out(interactions, whole)
    train = signed - held
    train.eliminate_zeros()
    report("settings")
    settings = choose_settings(train, content, interactions.rank_recency, weights)
    chosen_s = time.perf_counter() - began
    report("factors and neighbours")
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
    model = fitting.make_model(settings, whole=True)
    fitted_s = time.perf_counter() - began_fit
    report("what it is worth")
    asked = np.flatnonzero((np.diff(held.indptr) > 0) & (np.diff(keep_positive(train).indptr) > 0))
    asked = _sample(asked, MAX_ASKED)
    recency = interactions.rank_recency(train)
    recency = None if recency is None else recency[asked]
    worth: dict[str, Any] = {}
    for name, scores in _list_contestants(model, in_force, fitting, train):
        worth[name] = _evaluate(scores, train[asked], recency, held[asked], keep_positive(train))
    figures = {
        "models": worth,
        "asked": len(asked),
        "choose_s": round(chosen_s, 3),
        "fit_s": round(fitted_s, 3),
        "whole_s": round(time.perf_counter() - began, 3),
        "stretch": None if model.sounds is None else model.sounds.stretch,
    }
    return FitResult(
        model=model,
        people=people,
        items=int((np.diff(whole.tocsc().indptr) > 0).sum()),
        pairs=whole.nnz,
        popularity=np.asarray((whole > 0).sum(axis=0) / people, dtype=np.float32).ravel(),
        figures=figures,
        reasons=tuple(_find_reasons(worth)),
    )


def hold_out(interactions: Interactions, whole: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return the pairs of `whole` that no model learns from, (users, items)."""
    rows, columns = whole.nonzero()
    users, items = (
        np.array([crc32(name.encode()) for name in names], dtype=np.uint64)
        for names in (interactions.users, interactions.items)
    )
    away = _mix(users[rows] << np.uint64(32) | items[columns]) % HELD_BACK_OF == 0
    found = sparse.csr_matrix((whole.data * away, (rows, columns)), shape=whole.shape, dtype=np.float32)
    found.eliminate_zeros()
    return found


def _mix(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's finish (Steele, Lea and Flood, 2014).

    A hash that adds up one of the person and one of the item would hold back whole blocks of both, which
    a model would learn as not chosen.
    """
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return bits ^ (bits >> np.uint64(31))


def choose_settings(
    train: sparse.csr_matrix, content: Float32 | None, rank_recency: RankRecency, weights: ServingWeights
) -> FitSettings:
    """Return the settings whose lists have the highest nDCG on a fifth of `train`.

    What sounds like a skip is not subtracted here: it would change all settings alike.
    """
    inner, wanted = split.split_at_random(keep_positive(train), np.random.default_rng(0))
    seen = train - wanted
    seen.eliminate_zeros()
    asked = np.flatnonzero((np.diff(wanted.indptr) > 0) & (np.diff(inner.indptr) > 0))
    if not len(asked):
        return FitSettings()
    asked = _sample(asked, MAX_ASKED_TO_CHOOSE)
    rows, wanted, recency = seen[asked], wanted[asked], rank_recency(seen)
    recency = None if recency is None else recency[asked]

    def worth(model: ServedModel) -> float:
        return float(metrics.ndcg(metrics.make_lists(model.scores, rows, recency=recency), wanted).mean())

    best: tuple[float, FitSettings, Fitting] | None = None
    for regularization, alpha in FACTORIZATIONS:
        settings = FitSettings(regularization=regularization, alpha=alpha, neighbours=0.0, content=0.0)
        fitting = Fitting(seen, content, regularization, alpha, settings.ease, weights, iterations=6)
        found = worth(fitting.make_model(settings))
        if best is None or found > best[0]:
            best = (found, settings, fitting)
    assert best is not None
    _, settings, fitting = best
    settings = replace(settings, neighbours=FitSettings.neighbours, content=FitSettings.content)
    value = worth(fitting.make_model(settings))
    for name, candidates in STEPS:
        if name in ("lean", "content") and content is None:
            continue
        if name == "skip" and not (rows.data < 0).any():
            continue
        for candidate in candidates:
            if candidate == getattr(settings, name):
                continue
            other = replace(settings, **{name: candidate})
            found = worth(fitting.make_model(other))
            if found > value:
                value, settings = found, other
    return settings


def _list_contestants(
    model: ServedModel, in_force: ServedModel | None, fitting: Fitting, train: sparse.csr_matrix
) -> Iterable[tuple[str, Scorer]]:
    yield OURS, model.scores_with_skips
    if in_force is not None:
        yield IN_FORCE, in_force.scores_with_skips
    yield EXACT, partial(_score_choices, fitting.als)
    others: dict[str, Model] = {"item-kNN": ItemNeighbours(neighbours=200), "popularity": Popularity()}
    for name, other in others.items():
        other.fit(keep_positive(train))
        yield name, partial(_score_choices, other)


def _score_choices(
    model: Model, rows: sparse.csr_matrix, _recency: sparse.csr_matrix | None = None
) -> Float32:
    return model.scores(keep_positive(rows))


def _evaluate(
    scores: Scorer,
    rows: sparse.csr_matrix,
    recency: sparse.csr_matrix | None,
    wanted: sparse.csr_matrix,
    train: sparse.csr_matrix,
) -> dict[str, float]:
    best = metrics.make_lists(scores, rows, recency=recency)
    found = {
        "recall": metrics.recall(best, wanted).mean(),
        "ndcg": metrics.ndcg(best, wanted).mean(),
        "coverage": metrics.coverage(best, rows.shape[1]),
        "novelty_bits": metrics.novelty(best, train).mean(),
    }
    return {name: round(float(value), 4) for name, value in found.items()}


def _find_reasons(worth: dict[str, Any]) -> Iterable[str]:
    ours = worth[OURS]["ndcg"]
    if ours < worth["popularity"]["ndcg"]:
        yield f"its nDCG@20 is {ours:.3f}, popularity's {worth['popularity']['ndcg']:.3f}"
    if IN_FORCE in worth and ours < (1 - SLACK) * worth[IN_FORCE]["ndcg"]:
        yield f"its nDCG@20 is {ours:.3f}, that of the model in force {worth[IN_FORCE]['ndcg']:.3f}"


def _sample(asked: Any, max_count: int) -> Any:
    if len(asked) <= max_count:
        return asked
    return np.sort(np.random.default_rng(0).choice(asked, size=max_count, replace=False))
