"""The command line. Each command is a few lines; the work is where its name says."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from embedded_supabase.errors import EmbeddedError
from embedded_supabase.requirements import check_requirements
from soundscape import __version__
from soundscape.cli import jobs as jobs
from soundscape.cli import recommend as recommend
from soundscape.cli.analyze import analyze
from soundscape.errors import SoundScapeError

app = typer.Typer(
    name="soundscape",
    help="A Supabase project becomes a home for recordings.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

models_app = typer.Typer(help="Optional models, by checksum.", no_args_is_help=True)
app.add_typer(models_app, name="models")
app.command()(analyze)
app.add_typer(jobs.app, name="jobs")
app.command()(jobs.reanalyze)
app.add_typer(recommend.app, name="recommend")

DEFAULT_DATA_DIR = Path(".soundscape")
DataDir = Annotated[Path, typer.Option("--data-dir", help="Where the embedded Supabase lives.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A Supabase project becomes a home for recordings."""


@app.command()
def dev(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes any free one.")] = 8000,
    data_dir: DataDir = DEFAULT_DATA_DIR / "dev",
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what is there and begin anew.")] = False,
) -> None:
    """Run the embedded Supabase, deployed, with the worker in it, until Ctrl-C."""
    check_requirements()
    from soundscape.cli.dev import command, running
    from soundscape.telemetry import logs

    logs.configure()

    async def serve(ended: asyncio.Event) -> None:
        async with running(data_dir, port=port, fresh=fresh) as project:
            typer.echo(f"SoundScape is up at {project.url}, data in {project.data_dir}")
            for name in ("auth/v1", "rest/v1", "storage/v1", "realtime/v1", "api/docs"):
                typer.echo(f"  {project.url}/{name}")
            typer.echo(f"Ready when {project.url}/api/health/ready says 200.")
            typer.echo(f"Settings: {command()} env --data-dir {data_dir}")
            await ended.wait()

    _run_until_signalled(serve)


@app.command()
def env(data_dir: DataDir = DEFAULT_DATA_DIR / "dev") -> None:
    """Print the running embedded Supabase's settings as a .env file."""
    check_requirements()
    from soundscape.cli.dev import environment_of

    for name, value in environment_of(data_dir).items():
        typer.echo(f"{name}={value}")


@app.command()
def demo(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Recordings; none: four sounds are made.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the project running afterwards.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR / "demo",
) -> None:
    """Take recordings the whole way, as a user would, and show what came out."""
    check_requirements()
    from rich.console import Console

    from soundscape.cli.demo.run import run
    from soundscape.telemetry import logs

    logs.configure(level="error")
    missing = [str(path) for path in files or [] if not path.is_file()]
    if missing:
        raise typer.BadParameter(f"no such file: {', '.join(missing)}")

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

    if not _run_until_signalled(show):
        raise typer.Exit(1)


@app.command()
def worker(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
) -> None:
    """Run the worker against the project that the environment names."""
    from soundscape.api.serve import serve
    from soundscape.settings import Settings
    from soundscape.telemetry import logs

    settings = Settings.from_environment()
    logs.configure(level=settings.log_level)
    _run_until_signalled(lambda ended: serve(settings, host=host, port=port, ended=ended))


@app.command()
def deploy(
    plan: Annotated[bool, typer.Option("--plan", help="Show what would be done, and do nothing.")] = False,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Put back what was changed by hand; remove what was added and opens something."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found and done as JSON.")] = False,
) -> None:
    """Bring the project to the wanted state: migrations, policies, buckets, secrets, hooks.

    Safe to interrupt and to run again. Exit status 1: something stands in the way, or was changed by hand.
    """
    from soundscape.deploy.deployment import deploy as bring
    from soundscape.deploy.target import Target
    from soundscape.settings import load_environment

    def tell(line: str) -> None:
        if not as_json:
            typer.echo(line)

    outcome = bring(Target.from_environment(load_environment()), tell, plan_only=plan, repair=repair)
    if as_json:
        typer.echo(json.dumps(outcome.as_dict(), indent=2))
    if not outcome.succeeded:
        raise typer.Exit(1)


@app.command()
def check(
    wait_s: Annotated[float, typer.Option("--wait", help="Seconds the worker may take.", min=1)] = 60.0,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A capability; it and what it needs are tried.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the lines as JSON.")] = False,
) -> None:
    """Try what users do in a deployed project; one line a capability, with the mend where it is broken.

    Signs up two throw-away users and deletes them again. Exit status 1: something is broken.
    """
    from soundscape.check.runner import Line
    from soundscape.check.runner import check as try_all
    from soundscape.deploy.target import Target
    from soundscape.settings import load_environment

    signs = {"works": "✓", "broken": "✗", "blocked": "·", "unknown": "?"}
    colours = {"works": "green", "broken": "red"}

    def tell(line: Line) -> None:
        if as_json:
            return
        typer.secho(f"{signs[line.result]} {line.name:<20}", fg=colours.get(line.result), nl=False)
        typer.echo(f"{line.seconds:7.2f} s  {line.result:<8}{line.reason}".rstrip())
        if line.mend:
            typer.echo(f"{'':33}→ {line.mend}")

    target = Target.from_environment(load_environment())
    lines = asyncio.run(try_all(target, tell, wait_s=wait_s, only=only or ()))
    broken = sum(line.result == "broken" for line in lines)
    if as_json:
        typer.echo(json.dumps({"works": broken == 0, "lines": [line.as_dict() for line in lines]}, indent=2))
    if broken:
        raise typer.Exit(1)


@models_app.command("list")
def models_list(
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """Show every model this version can use, and whether it is here and whole."""
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


@models_app.command("pull")
def models_pull(
    name: Annotated[str, typer.Argument(help="Which model; `soundscape models list` names them.")] = "yamnet",
    source: Annotated[Path | None, typer.Option("--from", help="A copy of the file to take instead.")] = None,
) -> None:
    """Fetch a model and keep it only if its SHA-256 is the expected one."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from soundscape.audio.tagging.models import pull

    with Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn()) as progress:
        task = progress.add_task(name, total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        path = pull(name, source=source, progress=show)
    typer.echo(str(path))


def _run_until_signalled(work: Any) -> Any:
    """Run `work(ended)`; `ended` is set by the first SIGINT or SIGTERM, so that everything stops in order.

    The second one cancels: whoever sends it does not want to wait for running jobs.
    """

    async def main() -> Any:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        whole = asyncio.current_task()
        assert whole is not None

        def signalled() -> None:
            if ended.is_set():
                whole.cancel()
            ended.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, signalled)
        coroutine: Coroutine[Any, Any, Any] = work(ended)
        return await coroutine

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise typer.Exit(130) from None


def main() -> None:
    """Entry point: an error of ours is one sentence and a remedy, not a traceback."""
    try:
        app()
    except (SoundScapeError, EmbeddedError) as error:
        typer.secho(f"{error.code}: {error.message}", fg="red", err=True)
        if error.remedy:
            typer.echo(error.remedy, err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
