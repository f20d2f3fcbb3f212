"""`soundscape worker`."""

from __future__ import annotations

from typing import Annotated

import typer

from soundscape.cli.signals import run_until_signalled


def worker(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
) -> None:
    """Run the worker for the project of the environment or .env.

    .env.example explains each setting. The worker takes jobs from the project's queue and serves
    /api. The first Ctrl-C lets running jobs finish, the second one re-queues them.
    """
    from soundscape.api.serve import serve
    from soundscape.settings import Settings
    from soundscape.telemetry import logs

    settings = Settings.from_environment()
    logs.configure(level=settings.log_level)
    run_until_signalled(lambda ended: serve(settings, host=host, port=port, ended=ended))
