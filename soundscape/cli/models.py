"""`soundscape models …`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from soundscape.cli.options import AsJson

app = typer.Typer(help="List and download optional models.", no_args_is_help=True)


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models that this version can use, and whether each is installed and intact."""
    from soundscape.audio.tagging.models import statuses

    found = statuses()
    if as_json:
        rows = [
            {"name": s.model.name, "state": s.state, "path": str(s.path), "sha256": s.model.sha256}
            for s in found
        ]
        typer.echo(json.dumps(rows))
        return
    for status in found:
        typer.echo(f"{status.model.name}  {status.state}  {status.path}")
        typer.echo(f"  {status.model.purpose}; {status.model.licence}, {status.model.size_bytes:,} bytes")


@app.command()
def pull(
    name: Annotated[
        str, typer.Argument(help="Name of the model, as `soundscape models list` prints it.")
    ] = "yamnet",
    source: Annotated[
        Path | None, typer.Option("--from", help="Copy the model from this file instead of downloading it.")
    ] = None,
) -> None:
    """Download a model. It is kept only if its SHA-256 checksum is right."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from soundscape.cli.model_download import pull_model

    with Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn()) as progress:
        task = progress.add_task(name, total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        path = pull_model(name, source=source, progress=show)
    typer.echo(str(path))
