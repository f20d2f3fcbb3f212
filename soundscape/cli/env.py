"""`soundscape env`."""

from __future__ import annotations

import typer

from embedded_supabase.requirements import check_requirements
from soundscape.cli.options import DEFAULT_DATA_DIR, DataDir


def env(data_dir: DataDir = DEFAULT_DATA_DIR / "dev") -> None:
    """Print the settings of the running embedded Supabase as a .env file."""
    check_requirements()
    from soundscape.cli.embedded_project import read_environment

    for name, value in read_environment(data_dir).items():
        typer.echo(f"{name}={value}")
