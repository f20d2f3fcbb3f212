"""`soundscape env`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from embedded_supabase.requirements import check_requirements
from soundscape.cli.options import DEFAULT_DATA_DIR, DataDir


class Format(StrEnum):
    """How settings are printed."""

    dotenv = "dotenv"
    next = "next"


def env(
    data_dir: DataDir = DEFAULT_DATA_DIR / "dev",
    form: Annotated[
        Format,
        typer.Option("--format", help="dotenv: every setting. next: those a Next.js frontend may know."),
    ] = Format.dotenv,
) -> None:
    """Print the settings of the running embedded Supabase as a .env file."""
    check_requirements()
    from soundscape.cli.embedded_environment import read_environment

    settings = read_environment(data_dir)
    for name, value in (settings if form is Format.dotenv else for_next(settings)).items():
        typer.echo(f"{name}={value}")


def for_next(settings: dict[str, str]) -> dict[str, str]:
    """The settings of `examples/nextjs/.env.local`: all of them reach the browser, none is a secret."""
    return {
        "NEXT_PUBLIC_SUPABASE_URL": settings["SUPABASE_URL"],
        "NEXT_PUBLIC_SUPABASE_PUBLISHABLE_KEY": settings["SUPABASE_PUBLISHABLE_KEY"],
        "NEXT_PUBLIC_SOUNDSCAPE_WORKER_URL": settings["SOUNDSCAPE_WORKER_URL"],
    }
