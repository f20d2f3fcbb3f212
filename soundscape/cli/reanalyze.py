"""`soundscape reanalyze`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from soundscape.cli.job_filters import parse_filter
from soundscape.cli.jobs import run_with_ledger
from soundscape.cli.options import AsJson


def reanalyze(
    version: Annotated[
        str | None,
        typer.Option(help="Analysis version that recordings should have. By default, this installation's."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="Only recordings that match column=operator.value, such as status=eq.failed or "
            "tags=cs.{rain}. May be repeated."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Queue at most this many recordings.", min=1)] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Count the recordings, and queue none.")] = False,
    as_json: AsJson = False,
) -> None:
    """Queue recordings that lack an analysis version. New uploads go first.

    Old results stay readable until the new ones are complete. If you interrupt the command, run it again and
    it continues where it stopped.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    if version is None:
        from soundscape.audio import analysis_version
        from soundscape.audio.tagging.models import statuses

        version = analysis_version(tagged=all(status.state == "present" for status in statuses()))
    filters = [parse_filter(text) for text in where or ()]
    wanted = version

    async def work(ledger: Any) -> dict[str, Any]:
        total = 0
        async for batch in ledger.reanalyze(wanted, filters, limit=limit, plan=True):
            total += batch.found
        enqueued = busy = 0
        if plan:
            return {"version": wanted, "found": total, "enqueued": 0, "busy": 0}
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), disable=as_json) as progress:
            task = progress.add_task("queued", total=total)
            async for batch in ledger.reanalyze(wanted, filters, limit=limit):
                enqueued += batch.enqueued
                busy += batch.busy
                progress.update(task, completed=enqueued)
        return {"version": wanted, "found": total, "enqueued": enqueued, "busy": busy}

    outcome = run_with_ledger(work)
    if as_json:
        typer.echo(json.dumps(outcome))
        return
    typer.echo(f"{outcome['found']} recordings lack version {outcome['version']}.")
    if not plan:
        typer.echo(f"{outcome['enqueued']} queued. Follow them with: soundscape jobs stats")
    if outcome["busy"]:
        typer.echo(f"{outcome['busy']} were being written to. Run the command again for them.")
