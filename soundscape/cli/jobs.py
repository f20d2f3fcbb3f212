"""`soundscape jobs …` and `soundscape reanalyze`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer

from soundscape.cli.job_filters import parse

app = typer.Typer(help="The queue: what it holds, and what is to become of it.", no_args_is_help=True)

T = TypeVar("T")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JobIds = Annotated[list[int] | None, typer.Argument(help="Jobs, by number.")]
POLL_S = 1.0
PAGE = 1000


def _with_ledger(work: Callable[[Any], Awaitable[T]]) -> T:
    """Run `work(ledger)` against the project that the environment names."""
    from soundscape.project.functions import ask
    from soundscape.project.job_listing import Ledger

    return ask(Ledger, work)


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
            help="queued, running, succeeded, refused, dead, superseded or cancelled; may be repeated."
        ),
    ] = None,
    recording: Annotated[str | None, typer.Option(help="Of this recording.")] = None,
    owner: Annotated[str | None, typer.Option(help="Of this user.")] = None,
    code: Annotated[str | None, typer.Option(help="That ended with this code.")] = None,
    before: Annotated[int | None, typer.Option(help="Older than this job: the next page.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=PAGE)] = 50,
    as_json: AsJson = False,
) -> None:
    """Show jobs, newest first."""
    from soundscape.cli import job_tables as tables
    from soundscape.project.job_listing import STATES

    for name in state or ():
        if name not in STATES:
            raise typer.BadParameter(f"{name} is no state; there are {', '.join(STATES)}")
    rows = _with_ledger(
        lambda ledger: ledger.jobs(
            states=state, recording=recording, owner=owner, code=code, before=before, most=limit
        )
    )
    _show(rows, as_json, tables.jobs(rows))


@app.command()
def dead(
    code: Annotated[str | None, typer.Option(help="That ended with this code.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=PAGE)] = 50,
    as_json: AsJson = False,
) -> None:
    """Show the dead letters: jobs whose attempts were used up."""
    from soundscape.cli import job_tables as tables

    rows = _with_ledger(lambda ledger: ledger.jobs(states=["dead"], code=code, most=limit))
    _show(rows, as_json, tables.jobs(rows))


@app.command()
def show(job_id: Annotated[int, typer.Argument(help="The job.")], as_json: AsJson = False) -> None:
    """Show all of one job. Exit status 1: there is none of that number."""
    from soundscape.cli import job_tables as tables

    row = _with_ledger(lambda ledger: ledger.job(job_id))
    if row is None:
        typer.secho(f"There is no job {job_id}.", fg="red", err=True)
        raise typer.Exit(1)
    _show(row, as_json, tables.job(row))


@app.command()
def stats(as_json: AsJson = False) -> None:
    """Show the queue in figures."""
    from soundscape.cli import job_tables as tables

    figures = _with_ledger(lambda ledger: ledger.stats())
    _show(figures, as_json, *tables.stats(figures))


@app.command()
def retry(
    job_ids: JobIds = None,
    all_dead: Annotated[bool, typer.Option("--dead", help="Every dead letter.")] = False,
    code: Annotated[str | None, typer.Option(help="With --dead: those that ended with this code.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask again for what jobs did not bring. Exit status 1: there was nothing to try again."""
    if bool(job_ids) == all_dead:
        raise typer.BadParameter("name jobs, or say --dead")

    async def work(ledger: Any) -> list[int]:
        if job_ids:
            return list(await ledger.retry(job_ids))
        made: list[int] = []
        before: int | None = None
        while rows := await ledger.jobs(states=["dead"], code=code, before=before, most=PAGE):
            made += await ledger.retry([row["id"] for row in rows])
            before = rows[-1]["id"]
        return made

    _report(_with_ledger(work), as_json, "asked for again", "retried")


@app.command()
def cancel(job_ids: JobIds = None, as_json: AsJson = False) -> None:
    """End jobs that wait or run; a worker at one drops it. Exit status 1: none of them was to be ended."""
    if not job_ids:
        raise typer.BadParameter("name jobs")
    _report(_with_ledger(lambda ledger: ledger.cancel(job_ids)), as_json, "cancelled", "cancelled")


def _report(changed: list[int], as_json: bool, done: str, key: str) -> None:
    if as_json:
        typer.echo(json.dumps({key: changed}))
    else:
        typer.echo(f"{len(changed)} {done}{': ' if changed else ''}{', '.join(map(str, changed[:20]))}")
    if not changed:
        raise typer.Exit(1)


@app.command()
def drain(
    resume: Annotated[bool, typer.Option("--resume", help="Give out jobs again.")] = False,
    timeout_s: Annotated[
        float, typer.Option("--timeout", help="Seconds to wait for running jobs.", min=0)
    ] = 600,
    as_json: AsJson = False,
) -> None:
    """Give out no more jobs and wait until none runs, as before an upgrade; `--resume` ends that.

    Uploads are taken on and wait. Exit status 1: jobs still run.
    """

    async def work(ledger: Any) -> tuple[int, dict[str, Any]]:
        await ledger.set(paused=not resume)
        ends_at = time.monotonic() + timeout_s
        while True:
            figures = await ledger.stats()
            # What is held past its lease has no worker any more, and gets no other while the queue is paused.
            held = sum(queue["running"] for queue in figures["queues"].values())
            running = held - figures["leases_run_out"]
            if resume or running == 0 or time.monotonic() >= ends_at:
                return running, figures
            await asyncio.sleep(POLL_S)

    running, figures = _with_ledger(work)
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
        typer.Option(help="Jobs one owner may have in flight at once, in each queue.", min=1, max=10000),
    ] = None,
    backfill_every: Annotated[
        int | None, typer.Option(help="One turn in so many begins with the backfills.", min=2, max=1000)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how workers are shared out, or change it."""
    settings = _with_ledger(
        lambda ledger: ledger.set(in_flight_per_owner=in_flight_per_owner, backfill_every=backfill_every)
    )
    if as_json:
        typer.echo(json.dumps(settings))
        return
    for name, value in settings.items():
        typer.echo(f"{name}: {value}")


def reanalyze(
    version: Annotated[
        str | None,
        typer.Option(help="Version of the analysis to ask for; unless given, this installation's."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="column=operator.value, such as status=eq.failed or tags=cs.{rain}; may be repeated."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many recordings.", min=1)] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Count them, and do nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Analyse recordings again that lack this version, behind whatever people upload meanwhile.

    What was found before stays readable until the new results are whole. Interrupted, it goes on where it
    stopped when run again.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    if version is None:
        from soundscape.audio import analysis_version
        from soundscape.audio.tagging.models import statuses

        version = analysis_version(tagged=all(status.state == "present" for status in statuses()))
    filters = [parse(text) for text in where or ()]
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
            task = progress.add_task("asked for", total=total)
            async for batch in ledger.reanalyze(wanted, filters, limit=limit):
                enqueued += batch.enqueued
                busy += batch.busy
                progress.update(task, completed=enqueued)
        return {"version": wanted, "found": total, "enqueued": enqueued, "busy": busy}

    outcome = _with_ledger(work)
    if as_json:
        typer.echo(json.dumps(outcome))
        return
    typer.echo(f"{outcome['found']} recordings lack version {outcome['version']}.")
    if not plan:
        typer.echo(f"{outcome['enqueued']} asked for; follow them with: soundscape jobs stats")
    if outcome["busy"]:
        typer.echo(f"{outcome['busy']} were being written to: run it again for them.")
