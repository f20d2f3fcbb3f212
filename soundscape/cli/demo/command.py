"""`soundscape demo`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from embedded_supabase.requirements import check_requirements
from soundscape.cli.options import DEFAULT_DATA_DIR, DataDir
from soundscape.cli.signals import run_until_signalled


def demo(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Recordings to use. Without any, four sounds are synthesised.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the project running until Ctrl-C, and print its settings.")
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR / "demo",
) -> None:
    """Upload recordings to an embedded Supabase as a user would, and show the results.

    Exit status 1: a recording did not get a result, or somebody else could read a private one.
    """
    missing = [str(path) for path in files or [] if not path.is_file()]
    if missing:
        raise typer.BadParameter(f"no such file: {', '.join(missing)}")
    check_requirements()
    from rich.console import Console

    from soundscape.cli.demo.run import run
    from soundscape.cli.model_progress import pull_tag_model_once
    from soundscape.telemetry import logs

    logs.configure(level="error")
    pull_tag_model_once()

    async def show(ended: asyncio.Event) -> bool:
        showing = asyncio.create_task(run(files or [], data_dir=data_dir, keep=keep, console=Console()))
        interrupted = asyncio.create_task(ended.wait())
        await asyncio.wait({showing, interrupted}, return_when=asyncio.FIRST_COMPLETED)
        interrupted.cancel()
        if not showing.done():
            showing.cancel()
            await asyncio.wait({showing})
            if showing.cancelled():
                return False
        return showing.result()

    if not run_until_signalled(show):
        raise typer.Exit(1)
