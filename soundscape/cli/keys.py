"""`soundscape keys …`: a user's API keys, for scripts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from soundscape.cli.options import AsJson, Email, read_user_settings

if TYPE_CHECKING:
    from soundscape.project.api_keys import ApiKeys

app = typer.Typer(help="Make, list and revoke your API keys, for scripts.", no_args_is_help=True)
T = TypeVar("T")


class Scope(StrEnum):
    """What a key's sessions may do."""

    read = "read"
    upload = "upload"
    all = "all"


def _run(email: str | None, work: Callable[[ApiKeys], Awaitable[T]]) -> T:
    """Run `work(keys)` as the user, who signs in with a password: no key makes or ends keys."""
    from soundscape.project.account import sign_in
    from soundscape.project.api_keys import ApiKeys
    from soundscape.project.client import http_client

    settings = read_user_settings(email, with_key=False)

    async def main() -> T:
        async with http_client() as http, sign_in(settings, http) as account:
            return await work(ApiKeys(await account.client()))

    return asyncio.run(main())


@app.command("make")
def make(
    name: Annotated[str, typer.Argument(help="What you call the key, such as the script's name.")],
    scope: Annotated[
        Scope, typer.Option(help="read what you see; upload: also add recordings; all: also change them.")
    ] = Scope.read,
    days: Annotated[
        int | None, typer.Option(help="The key ends by itself after so many days.", min=1)
    ] = None,
    email: Email = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it. It is not stored, so that it cannot be printed again."""
    made = _run(email, lambda keys: keys.make(name, scope=scope.value, days=days))
    if as_json:
        typer.echo(json.dumps(made))
        return
    typer.echo(made["key"])
    typer.echo(
        f"This is the only time you see it. Use it as SOUNDSCAPE_API_KEY, and end it with: "
        f"soundscape keys revoke {made['prefix']}",
        err=True,
    )


@app.command("list")
def list_keys(email: Email = None, as_json: AsJson = False) -> None:
    """List your API keys: how they begin, what they may do, and when they were last used."""
    rows = _run(email, lambda keys: keys.list())
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "begins with", "scope", "made", "last used", "state")
    for row in rows:
        table.add_row(
            row["name"],
            row["prefix"],
            row["scope"],
            row["created_at"][:10],
            (row["last_used_at"] or "never")[:16].replace("T", " "),
            _describe_state(row),
        )
    Console().print(table)


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(help="The key's name, its beginning or its id.")],
    email: Email = None,
    as_json: AsJson = False,
) -> None:
    """End an API key. Its sessions may do nothing from their next request on."""
    row = _run(email, lambda keys: keys.revoke(key))
    typer.echo(json.dumps(row) if as_json else f"{row['name']} ({row['prefix']}…) is revoked.")


def _describe_state(row: dict[str, Any]) -> str:
    if row["revoked_at"]:
        return f"revoked {row['revoked_at'][:10]}"
    return f"until {row['expires_at'][:10]}" if row["expires_at"] else "in force"
