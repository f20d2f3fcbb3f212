"""`soundscape check`."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from soundscape.cli.options import AsJson

if TYPE_CHECKING:
    from soundscape.check.capability import Line

SIGNS = {"works": "✓", "broken": "✗", "blocked": "·", "unknown": "?"}
COLOURS = {"works": "green", "broken": "red"}


def check(
    wait_s: Annotated[
        float, typer.Option("--wait", help="Seconds to wait for the worker to analyse a recording.", min=1)
    ] = 60.0,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Test the capability of this name and those it needs. May be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Test a deployed project as a user would.

    The environment or .env names the project; .env.example explains each setting.
    Prints one line per capability and how to fix what fails. Signs up two users for the test and deletes them
    at the end. Exit status 1: a capability is broken.
    """
    from soundscape.check import runner
    from soundscape.deploy.target import Target
    from soundscape.settings import load_environment

    def report(line: Line) -> None:
        if not as_json:
            _print_line(line)

    target = Target.from_environment(load_environment())
    lines = asyncio.run(runner.check(target, report, wait_s=wait_s, only=only or ()))
    broken = sum(line.result == "broken" for line in lines)
    if as_json:
        typer.echo(json.dumps({"works": broken == 0, "lines": [line.as_dict() for line in lines]}, indent=2))
    if broken:
        raise typer.Exit(1)


def _print_line(line: Line) -> None:
    typer.secho(f"{SIGNS[line.result]} {line.name:<20}", fg=COLOURS.get(line.result), nl=False)
    typer.echo(f"{line.seconds:7.2f} s  {line.result:<8}{line.reason}".rstrip())
    if line.fix:
        typer.echo(f"{'':33}→ {line.fix}")
