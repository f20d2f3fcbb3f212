"""The evaluation of models on a file of events."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from soundscape.recommend import metrics, split
from soundscape.recommend.feature_map import FeatureMap, choose_stretch
from soundscape.recommend.interactions import Float32, Float64, Interactions
from soundscape.recommend.metrics import Interval
from soundscape.recommend.models import EASE_MAX_ITEMS, Als, Ease, ItemNeighbours, Model, Popularity
from soundscape.recommend.split import Kind, Split

REFERENCE = "item-kNN"

Maker = Callable[[], Model]
Report = Callable[[str], None]

# The settings that each model chooses from, on a random fifth of what it learns from.
CANDIDATES: Mapping[str, Sequence[Maker]] = {
    "popularity": (Popularity,),
    REFERENCE: tuple(
        partial(ItemNeighbours, neighbours=neighbours, shrinkage=shrinkage)
        for neighbours, shrinkage in ((50, 10.0), (200, 10.0), (200, 50.0))
    ),
    "EASE": tuple(partial(Ease, regularization=penalty) for penalty in (20.0, 100.0, 300.0, 800.0)),
    "ALS": tuple(
        partial(Als, factors=factors, regularization=penalty, alpha=alpha)
        for factors, penalty, alpha in ((16, 5.0, 2.0), (16, 20.0, 8.0), (32, 50.0, 8.0), (32, 20.0, 2.0))
    ),
}


@dataclass(frozen=True)
class ModelFigures:
    """One model's figures over all seeds. `fit_s` is the slowest fit, without choosing settings."""

    name: str
    settings: str
    recall: Interval
    ndcg: Interval
    ndcg_above_reference: Interval
    coverage: float
    novelty_bits: Interval
    fit_s: float
    choose_s: float

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {
            name: value.as_dict() if isinstance(value, Interval) else value
            for name, value in vars(self).items()
        }


@dataclass(frozen=True)
class ColdFigures:
    """Figures of cold items, which are placed by their features among all other items.

    Parameters
    ----------
    recall
        Of a user's held-back items in the twenty best that the user had not chosen.
    times_random
        `recall` over that of a random order.
    among_cold_times_random
        The same for lists of cold items alone.
    share_of_lists, share_of_items
        The share of cold items in the lists, and in the catalogue.
    """

    recall: Interval
    times_random: float
    among_cold_times_random: float
    share_of_lists: float
    share_of_items: float

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {**vars(self), "recall": self.recall.as_dict()}


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation. `cold` is None if no features were given."""

    users: int
    items: int
    pairs: int
    asked: int
    kind: Kind
    seeds: int
    models: tuple[ModelFigures, ...]
    cold: ColdFigures | None

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {
            **vars(self),
            "models": [worth.as_dict() for worth in self.models],
            "cold": self.cold.as_dict() if self.cold else None,
        }


@dataclass
class _Runs:
    """One model's figures of each seed, by user; NaN for users who were not asked."""

    recall: list[Float64]
    ndcg: list[Float64]
    novelty: list[Float64]
    coverage: list[float]
    fit_s: list[float]
    choose_s: list[float]
    settings: list[str]


def evaluate(
    interactions: Interactions,
    *,
    features: Float32 | None = None,
    kind: Kind = "random",
    seeds: int = 3,
    report: Report = lambda _: None,
) -> Evaluation:
    """Fit every model on what is not held back, and measure how much of the rest it lists.

    Figures are means over users of their means over seeds. Intervals are bootstrapped over users.

    Parameters
    ----------
    interactions
        The events.
    features
        Of the items, (items, features).
    kind
        How events are held back.
    seeds
        How many times, each with another random split.
    report
        Called with the name of each step.

    Raises
    ------
    RecommendationError
        The data cannot be split like this.
    """
    names = [name for name in CANDIDATES if name != "EASE" or len(interactions.items) <= EASE_MAX_ITEMS]
    runs = {name: _Runs([], [], [], [], [], [], []) for name in names}
    for seed in range(seeds):
        parts = split.split_warm(interactions, kind, seed=seed)
        for name in names:
            report(f"seed {seed + 1} of {seeds}: {name}")
            _run(runs[name], CANDIDATES[name], parts, seed)
    reference = _by_user(runs[REFERENCE].ndcg)
    matrix = interactions.matrix
    return Evaluation(
        users=matrix.shape[0],
        items=matrix.shape[1],
        pairs=matrix.nnz,
        asked=len(reference),
        kind=kind,
        seeds=seeds,
        models=tuple(_summarize(name, run, reference) for name, run in runs.items()),
        cold=None if features is None else evaluate_cold(interactions, features, seeds=seeds, report=report),
    )


def choose(makers: Sequence[Maker], parts: Split, *, seed: int) -> Maker:
    """Return the maker whose lists have the highest nDCG on a fifth of the training part."""
    if len(makers) == 1:
        return makers[0]
    inner = Split(*split.split_at_random(parts.train, np.random.default_rng(seed)), parts.cold)
    if not len(inner.asked):
        return makers[0]
    rows, wanted = inner.train[inner.asked], inner.test[inner.asked]

    def worth(maker: Maker) -> float:
        model = maker()
        model.fit(inner.train)
        return float(metrics.ndcg(metrics.make_lists(model.scores, rows), wanted).mean())

    return max(makers, key=worth)


