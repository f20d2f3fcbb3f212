"""`soundscape deploy`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from soundscape.cli.options import AsJson


def deploy(
    plan: Annotated[bool, typer.Option("--plan", help="Show what would change, and change nothing.")] = False,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Restore what was changed by hand, and remove additions that give somebody access.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Deploy migrations, policies, buckets, secrets and hooks to the project.

    The environment or .env names the project; .env.example explains each setting. You can interrupt the
    command and run it again at any time. Exit status 1: something must be fixed first, or was changed by
    hand in the project.
    """
    from soundscape.deploy import deployment
    from soundscape.deploy.target import Target
    from soundscape.settings import load_environment

    def report(line: str) -> None:
        if not as_json:
            typer.echo(line)

    outcome = deployment.deploy(
        Target.from_environment(load_environment()), report, plan_only=plan, repair=repair
    )
    if as_json:
        typer.echo(json.dumps(outcome.as_dict(), indent=2))
    if not outcome.succeeded:
        raise typer.Exit(1)
