"""An evaluation as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from soundscape.recommend.evaluation import REFERENCE, Evaluation
from soundscape.recommend.metrics import LENGTH, Interval


def list_evaluation_tables(found: Evaluation) -> Iterator[Table]:
    """One table of the models and, where features were given, one of cold items."""
    models = Table(
        "model",
        f"recall@{LENGTH}",
        f"nDCG@{LENGTH}",
        f"nDCG over {REFERENCE}",
        "coverage",
        "novelty",
        "fit",
        "settings",
        title=f"{found.users:,} users × {found.items:,} items, {found.pairs:,} pairs; "
        f"split by {found.kind}, {found.asked:,} users asked, seeds: {found.seeds}",
    )
    for worth in found.models:
        models.add_row(
            worth.name,
            _format_interval(worth.recall),
            _format_interval(worth.ndcg),
            "" if worth.name == REFERENCE else _format_interval(worth.ndcg_above_reference, sign="+"),
            f"{worth.coverage:.0%}",
            f"{worth.novelty_bits.mean:.1f} bits",
            f"{worth.fit_s:.2f} s",
            worth.settings,
        )
    yield models
    if found.cold is None:
        return
    cold = Table("items nobody chose, by their features", "", title="Cold items")
    cold.add_row(f"recall@{LENGTH} among all items", _format_interval(found.cold.recall))
    cold.add_row("times a random order", f"{found.cold.times_random:.1f}")
    cold.add_row("times a random order, among cold items alone", f"{found.cold.among_cold_times_random:.1f}")
    cold.add_row(
        "share of the lists (of the catalogue)",
        f"{found.cold.share_of_lists:.0%} ({found.cold.share_of_items:.0%})",
    )
    yield cold


def make_figures_table(fitted: Mapping[str, Any], *, title: str | None = None) -> Table:
    """What a fitted model and others were worth on what was held back."""
    table = Table(
        "",
        f"recall@{LENGTH}",
        f"nDCG@{LENGTH}",
        "coverage",
        "novelty",
        title=title
        or f"{fitted['people']:,} people × {fitted['items']:,} recordings, {fitted['events']:,} choices",
        caption=f"{fitted['figures'].get('asked', 0):,} people asked for the tenth of their choices that no "
        "model learns from",
    )
    models = fitted["figures"].get("models", {})
    for name, worth in sorted(models.items(), key=lambda each: -float(each[1]["ndcg"])):
        table.add_row(
            name,
            f"{worth['recall']:.3f}",
            f"{worth['ndcg']:.3f}",
            f"{worth['coverage']:.0%}",
            f"{worth['novelty_bits']:.1f} bits",
        )
    return table


def list_model_tables(found: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
    """The figures of the model in force, and the latest models in a list."""
    for model in found:
        if model["in_force"]:
            here = model["recordings"]
            yield make_figures_table(
                model,
                title=f"Model {model['id']} in force since {model['published_at']:.16}: {here['placed']:,} "
                f"recordings, {here['cold']:,} of them placed by how they sound",
            )
    table = Table("model", "state", "fitted", "people", "recordings", "choices", f"nDCG@{LENGTH}")
    for model in found:
        worth = model["figures"].get("models", {}).get("as served", {})
        table.add_row(
            str(model["id"]),
            model["state"],
            f"{model['fitted_at']:.16}",
            *(f"{model[name]:,}" for name in ("people", "items", "events")),
            f"{worth['ndcg']:.3f}" if worth else "",
        )
    yield table


def _format_interval(value: Interval, *, sign: str = "") -> str:
    half = max(value.high - value.mean, value.mean - value.low)
    return f"{value.mean:{sign}.3f}[dim] ± {half:.3f}[/]"
