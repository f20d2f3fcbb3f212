"""`soundscape recommend …`."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Recommendations: what they would have been worth.", no_args_is_help=True)


class SplitBy(StrEnum):
    """How events are held back."""

    random = "random"
    time = "time"


@app.callback()
def root() -> None:
    """Recommendations: what they would have been worth."""


@app.command()
def evaluate(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="CSV or Parquet of user, item, weight, time.")
    ],
    features: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="CSV or Parquet of item and what is known of it."),
    ] = None,
    split: Annotated[
        SplitBy, typer.Option(help="A fifth of each user's items, or the latest fifth of all events.")
    ] = SplitBy.random,
    seeds: Annotated[int, typer.Option(help="How often, each time otherwise.", min=1, max=100)] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Hold back a part of what people chose, and see how much of it each model finds.

    Popularity and item-kNN are what EASE and ALS have to beat. With --features, also how well items that
    nobody chose yet are placed.
    """
    from rich.console import Console

    from soundscape.recommend import evaluation, tables
    from soundscape.recommend import features as item_features
    from soundscape.recommend.interactions import read

    interactions = read(file)
    known = None if features is None else item_features.read(features, interactions.items)
    with Console(stderr=True).status("") as status:
        found = evaluation.evaluate(
            interactions, features=known, kind=split.value, seeds=seeds, tell=status.update
        )
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
        return
    console = Console()
    for table in tables.evaluation(found):
        console.print(table)
