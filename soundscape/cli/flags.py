"""`soundscape flags …`: what is switched on, and for whom."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from soundscape.cli.options import AsJson

app = typer.Typer(help="Show and switch feature flags.", no_args_is_help=True)


class State(StrEnum):
    """For whom a flag is on."""

    on = "on"
    off = "off"
    some = "some"


@app.command("list")
def list_flags(as_json: AsJson = False) -> None:
    """List the flags, and for whom they are on."""
    from soundscape.project.flag_table import FlagTable
    from soundscape.project.functions import call_project

    rows = call_project(FlagTable, lambda table: table.list())
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("flag", "state", "for", "from", "until", "what it switches")
    for row in rows:
        table.add_row(
            row["key"],
            row["state"],
            _describe_audience(row),
            *((row[name] or "")[:16].replace("T", " ") for name in ("active_from", "active_until")),
            row["description"],
        )
    Console().print(table)


@app.command("set")
def set_flag(
    key: Annotated[str, typer.Argument(help="The flag.")],
    state: Annotated[State, typer.Argument(help="For everybody, nobody, or some.")],
    percentage: Annotated[
        float | None, typer.Option(help="With some: this share of the users.", min=0, max=100)
    ] = None,
    role: Annotated[
        list[str] | None, typer.Option(help="With some: user, moderator or admin. May be repeated.")
    ] = None,
    user: Annotated[list[str] | None, typer.Option(help="With some: a user's id. May be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Switch a flag. Browsers follow within two seconds, the database and the workers at once."""
    from soundscape.project.flag_table import FlagTable
    from soundscape.project.functions import call_project

    change: dict[str, Any] = {"state": state.value}
    if state is State.some:
        # All of the audience: a part that is not named would stay on.
        change |= {"percentage": percentage or 0, "roles": role or [], "user_ids": user or []}
    row = call_project(FlagTable, lambda table: table.set(key, change))
    typer.echo(json.dumps(row) if as_json else f"{row['key']} is {row['state']}: {_describe_audience(row)}.")


def _describe_audience(row: dict[str, Any]) -> str:
    if row["state"] != "some":
        return {"on": "everybody", "off": "nobody"}[row["state"]]
    parts = [f"{row['percentage']} %"] if row["percentage"] else []
    parts += row["roles"]
    if row["user_ids"]:
        parts.append(f"{len(row['user_ids'])} users")
    return ", ".join(parts) or "nobody"
