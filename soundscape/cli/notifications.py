"""`soundscape notifications …`: the outbox of mails and pushes, for its operator."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from soundscape.cli.options import AsJson

app = typer.Typer(help="Show and control mails and pushes of notifications.", no_args_is_help=True)

T = TypeVar("T")
Ids = Annotated[list[UUID] | None, typer.Argument(help="Ids of deliveries.")]
Code = Annotated[str | None, typer.Option(help="Only those with this error code.")]
MAX_ROWS = 1000


def run_with_deliveries(work: Callable[[Any], Awaitable[T]]) -> T:
    """Run `work(deliveries)` against the project that the environment names."""
    from soundscape.project.functions import call_project
    from soundscape.project.outbox import Deliveries

    return call_project(Deliveries, work)


def _show(value: Any, as_json: bool, *tables: Any) -> None:
    if as_json:
        typer.echo(json.dumps(value, indent=2))
        return
    from rich.console import Console

    console = Console()
    for table in tables:
        console.print(table)


@app.command("list")
def list_deliveries(
    state: Annotated[
        list[str] | None,
        typer.Option(
            help="Only those in this state: queued, running, sent, dropped or dead. May be repeated."
        ),
    ] = None,
    channel: Annotated[str | None, typer.Option(help="Only mails (email), or only pushes (push).")] = None,
    owner: Annotated[str | None, typer.Option(help="Only those to this user (their id).")] = None,
    code: Code = None,
    before: Annotated[
        str | None, typer.Option(help="Only those older than this one. Use it to get the next page.")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many to show.", min=1, max=MAX_ROWS)] = 50,
    as_json: AsJson = False,
) -> None:
    """List mails and pushes, newest first. Events that wait to be bundled are in `stats`."""
    from soundscape.cli import delivery_tables as tables
    from soundscape.project.outbox import CHANNELS, STATES

    for name in state or ():
        if name not in STATES:
            raise typer.BadParameter(f"{name} is not a state. The states are {', '.join(STATES)}.")
    if channel not in (None, *CHANNELS):
        raise typer.BadParameter(f"{channel} is not a channel. The channels are {', '.join(CHANNELS)}.")
    rows = run_with_deliveries(
        lambda deliveries: deliveries.find(
            states=state, owner=owner, channel=channel, code=code, before=before, limit=limit
        )
    )
    _show(rows, as_json, tables.list_deliveries(rows))


@app.command()
def show(
    delivery_id: Annotated[UUID, typer.Argument(help="Id of a delivery.")], as_json: AsJson = False
) -> None:
    """Show everything about one mail or push, but the address. Exit status 1: there is none with this id."""
    from soundscape.cli import delivery_tables as tables

    row = run_with_deliveries(lambda deliveries: deliveries.show(str(delivery_id)))
    if row is None:
        typer.secho(f"There is no delivery {delivery_id}.", fg="red", err=True)
        raise typer.Exit(1)
    _show(row, as_json, tables.show_delivery(row))


@app.command()
def stats(as_json: AsJson = False) -> None:
    """Show of each channel whether it is on, what waits, how deliveries ended, and why some failed."""
    from soundscape.cli import delivery_tables as tables

    figures = run_with_deliveries(lambda deliveries: deliveries.stats())
    _show(figures, as_json, *tables.show_stats(figures))


@app.command()
def retry(
    delivery_ids: Ids = None,
    all_dead: Annotated[bool, typer.Option("--dead", help="Every one that was given up.")] = False,
    code: Annotated[str | None, typer.Option(help="With --dead: only those with this error code.")] = None,
    as_json: AsJson = False,
) -> None:
    """Queue again what was given up or dropped. Exit status 1: nothing was queued."""
    if bool(delivery_ids) == all_dead:
        raise typer.BadParameter("give ids of deliveries, or --dead")

    async def work(deliveries: Any) -> list[str]:
        if delivery_ids:
            return list(await deliveries.retry([str(one) for one in delivery_ids]))
        queued: list[str] = []
        before: str | None = None
        while rows := await deliveries.find(states=["dead"], code=code, before=before, limit=MAX_ROWS):
            queued += await deliveries.retry([row["id"] for row in rows])
            before = rows[-1]["id"]
        return queued

    _report(run_with_deliveries(work), as_json, "queued again", "retried")


@app.command()
def cancel(delivery_ids: Ids = None, as_json: AsJson = False) -> None:
    """Drop what waits to be sent. Exit status 1: nothing was dropped."""
    if not delivery_ids:
        raise typer.BadParameter("give ids of deliveries")
    ids = [str(one) for one in delivery_ids]
    _report(run_with_deliveries(lambda deliveries: deliveries.cancel(ids)), as_json, "dropped", "cancelled")


@app.command()
def reopen(
    user: Annotated[UUID | None, typer.Argument(help="Id of a user.")] = None,
    all_users: Annotated[
        bool, typer.Option("--all", help="Every user whose address ended, however long ago.")
    ] = False,
    code: Annotated[
        str | None, typer.Option(help="With --all: only those whose address ended with this error code.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send mails again to users whose address came back. Exit status 1: no address had ended."""
    if (user is None) != all_users or (code is not None and not all_users):
        raise typer.BadParameter("give the id of a user, or --all, which --code narrows")

    async def work(deliveries: Any) -> list[str]:
        if user is None:
            return [*await deliveries.reopen_addresses(code)]
        return [str(user)] if await deliveries.reopen_address(str(user)) else []

    _report(run_with_deliveries(work), as_json, "reopened", "reopened")


@app.command()
def vapid(as_json: AsJson = False) -> None:
    """Make a key for web push. Keep it: with another one, every browser must subscribe anew."""
    from soundscape.worker.vapid import get_public_key, make_private_key

    private_key = make_private_key()
    if as_json:
        typer.echo(json.dumps({"private_key": private_key, "public_key": get_public_key(private_key)}))
        return
    typer.echo(f"SOUNDSCAPE_VAPID_PRIVATE_KEY={private_key}")


def _report(changed: Sequence[str], as_json: bool, done: str, key: str) -> None:
    if as_json:
        typer.echo(json.dumps({key: list(changed)}))
    else:
        typer.echo(f"{len(changed)} {done}{': ' if changed else ''}{', '.join(changed[:20])}")
    if not changed:
        raise typer.Exit(1)
