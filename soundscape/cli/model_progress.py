"""The download of a model as people see it: a progress bar, and the download at the first use."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from soundscape.audio.tagging.models import YAMNET, digest, models_directory
from soundscape.cli.model_download import ModelHostUnreachable, get_model_urls, pull_model
from soundscape.cli.model_download import Progress as ProgressCallback
from soundscape.errors import ModelError
from soundscape.settings import load_environment

RETRY_AFTER_S = 3600
"""A failed download at the first use is tried again after this time, so that being offline costs little."""


@contextmanager
def show_progress(name: str, *, console: Console | None = None) -> Iterator[ProgressCallback]:
    """Show a progress bar on standard error while bytes arrive. It is removed at the end."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console or Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def pull_tag_model_once(
    *,
    directory: Path | None = None,
    console: Console | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Download the tag model if somebody at a terminal would miss it.

    Nothing happens without a terminal, with `SOUNDSCAPE_MODELS=off`, when the model is installed, or when the
    library that runs it is not. No failure is an error here, since the analysis goes on without tags: being
    offline is silent, any other failure is one line.

    Parameters
    ----------
    directory
        Where models are kept. By default `models_directory()`.
    console
        Where the bar is drawn. By default standard error.
    environment
        Settings. By default the environment and `.env`.
    """
    console = console or Console(stderr=True)
    if not (console.is_terminal and importlib.util.find_spec("ai_edge_litert")):
        return
    environment = load_environment() if environment is None else environment
    if environment.get("SOUNDSCAPE_MODELS", "").strip().lower() == "off":
        return
    directory = directory or models_directory()
    path = directory / YAMNET.filename
    if path.is_file() and digest(path) == YAMNET.sha256:
        return
    failed = directory / f".{YAMNET.filename}.failed"
    if failed.is_file() and time.time() - failed.stat().st_mtime < RETRY_AFTER_S:
        return
    try:
        with show_progress("downloading the tag model", console=console) as progress:
            pull_model(
                YAMNET.name,
                urls=get_model_urls(YAMNET, environment),
                directory=directory,
                progress=progress,
            )
    except ModelError as error:
        with suppress(OSError):  # if it cannot be noted, it is tried again next time
            failed.parent.mkdir(parents=True, exist_ok=True)
            failed.touch()
        if not isinstance(error, ModelHostUnreachable):
            said = f"The tag model was not downloaded: {error.message}"
            console.print(said, style="dim", markup=False, highlight=False, soft_wrap=True)