def evaluate_cold(
    interactions: Interactions, features: Float32, *, seeds: int = 3, report: Report = lambda _: None
) -> ColdFigures:
    """Hold back a tenth of the items, `seeds` times, and place them by their features, (items, features)."""
    recalls, lifts, lifts_alone, shares = [], [], [], []
    for seed in range(seeds):
        report(f"seed {seed + 1} of {seeds}: items nobody chose")
        parts = split.split_cold(interactions, seed=seed)
        model = choose(CANDIDATES["ALS"], parts, seed=seed)()
        assert isinstance(model, Als)
        model.fit(parts.train)
        items = add_cold_items(model, features, parts)
        is_warm = np.ones(len(items), dtype=bool)
        is_warm[parts.cold] = False

        def everything(rows: Any, model: Als = model, items: Float32 = items) -> Float32:
            return model.fold_in(rows) @ items.T

        def cold_alone(rows: Any, is_warm: Any = is_warm, score: Any = everything) -> Float32:
            return np.where(is_warm, -np.inf, score(rows)).astype(np.float32)

        rows, wanted = parts.train[parts.asked], parts.test[parts.asked]
        left = rows.shape[1] - np.diff(rows.indptr)
        best = metrics.make_lists(everything, rows)
        found = metrics.recall(best, wanted)
        alone = metrics.recall(metrics.make_lists(cold_alone, rows), wanted)
        recalls.append(_of_everyone(found, parts))
        lifts.append(found.mean() / metrics.random_recall(wanted, left).mean())
        lifts_alone.append(
            alone.mean() / metrics.random_recall(wanted, np.full_like(left, len(parts.cold))).mean()
        )
        shares.append(np.isin(best, parts.cold).mean())
    return ColdFigures(
        recall=metrics.bootstrap_interval(_by_user(recalls)),
        times_random=float(np.mean(lifts)),
        among_cold_times_random=float(np.mean(lifts_alone)),
        share_of_lists=float(np.mean(shares)),
        share_of_items=split.COLD_ITEMS,
    )


def add_cold_items(model: Als, features: Float32, parts: Split) -> Float32:
    """Return the model's factors, (items, k), with those of cold items guessed from their features."""
    chosen = np.asarray((parts.train > 0).sum(axis=0)).ravel()
    places = FeatureMap()
    places.fit(features, model.items, chosen)
    places.stretch = choose_stretch(features, model.items, chosen, parts.train[parts.asked], model.fold_in)
    items = model.items.copy()
    items[parts.cold] = places.factors(features[parts.cold])
    return items


def _run(run: _Runs, makers: Sequence[Maker], parts: Split, seed: int) -> None:
    began = time.perf_counter()
    maker = choose(makers, parts, seed=seed)
    run.choose_s.append(time.perf_counter() - began)
    model = maker()
    began = time.perf_counter()
    model.fit(parts.train)
    run.fit_s.append(time.perf_counter() - began)
    rows, wanted = parts.train[parts.asked], parts.test[parts.asked]
    best = metrics.make_lists(model.scores, rows)
    run.recall.append(_of_everyone(metrics.recall(best, wanted), parts))
    run.ndcg.append(_of_everyone(metrics.ndcg(best, wanted), parts))
    run.novelty.append(_of_everyone(metrics.novelty(best, parts.train), parts))
    run.coverage.append(metrics.coverage(best, rows.shape[1]))
    run.settings.append(_settings(maker))


def _summarize(name: str, run: _Runs, reference: Float64) -> ModelFigures:
    ndcg = _by_user(run.ndcg)
    return ModelFigures(
        name=name,
        settings=max(run.settings, key=run.settings.count),
        recall=metrics.bootstrap_interval(_by_user(run.recall)),
        ndcg=metrics.bootstrap_interval(ndcg),
        ndcg_above_reference=metrics.bootstrap_interval(ndcg - reference),
        coverage=float(np.mean(run.coverage)),
        novelty_bits=metrics.bootstrap_interval(_by_user(run.novelty)),
        fit_s=max(run.fit_s),
        choose_s=max(run.choose_s),
    )


def _settings(maker: Maker) -> str:
    chosen = maker.keywords if isinstance(maker, partial) else {}
    return ", ".join(f"{name} {value:g}" for name, value in chosen.items())


def _of_everyone(values: Float64, parts: Split) -> Float64:
    """Spread the figures of those asked over all users, (users,)."""
    everyone = np.full(parts.train.shape[0], np.nan)
    everyone[parts.asked] = values
    return everyone


def _by_user(seeds: Sequence[Float64]) -> Float64:
    """Return means over the seeds that asked a user, for users whom any seed asked."""
    stacked = np.vstack(seeds)
    return np.asarray(np.nanmean(stacked[:, ~np.isnan(stacked).all(axis=0)], axis=0), dtype=np.float64)
