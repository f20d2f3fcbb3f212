"""`soundscape import`."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from soundscape.cli.options import AsJson, Email, read_user_settings

if TYPE_CHECKING:
    from soundscape.project.account import Account
    from soundscape.project.bulk_import import Outcome

EXIT_REFUSED = 1
EXIT_INTERRUPTED = 130


def import_files(
    source: Annotated[
        Path,
        typer.Argument(
            help="A folder, or a CSV file with the column file, and any of title, description, tags "
            "(a;b;c), license, is_public."
        ),
    ],
    parallel: Annotated[int, typer.Option(help="Files to upload at a time.", min=1, max=32)] = 4,
    public: Annotated[
        bool, typer.Option("--public", help="Make the recordings public, where the CSV file says nothing.")
    ] = False,
    tag: Annotated[
        list[str] | None, typer.Option(help="A tag for all, where the CSV file has none. May be repeated.")
    ] = None,
    fill_from_file: Annotated[
        bool | None,
        typer.Option(
            "--fill-from-file/--no-fill-from-file",
            help="Whether the files say when and where they were recorded. By default, your setting decides.",
            show_default=False,
        ),
    ] = None,
    email: Email = None,
    as_json: AsJson = False,
) -> None:
    """Upload and describe many recordings, by SOUNDSCAPE_API_KEY (scope upload) or a sign-in.

    If you interrupt the command, run it again: it continues where it stopped, in the middle of a file too. A
    file that is there is not uploaded again.
    """
    settings = read_user_settings(email)
    common: dict[str, Any] = {"is_public": True} if public else {}
    if tag:
        common["tags"] = tag
    try:
        outcomes = asyncio.run(_import(settings, source, parallel, common, fill_from_file, shown=not as_json))
    except KeyboardInterrupt:
        typer.echo("Interrupted. Run the same command again to continue.", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    counts = Counter(outcome.state for outcome in outcomes)
    refused = [outcome for outcome in outcomes if outcome.state == "refused"]
    if as_json:
        typer.echo(json.dumps({**counts, "files": [outcome.as_dict() for outcome in outcomes]}))
    else:
        typer.echo(
            f"{counts['uploaded']} uploaded, {counts['present']} were there, "
            f"{counts['duplicate']} the same as another file, {counts['refused']} refused."
        )
        for outcome in refused:
            typer.echo(f"{outcome.file}: {outcome.code}: {outcome.message}", err=True)
    if refused:
        raise typer.Exit(EXIT_REFUSED)


async def _import(
    settings: Any,
    source: Path,
    parallel: int,
    common: dict[str, Any],
    fill_from_file: bool | None,
    *,
    shown: bool,
) -> list[Outcome]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from soundscape.cli.import_list import read_list
    from soundscape.project.account import sign_in
    from soundscape.project.bulk_import import BulkImport, Progress
    from soundscape.project.client import http_client

    async with http_client() as http, sign_in(settings, http) as account:
        items = await asyncio.to_thread(read_list, source, await _read_extensions(account), common)
        total = sum(item.file.stat().st_size for item in items if item.file.is_file())
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bar(*columns, console=Console(stderr=True), disable=not shown) as files:
            ended = files.add_task("files", total=len(items))
            stored = files.add_task("MB", total=total >> 20)
            size = 0

            def note_stored(count: int) -> None:
                nonlocal size
                size += count
                files.update(stored, completed=size >> 20)

            progress = Progress(stored=note_stored, ended=lambda _: files.advance(ended))
            importer = BulkImport(
                account, parallel=parallel, progress=progress, fill_from_file=fill_from_file
            )
            return await importer.run(items)


async def _read_extensions(account: Account) -> list[str]:
    from soundscape.project.client import translate_errors

    with translate_errors("accepted_uploads"):
        found: Any = (await (await account.client()).rpc("accepted_uploads", {}).execute()).data
        return list(found[0]["extensions"])
