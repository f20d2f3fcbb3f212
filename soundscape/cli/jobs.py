"""`soundscape jobs …`: the queue, for its operator."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer

from soundscape.cli.options import AsJson

app = typer.Typer(help="Show and control the analysis queue.", no_args_is_help=True)

T = TypeVar("T")
Code = Annotated[str | None, typer.Option(help="Only jobs that ended with this error code.")]
JobIds = Annotated[list[int] | None, typer.Argument(help="Job numbers.")]
POLL_S = 1.0
MAX_ROWS = 1000


def run_with_ledger(work: Callable[[Any], Awaitable[T]]) -> T:
    """Run `work(ledger)` against the project that the environment names."""
    from soundscape.project.functions import call_project
    from soundscape.project.job_listing import Ledger

    return call_project(Ledger, work)


def _show(value: Any, as_json: bool, *tables: Any) -> None:
    if as_json:
        typer.echo(json.dumps(value, indent=2))
        return
    from rich.console import Console

    console = Console()
    for table in tables:
        console.print(table)


@app.command("list")
def list_jobs(
    state: Annotated[
        list[str] | None,
        typer.Option(
            help="Only jobs in this state: queued, running, succeeded, refused, dead, superseded or "
            "cancelled. May be repeated."
        ),
    ] = None,
    recording: Annotated[str | None, typer.Option(help="Only jobs of this recording (its id).")] = None,
    owner: Annotated[str | None, typer.Option(help="Only jobs of this user (their id).")] = None,
    code: Code = None,
    before: Annotated[
        int | None,
        typer.Option(help="Only jobs older than this job number. Use it to get the next page."),
    ] = None,
    limit: Annotated[int, typer.Option(help="Number of jobs to show.", min=1, max=MAX_ROWS)] = 50,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    from soundscape.cli import job_tables as tables
    from soundscape.project.job_listing import STATES

    for name in state or ():
        if name not in STATES:
            raise typer.BadParameter(f"{name} is not a state. The states are {', '.join(STATES)}.")
    rows = run_with_ledger(
        lambda ledger: ledger.jobs(
            states=state, recording=recording, owner=owner, code=code, before=before, most=limit
        )
    )
    _show(rows, as_json, tables.list_jobs(rows))


@app.command()
def dead(
    code: Code = None,
    limit: Annotated[int, typer.Option(help="Number of jobs to show.", min=1, max=MAX_ROWS)] = 50,
    as_json: AsJson = False,
) -> None:
    """List dead letters: jobs that used up their attempts."""
    from soundscape.cli import job_tables as tables

    rows = run_with_ledger(lambda ledger: ledger.jobs(states=["dead"], code=code, most=limit))
    _show(rows, as_json, tables.list_jobs(rows))


@app.command()
def show(job_id: Annotated[int, typer.Argument(help="Job number.")], as_json: AsJson = False) -> None:
    """Show everything about one job. Exit status 1: no job has this number."""
    from soundscape.cli import job_tables as tables

    row = run_with_ledger(lambda ledger: ledger.job(job_id))
    if row is None:
        typer.secho(f"There is no job {job_id}.", fg="red", err=True)
        raise typer.Exit(1)
    _show(row, as_json, tables.show_job(row))


@app.command()
def stats(as_json: AsJson = False) -> None:
    """Show how many jobs wait and run, how jobs ended in the last 24 hours, and the queue's settings."""
    from soundscape.cli import job_tables as tables

    figures = run_with_ledger(lambda ledger: ledger.stats())
    _show(figures, as_json, *tables.show_stats(figures))


@app.command()
def retry(
    job_ids: JobIds = None,
    all_dead: Annotated[bool, typer.Option("--dead", help="Re-queue every dead letter.")] = False,
    code: Annotated[
        str | None, typer.Option(help="With --dead: only those that ended with this error code.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Re-queue jobs that failed. Exit status 1: no job was re-queued."""
    if bool(job_ids) == all_dead:
        raise typer.BadParameter("give job numbers, or --dead")

    async def work(ledger: Any) -> list[int]:
        if job_ids:
            return list(await ledger.retry(job_ids))
        made: list[int] = []
        before: int | None = None
        while rows := await ledger.jobs(states=["dead"], code=code, before=before, most=MAX_ROWS):
            made += await ledger.retry([row["id"] for row in rows])
            before = rows[-1]["id"]
        return made

    _report(run_with_ledger(work), as_json, "re-queued", "retried")


@app.command()
def cancel(job_ids: JobIds = None, as_json: AsJson = False) -> None:
    """Cancel jobs that wait or run. A worker drops its job. Exit status 1: no job was cancelled."""
    if not job_ids:
        raise typer.BadParameter("give job numbers")
    _report(run_with_ledger(lambda ledger: ledger.cancel(job_ids)), as_json, "cancelled", "cancelled")


def _report(changed: list[int], as_json: bool, done: str, key: str) -> None:
    if as_json:
        typer.echo(json.dumps({key: changed}))
    else:
        typer.echo(f"{len(changed)} {done}{': ' if changed else ''}{', '.join(map(str, changed[:20]))}")
    if not changed:
        raise typer.Exit(1)


@app.command()
def drain(
    resume: Annotated[bool, typer.Option("--resume", help="Start giving out jobs again.")] = False,
    timeout_s: Annotated[
        float, typer.Option("--timeout", help="Seconds to wait for running jobs.", min=0)
    ] = 600,
    as_json: AsJson = False,
) -> None:
    """Pause the queue and wait until no job runs, for example before an upgrade.

    Uploads are still accepted, and their jobs wait. `--resume` ends the pause. Exit status 1: jobs still run.
    """

    async def work(ledger: Any) -> tuple[int, dict[str, Any]]:
        await ledger.set(paused=not resume)
        ends_at = time.monotonic() + timeout_s
        while True:
            figures = await ledger.stats()
            # A job whose lease ran out has no worker, and gets none while the queue is paused.
            held = sum(queue["running"] for queue in figures["queues"].values())
            running = held - figures["leases_run_out"]
            if resume or running == 0 or time.monotonic() >= ends_at:
                return running, figures
            await asyncio.sleep(POLL_S)

    running, figures = run_with_ledger(work)
    paused_at = figures["settings"]["paused_at"]
    if as_json:
        typer.echo(json.dumps({"running": running, "paused_at": paused_at}))
    else:
        typer.echo(f"{'Paused' if paused_at else 'Open'}; {running} running.")
    if running and not resume:
        raise typer.Exit(1)


@app.command()
def share(
    in_flight_per_owner: Annotated[
        int | None,
        typer.Option(
            help="Number of jobs that one owner may have queued or running at once, per queue.",
            min=1,
            max=10000,
        ),
    ] = None,
    backfill_every: Annotated[
        int | None,
        typer.Option(help="Prefer re-analyses over uploads once in this many claims.", min=2, max=1000),
    ] = None,
    preview_every: Annotated[
        int | None,
        typer.Option(help="While analyses wait, make a preview after this many of them.", min=2, max=1000),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show or change how the queue shares workers between owners."""
    settings = run_with_ledger(
        lambda ledger: ledger.set(
            in_flight_per_owner=in_flight_per_owner,
            backfill_every=backfill_every,
            preview_every=preview_every,
        )
    )
    if as_json:
        typer.echo(json.dumps(settings))
        return
    for name, value in settings.items():
        typer.echo(f"{name}: {value}")
