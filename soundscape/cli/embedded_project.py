"""An embedded Supabase project: Postgres and the four services, deployed, with the worker beside them."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI

from embedded_supabase import gateway, lock
from embedded_supabase.config import Config
from embedded_supabase.embedded import EmbeddedSupabase, open_embedded
from embedded_supabase.keys import Keys
from embedded_supabase.platform import install_platform
from embedded_supabase.postgres import Postgres
from soundscape.api.serve import listen, serving, stop
from soundscape.cli.embedded_environment import make_environment
from soundscape.cli.mail_outbox import OutboxTransport
from soundscape.deploy import sources
from soundscape.deploy.database import DeployResult, apply
from soundscape.settings import Settings, load_environment
from soundscape.worker.worker import Worker

DEFAULT_PORT = 8000


@dataclass(frozen=True)
class Project:
    """A running embedded Supabase project, as an outsider sees it."""

    url: str
    data_dir: Path
    keys: Keys
    db_url: str
    supabase: EmbeddedSupabase
    applied: DeployResult
    worker: Worker | None

    def environment(self) -> dict[str, str]:
        """Return the settings that a client of this project needs, by their usual names."""
        return make_environment(self.url, self.keys, self.db_url)


def make_worker_settings(project: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """Return the settings of the worker in this project.

    The environment says how the worker works. Which project it serves is not the environment's to say.
    """
    own = ("SOUNDSCAPE_", "OTEL_EXPORTER_OTLP_")
    tuning = {name: value for name, value in environment.items() if name.startswith(own) and value.strip()}
    defaults = {
        "SOUNDSCAPE_PUBLIC_URL": project["SUPABASE_URL"],
        "SOUNDSCAPE_SMTP_FROM": "SoundScape <soundscape@localhost.localdomain>",
    }
    return Settings.from_environment({**defaults, **tuning, **project})


@asynccontextmanager
async def run_project(
    data_dir: Path,
    *,
    port: int = DEFAULT_PORT,
    fresh: bool = False,
    durable: bool = True,
    with_worker: bool = True,
    config: Config | None = None,
) -> AsyncIterator[Project]:
    """Start the embedded Supabase in `data_dir`, and stop it when the block ends.

    Parameters
    ----------
    data_dir
        Where the project keeps its data. It is made if it is missing.
    port
        Port on 127.0.0.1; 0 takes any free one.
    fresh
        Delete the project's data first.
    durable
        Write to the disk before Postgres answers. Tests switch it off.
    with_worker
        Run a worker in the same process.
    config
        Instead of `supabase/config.toml`.

    Raises
    ------
    EmbeddedError
        Another process owns the directory, or Postgres does not start.
    ServingError
        The port is taken.
    DeployError
        The SQL does not apply.
    """
    data_dir = _make_directory(data_dir)
    with ExitStack() as held:
        note = held.enter_context(lock.hold_lock(data_dir))
        listener = held.enter_context(listen("127.0.0.1", port))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        note(url=url)
        if fresh:
            Postgres(home=data_dir / "postgres", password="").erase()
            _delete_contents(data_dir)
        keys = Keys.load_or_make(data_dir / "keys.json")
        postgres = Postgres(home=data_dir / "postgres", password=keys.db_password, durable=durable)
        held.callback(postgres.stop)
        postgres.start()
        install_platform(postgres)
        note(db_url=postgres.dsn())
        applied = apply(postgres.dsn(), worker_url=url, webhook_secret=keys.webhook_secret)
        config = config or Config.read(sources.get_folder() / "config.toml")
        async with open_embedded(
            data_dir=data_dir, url=url, keys=keys, config=config, postgres=postgres
        ) as embedded:
            beside: dict[str, FastAPI] = {}
            worker: Worker | None = None
            app: FastAPI | None = None
            if with_worker:
                from soundscape.api.app import build as build_worker

                own_key = {"SOUNDSCAPE_VAPID_PRIVATE_KEY": _load_or_make_vapid_key(data_dir / "vapid.key")}
                settings = make_worker_settings(
                    make_environment(url, keys, postgres.dsn()), own_key | load_environment()
                )
                app = build_worker(
                    settings, mail_transport=OutboxTransport(data_dir) if settings.smtp is None else None
                )
                beside["/api"], worker = app, app.state.worker
            project = Project(url, data_dir, keys, postgres.dsn(), embedded, applied, worker)
            async with serving(gateway.build(embedded, beside=beside), listener):
                try:
                    yield project
                finally:
                    # Before the project stops: the worker finishes its jobs or re-queues them.
                    if app is not None:
                        await stop(app)


def _load_or_make_vapid_key(path: Path) -> str:
    """The key of web pushes: with another one, browsers would have to subscribe anew."""
    if not path.exists():
        from soundscape.worker.vapid import make_private_key

        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(make_private_key())
    return path.read_text().strip()


def _make_directory(data_dir: Path) -> Path:
    # As root, Postgres runs under another uid and must be able to pass through.
    data_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    return data_dir.absolute()


def _delete_contents(data_dir: Path) -> None:
    """Delete everything but the lock we hold."""
    for path in data_dir.iterdir():
        if path.name == "lock":
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
