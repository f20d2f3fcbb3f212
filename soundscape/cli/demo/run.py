"""The demonstration from start to end: project, journey, report, verdict."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from embedded_supabase.errors import EmbeddedError
from soundscape.cli.demo import report, sounds
from soundscape.cli.demo.journey import DemoUser, Recording, fetch_rows, try_forbidden_access
from soundscape.cli.embedded_environment import get_command
from soundscape.cli.embedded_project import Project, run_project
from soundscape.project.visitor import signed_up_visitor

READY_TIMEOUT_S = 180.0
READY_POLL_S = 0.2


async def run(files: Sequence[Path], *, data_dir: Path, keep: bool, console: Console) -> bool:
    """Upload every file to an embedded Supabase, and report the results.

    Parameters
    ----------
    files
        Recordings. Without any, sounds are synthesised.
    data_dir
        Directory of the embedded Supabase.
    keep
        Keep the project running until this is cancelled.
    console
        Where to print.

    Returns
    -------
    bool
        Whether everything worked.
    """
    with tempfile.TemporaryDirectory(prefix="soundscape-demo-") as folder:
        if not files:
            console.print(
                "No files given: synthesising four sounds (rain-like noise, a bird, chords, formants)."
            )
            files = await asyncio.to_thread(sounds.write_all, Path(folder))
        async with AsyncExitStack() as opened:
            with console.status("Starting the embedded Supabase …") as status:
                project = await opened.enter_async_context(run_project(data_dir, port=0))
                status.update("Warming up the analysis (the first start compiles it) …")
                await _await_ready(project)
            console.print(f"Postgres, Auth, REST, Storage, Realtime and the worker are up at {project.url}")
            succeeded = await _journey(project, files, console)
            if keep:
                _print_environment(project, console)
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
    return succeeded


async def _await_ready(project: Project) -> None:
    """Wait for the worker's readiness. Raises `EmbeddedError` with what is missing."""
    # The machine may be busy compiling: a slow answer is none of the project's faults.
    async with httpx.AsyncClient(base_url=project.url, timeout=READY_TIMEOUT_S) as client:
        for _ in range(round(READY_TIMEOUT_S / READY_POLL_S)):
            answer = await client.get("/api/health/ready")
            if answer.status_code == 200:
                return
            await asyncio.sleep(READY_POLL_S)
    missing = [
        f"{name} ({check['reason']})"
        for name, check in answer.json()["checks"].items()
        if check["state"] == "failed"
    ]
    raise EmbeddedError(
        f"The worker did not become ready in {READY_TIMEOUT_S:.0f} s: {', '.join(missing)}.",
        code="worker_unready",
        remedy="The messages above say why.",
    )


async def _journey(project: Project, files: Sequence[Path], console: Console) -> bool:
    recordings = [Recording(path) for path in files]
    key = project.keys.publishable_key
    fell_short: list[str] = []
    async with signed_up_visitor(project.url, key) as visitor:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("uploading", total=len(recordings))

            def show() -> None:
                progress.update(
                    task,
                    completed=sum(recording.ended for recording in recordings),
                    description=report.progress_line(recordings),
                )

            try:
                await DemoUser(visitor).follow(recordings, show)
            except TimeoutError as error:
                fell_short.append(f"not every recording came to an end: {error}")
            show()
        console.print(report.table(recordings, width=console.width))
        fell_short += [f"{r.path.name} ended as {r.status}" for r in recordings if not r.ended]

        private = next((r for r in recordings if r.status == "ready"), None)
        if private is None:
            fell_short.append("no recording became ready")
        else:
            rows = await fetch_rows(
                visitor.client.table("audio_files").select("file_path").eq("id", private.audio_id)
            )
            tries = await try_forbidden_access(project.url, key, private, rows[0]["file_path"])
            console.print(report.privacy(tries))
            fell_short += [f"{t.who} could {t.what}" for t in tries if not t.refused]
    for failure in fell_short:
        console.print(f"[bold red]Fell short:[/] {failure}")
    if not fell_short:
        ready = sum(r.status == "ready" for r in recordings)
        console.print(
            f"[green]{ready} ready, {len(recordings) - ready} refused with a reason, nothing leaked.[/]"
        )
    return not fell_short


def _print_environment(project: Project, console: Console) -> None:
    console.print("\nThe project keeps running; Ctrl-C ends it. Its settings:\n")
    for name in ("SUPABASE_URL", "SUPABASE_PUBLISHABLE_KEY"):
        console.print(f"{name}={project.environment()[name]}", soft_wrap=True, highlight=False)
    console.print(f"\nAll of them: {get_command()} env --data-dir {project.data_dir}", highlight=False)
