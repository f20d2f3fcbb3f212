"""`soundscape recommend …`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

app = typer.Typer(
    help="Recommendations: fitted, in force, and what they would have been worth.", no_args_is_help=True
)


T = TypeVar("T")
AsJson = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]


class SplitBy(StrEnum):
    """How events are held back."""

    random = "random"
    time = "time"


@app.callback()
def root() -> None:
    """Recommendations: fitted, in force, and what they would have been worth."""


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
    as_json: AsJson = False,
) -> None:
    """Hold back a part of what people chose, and see how much of it each model finds.

    Popularity and item-kNN are what EASE and ALS have to beat. With --features, also how well items that
    nobody chose yet are placed.
    """
    from rich.console import Console

    from soundscape.cli import recommend_tables as tables
    from soundscape.recommend import evaluation
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


def _with_project(work: Callable[[Any], Awaitable[T]]) -> T:
    """Run `work(recommendations)` against the project that the environment names."""
    from soundscape.project.functions import ask
    from soundscape.project.recommendations import Recommendations

    return ask(Recommendations, work)


@app.command()
def fit(
    force: Annotated[
        bool, typer.Option("--force", help="Let it serve even if it is worse than what serves.")
    ] = False,
    every_h: Annotated[
        float | None,
        typer.Option("--every", help="Only if so many hours passed since the last fit began.", min=0),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Learn from what people chose in the project, and let the new model serve.

    Refused, with exit status 2, when it is more than 3 % worse in nDCG@20 than the model in force or worse
    than popularity, both on the same tenth of all choices, which no model learns from. With too few choices
    nothing is fitted. What served goes on serving.
    """
    from rich.console import Console

    from soundscape.cli import recommend_tables as tables
    from soundscape.project.recommendations import NotNow
    from soundscape.recommend import publication

    with Console(stderr=True).status("") as status:
        found = _with_project(
            lambda project: publication.publish(project, force=force, every_h=every_h, tell=status.update)
        )
    if isinstance(found, NotNow):
        if found.held:
            raise publication.not_now(found)
        if as_json:
            typer.echo(json.dumps({"published": False, "due_at": found.until.isoformat()}))
        else:
            typer.echo(f"Not due before {found.until:%Y-%m-%d %H:%M} UTC.")
        return
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        console = Console()
        console.print(tables.figures(found.as_dict()))
        seconds = ", ".join(f"{name} {value:.1f} s" for name, value in found.seconds.items())
        console.print(f"Model {found.model_id} {'serves' if found.published else 'was refused'}; {seconds}.")
    if not found.published:
        raise publication.refusal(found)


@app.command()
def show(as_json: AsJson = False) -> None:
    """The model in force and what it was worth; the latest others."""
    from rich.console import Console

    from soundscape.cli import recommend_tables as tables

    models = _with_project(lambda project: project.models())
    if as_json:
        typer.echo(json.dumps(models, indent=2))
        return
    console = Console()
    if not any(model["in_force"] for model in models):
        console.print("No model is in force: soundscape recommend fit")
    for table in tables.models(models):
        console.print(table)
