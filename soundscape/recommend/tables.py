"""An evaluation as tables."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from soundscape.recommend.evaluation import REFERENCE, Evaluation
from soundscape.recommend.metrics import LENGTH, Interval


def evaluation(found: Evaluation) -> Iterator[Table]:
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
            _share(worth.recall),
            _share(worth.ndcg),
            "" if worth.name == REFERENCE else _share(worth.ndcg_above_reference, sign="+"),
            f"{worth.coverage:.0%}",
            f"{worth.novelty_bits.mean:.1f} bits",
            f"{worth.fit_s:.2f} s",
            worth.settings,
        )
    yield models
    if found.cold is None:
        return
    cold = Table("items nobody chose, by their features", "", title="Cold items")
    cold.add_row(f"recall@{LENGTH} among all items", _share(found.cold.recall))
    cold.add_row("times a random order", f"{found.cold.times_random:.1f}")
    cold.add_row("times a random order, among cold items alone", f"{found.cold.among_cold_times_random:.1f}")
    cold.add_row(
        "share of the lists (of the catalogue)",
        f"{found.cold.share_of_lists:.0%} ({found.cold.share_of_items:.0%})",
    )
    yield cold


def _share(value: Interval, *, sign: str = "") -> str:
    half = max(value.high - value.mean, value.mean - value.low)
    return f"{value.mean:{sign}.3f}[dim] ± {half:.3f}[/]"
