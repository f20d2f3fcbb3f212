"""The command line: mounts one module per command group."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from embedded_supabase.errors import EmbeddedError
from soundscape import __version__
from soundscape.cli import check, deploy, dev, env, jobs, models, reanalyze, recommend, worker
from soundscape.cli.analyze import analyze
from soundscape.cli.demo import command as demo
from soundscape.errors import SoundScapeError

app = typer.Typer(
    name="soundscape",
    help="Turn a Supabase project into a home for recordings.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(dev.dev)
app.command()(env.env)
app.command()(demo.demo)
app.command()(analyze)
app.command()(worker.worker)
app.command()(deploy.deploy)
app.command()(check.check)
app.add_typer(models.app, name="models")
app.add_typer(jobs.app, name="jobs")
app.command()(reanalyze.reanalyze)
app.add_typer(recommend.app, name="recommend")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Turn a Supabase project into a home for recordings."""


def main() -> None:
    """Run the command line. An error of ours is printed as a sentence and a remedy, without a traceback."""
    try:
        app()
    except (SoundScapeError, EmbeddedError) as error:
        typer.secho(f"{error.code}: {error.message}", fg="red", err=True)
        if error.remedy:
            typer.echo(error.remedy, err=True)
        sys.exit(2)
