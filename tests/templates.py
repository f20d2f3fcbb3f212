"""Clusters made once for each run of the tests. A copy takes a fraction of the time of making one."""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import psycopg
from psycopg import sql

from embedded_supabase.keys import Keys
from embedded_supabase.platform import install_platform
from embedded_supabase.postgres import SUPERUSER, Postgres
from soundscape.deploy.database import apply

PASSWORD = "for-tests-only"

FOLDER_VARIABLE = "TEST_TEMPLATES_FOLDER"
"""Names the folder to all processes of one run; `tests/conftest.py` sets it. A benchmark makes its own."""


def copy_platform(home: Path) -> None:
    """Put a stopped cluster into `home`: the roles and schemas of a hosted project, nothing of ours."""
    with _folder() as folder:
        template = folder / "platform"
        if not template.exists():
            _make_platform(template)
    _copy(template, home)


def copy_project(data_dir: Path) -> None:
    """Put a stopped embedded project into `data_dir`: its keys and a deployed cluster."""
    with _folder() as folder:
        template = folder / "project"
        if not template.exists():
            if not (folder / "platform").exists():
                _make_platform(folder / "platform")
            _make_project(template, folder / "platform")
    _copy(template, data_dir)


def _make_platform(template: Path) -> None:
    making = template.with_name("making-platform")
    postgres = Postgres(home=making, password=PASSWORD, durable=False)
    postgres.start()
    try:
        _make_logins_cheap(postgres)
        install_platform(postgres)
    finally:
        postgres.stop()
    making.rename(template)


def _make_logins_cheap(postgres: Postgres) -> None:
    """Tests connect thousands of times. Each time the client hashes the password, 4,096 times by default."""
    with psycopg.connect(postgres.dsn(SUPERUSER), autocommit=True) as connection:
        connection.execute("alter system set scram_iterations = 1")
        connection.execute("set scram_iterations = 1")
        connection.execute(
            sql.SQL("alter role {} password {}").format(sql.Identifier(SUPERUSER), sql.Literal(PASSWORD))
        )
    # Roles made from here on are hashed so too.
    postgres.stop()
    postgres.start()


def _make_project(template: Path, platform: Path) -> None:
    making = template.with_name("making-project")
    making.mkdir(mode=0o711)
    _copy(platform, making / "postgres")
    # The product makes the file, so that it has the product's mode.
    keys = replace(Keys.load_or_make(making / "keys.json"), db_password=PASSWORD)
    (making / "keys.json").write_text(json.dumps(asdict(keys)))
    postgres = Postgres(home=making / "postgres", password=PASSWORD, durable=False)
    postgres.start()
    try:
        apply(postgres.dsn(), worker_url="http://127.0.0.1:9", webhook_secret=keys.webhook_secret)
    finally:
        postgres.stop()
    making.rename(template)


def _copy(source: Path, target: Path) -> None:
    # The owner is kept: as root, Postgres runs under another uid.
    subprocess.run(["cp", "-Rp", str(source), str(target)], check=True)


@contextmanager
def _folder() -> Iterator[Path]:
    """The folder of the templates, which no other process changes until the block ends."""
    if FOLDER_VARIABLE not in os.environ:
        os.environ[FOLDER_VARIABLE] = tempfile.mkdtemp(prefix="soundscape-templates-")
        atexit.register(shutil.rmtree, os.environ[FOLDER_VARIABLE], ignore_errors=True)
    folder = Path(os.environ[FOLDER_VARIABLE])
    # As root, Postgres reads it as another user.
    folder.chmod(0o711)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
