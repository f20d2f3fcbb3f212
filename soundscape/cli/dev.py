"""`soundscape dev`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from embedded_supabase import lock
from embedded_supabase.requirements import check_requirements
from soundscape.cli.options import DEFAULT_DATA_DIR, DataDir
from soundscape.cli.signals import run_until_signalled

PATHS = ("auth/v1", "rest/v1", "storage/v1", "realtime/v1", "api/docs")


def dev(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1. 0 takes any free one.")] = 8000,
    data_dir: DataDir = DEFAULT_DATA_DIR / "dev",
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the project's data first.")] = False,
) -> None:
    """Run the embedded Supabase with a worker until Ctrl-C.

    It is for development: it listens on this machine only, and the SQL is deployed at each start.
    """
    check_requirements()
    lock.check_free(data_dir)
    from soundscape.cli.embedded_environment import get_command
    from soundscape.cli.embedded_project import run_project
    from soundscape.cli.model_progress import pull_tag_model_once
    from soundscape.telemetry import logs

    logs.configure()
    pull_tag_model_once()

    async def serve(ended: asyncio.Event) -> None:
        async with run_project(data_dir, port=port, fresh=fresh) as project:
            typer.echo(f"SoundScape is up at {project.url}, data in {project.data_dir}")
            for path in PATHS:
                typer.echo(f"  {project.url}/{path}")
            typer.echo(f"Ready when {project.url}/api/health/ready answers 200.")
            typer.echo(f"Settings: {get_command()} env --data-dir {data_dir}")
            assert project.worker is not None
            await project.worker.watch(ended)

    run_until_signalled(serve)
