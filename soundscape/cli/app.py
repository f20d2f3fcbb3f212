"""The command line: mounts one module per command group."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from embedded_supabase.errors import EmbeddedError
from soundscape import __version__
from soundscape.cli import (
    check,
    deploy,
    dev,
    env,
    flags,
    import_files,
    jobs,
    keys,
    models,
    notifications,
    reanalyze,
    recommend,
    stats,
    worker,
)
from soundscape.cli.analyze import analyze
from soundscape.cli.demo import command as demo
from soundscape.cli.listen import listen
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
app.command()(listen)
app.command()(worker.worker)
app.command()(deploy.deploy)
app.command()(check.check)
app.command("import")(import_files.import_files)
app.add_typer(models.app, name="models")
app.add_typer(jobs.app, name="jobs")
app.add_typer(notifications.app, name="notifications")
app.add_typer(keys.app, name="keys")
app.add_typer(flags.app, name="flags")
app.command()(reanalyze.reanalyze)
app.add_typer(recommend.app, name="recommend")
app.command()(stats.stats)


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
