"""`soundscape recommend …`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from soundscape.cli.options import AsJson

app = typer.Typer(help="Fit, show and evaluate recommendation models.", no_args_is_help=True)

T = TypeVar("T")


class SplitBy(StrEnum):
    """How events are held back."""

    random = "random"
    time = "time"


@app.callback()
def root() -> None:
    """Fit, show and evaluate recommendation models."""


@app.command()
def evaluate(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, help="Events as CSV or Parquet: user, item, weight, time."
        ),
    ],
    features: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Item features as CSV or Parquet: item, then one column per feature.",
        ),
    ] = None,
    split: Annotated[
        SplitBy,
        typer.Option(
            help="Hold back a random fifth of each user's items, or the latest fifth of all events."
        ),
    ] = SplitBy.random,
    seeds: Annotated[
        int, typer.Option(help="Number of repetitions, each with another random split.", min=1, max=100)
    ] = 3,
    as_json: AsJson = False,
) -> None:
    """Evaluate models on a file of events.

    Part of what each user chose is held back. Each model is measured by how many of those items it finds.
    Popularity and item-kNN are the baselines for EASE and ALS. With --features, cold items (chosen by nobody
    yet) are evaluated too.
    """
    from rich.console import Console

    from soundscape.cli import recommend_tables as tables
    from soundscape.recommend import evaluation
    from soundscape.recommend import features as item_features
    from soundscape.recommend.interactions import read_interactions

    interactions = read_interactions(file)
    known = None if features is None else item_features.read_features(features, interactions.items)
    with Console(stderr=True).status("") as status:
        found = evaluation.evaluate(
            interactions, features=known, kind=split.value, seeds=seeds, report=status.update
        )
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
        return
    console = Console()
    for table in tables.list_evaluation_tables(found):
        console.print(table)


def _run_with_project(work: Callable[[Any], Awaitable[T]]) -> T:
    """Run `work(recommendations)` against the project that the environment names."""
    from soundscape.project.functions import call_project
    from soundscape.project.recommendations import Recommendations

    return call_project(Recommendations, work)


@app.command()
def fit(
    force: Annotated[
        bool, typer.Option("--force", help="Publish the model even if it is worse than the one in use.")
    ] = False,
    every_h: Annotated[
        float | None,
        typer.Option(
            "--every", help="Fit only if this many hours have passed since the last fit began.", min=0
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit a model on what people chose in the project, and publish it.

    A tenth of all choices is held back from every model. The new model is refused if, on those, its nDCG@20
    is more than 3 % below the model in use, or below popularity. With too few choices nothing is fitted. In
    both cases the exit status is 2, and the model in use stays in use.
    """
    from rich.console import Console

    from soundscape.cli import recommend_tables as tables
    from soundscape.project.recommendations import FitPostponed
    from soundscape.recommend import publication

    with Console(stderr=True).status("") as status:
        found = _run_with_project(
            lambda project: publication.publish(project, force=force, every_h=every_h, report=status.update)
        )
    if isinstance(found, FitPostponed):
        if found.held:
            raise publication.make_postponed_error(found)
        if as_json:
            typer.echo(json.dumps({"published": False, "due_at": found.until.isoformat()}))
        else:
            typer.echo(f"Not due before {found.until:%Y-%m-%d %H:%M} UTC.")
        return
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        console = Console()
        console.print(tables.make_figures_table(found.as_dict()))
        seconds = ", ".join(f"{name} {value:.1f} s" for name, value in found.seconds.items())
        console.print(
            f"Model {found.model_id} {'is published' if found.published else 'was refused'}; {seconds}."
        )
    if not found.published:
        raise publication.make_refusal(found)


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show the model in use with its figures, and the latest other models."""
    from rich.console import Console

    from soundscape.cli import recommend_tables as tables

    models = _run_with_project(lambda project: project.models())
    if as_json:
        typer.echo(json.dumps(models, indent=2))
        return
    console = Console()
    if not any(model["in_force"] for model in models):
        console.print("No model is in use. Fit one: soundscape recommend fit")
    for table in tables.list_model_tables(models):
        console.print(table)
