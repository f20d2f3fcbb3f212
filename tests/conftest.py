"""Fixtures shared by every test: a cluster, a running embedded project, Node, the shared recordings."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from soundscape.dev import Project, running
from soundscape.local.platform import install_platform
from soundscape.local.postgres import Postgres

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def shared_audio() -> Path:
    """The folder of real recordings beside the checkout; tests that need it are skipped without it."""
    folder = SHARED / "audio"
    if not folder.is_dir():
        pytest.skip("../shared/audio is not here")
    return folder


def _data_dir(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """A temporary folder that Postgres's own uid can enter, even when the tests run as root."""
    folder = tmp_path_factory.mktemp(name)
    if os.geteuid() == 0:
        for parent in (folder, *folder.parents):
            if parent.name.startswith("pytest-"):
                parent.chmod(parent.stat().st_mode | 0o011)
    folder.chmod(0o711)
    return folder


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A cluster with a hosted project's roles and schemas, and nothing of ours."""
    postgres = Postgres(
        home=_data_dir(tmp_path_factory, "platform") / "postgres", password="for-tests-only", durable=False
    )
    postgres.start()
    try:
        install_platform(postgres)
        yield postgres
    finally:
        postgres.stop()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The whole embedded project on a free port, deployed, its worker running, served by a thread of its own.

    `stack.url`, `stack.keys`, `stack.db_url`, `stack.stack.postgres.dsn(role)`.
    """
    started: Future[Project] = Future()
    loop = asyncio.new_event_loop()
    finished = asyncio.Event()

    async def serve() -> None:
        try:
            async with running(_data_dir(tmp_path_factory, "project"), port=0, durable=False) as project:
                started.set_result(project)
                await finished.wait()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="embedded project")
    thread.start()
    try:
        yield started.result(timeout=60)
    finally:
        loop.call_soon_threadsafe(finished.set)
        thread.join(timeout=60)
        loop.close()
