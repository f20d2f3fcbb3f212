"""`soundscape stats`: the project in figures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from soundscape.cli.options import AsJson

if TYPE_CHECKING:
    from soundscape.project.statistics import Statistics


def stats(
    days: Annotated[int, typer.Option(help="Number of days to show one by one.", min=0, max=366)] = 14,
    roll_up: Annotated[
        bool,
        typer.Option("--roll-up", help="First add what has arrived. Otherwise it is done every 10 minutes."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show users, recordings, storage, plays, listeners, likes and downloads of the project."""
    from soundscape.project.functions import call_project
    from soundscape.project.statistics import Statistics

    async def work(statistics: Statistics) -> dict[str, Any]:
        while roll_up and await statistics.roll_up():
            pass
        return await statistics.read_project(days=days)

    figures = call_project(Statistics, work)
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
        return
    from rich.console import Console

    console = Console()
    for table in _make_tables(figures):
        console.print(table)


def _make_tables(figures: dict[str, Any]) -> list[Any]:
    from rich.table import Table

    from soundscape.cli.job_tables import format_span

    project = Table("project", "")
    project.add_row("users", f"{figures['users']:,}")
    for status, count in sorted(figures["recordings"].items()):
        project.add_row(f"recordings: {status}", f"{count:,}")
    project.add_row("listed recordings", f"{figures['listed']:,}")
    project.add_row("sound in all", format_span(float(figures["duration_s"])))
    for bucket, stored in sorted(figures["storage"].items()):
        project.add_row(
            f"storage: {bucket}", f"{stored['objects']:,} objects, {stored['bytes'] / 1e6:,.1f} MB"
        )
    for name in ("likes", "plays", "downloads"):
        project.add_row(name, f"{figures[name]:,}")
    waiting = f"{figures['pending']:,}"
    if figures["pending"]:
        waiting += f", the oldest for {format_span(float(figures['pending_s']))}"
    project.add_row("not rolled up yet", waiting)
    by_day = Table("day (UTC)", "plays", "listeners", "downloads")
    for day in figures["days"]:
        by_day.add_row(day["day"], *(f"{day[name]:,}" for name in ("plays", "listeners", "downloads")))
    return [project, by_day]
