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
    from soundscape.audio.tagging.models import find_model
    from soundscape.cli.model_download import get_model_urls, pull_model
    from soundscape.cli.model_progress import show_progress
    from soundscape.settings import load_environment

    urls = get_model_urls(find_model(name), load_environment())
    with show_progress(name) as progress:
        path = pull_model(name, source=source, urls=urls, progress=progress)
    typer.echo(str(path))
