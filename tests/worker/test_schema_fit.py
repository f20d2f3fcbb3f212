"""A worker and a schema of different versions: it says so, and takes no job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from soundscape.cli.embedded_project import Project, run_project
from soundscape.deploy import sources
from soundscape.deploy.database import apply
from soundscape.settings import Settings
from soundscape.worker import fit as fit_module
from soundscape.worker.readiness import Check
from soundscape.worker.worker import Worker
from tests import templates
from tests.deploy.test_upgrade import RELEASED
from tests.waiting import eventually


@asynccontextmanager
async def working(project: Project, scratch: Path) -> AsyncIterator[Worker]:
    settings = Settings.from_environment(project.environment())
    worker = Worker(settings.model_copy(update={"scratch_dir": scratch, "poll_max_s": 0.5}))
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


async def learn(worker: Worker) -> Check:
    """The check, once the project has answered."""
    await eventually(lambda: find(worker).reason != "not asked yet")
    return find(worker)


def find(worker: Worker) -> Check:
    assert worker._fit is not None
    return worker._fit.make_check()


def count_claims(project: Project) -> int:
    with psycopg.connect(project.db_url) as connection:
        row = connection.execute("select count(*) from soundscape.jobs where state <> 'queued'").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("released", RELEASED, ids=lambda path: path.stem)
async def test_a_schema_of_a_former_release(
    released: Path, data_dirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module, "UNFIT_INTERVAL_S", 0.1)
    then = [migration for migration in sources.migrations() if migration.version <= released.stem]
    with monkeypatch.context() as at_release:
        at_release.setattr(sources, "migrations", lambda: then)
        # Those of today are of tables that came later.
        at_release.setattr(sources, "policies", list)
        async with run_project(
            data_dirs / f"fit-{released.stem}", port=0, durable=False, with_worker=False
        ) as project:
            with psycopg.connect(project.db_url, autocommit=True) as connection:
                connection.execute(released.read_bytes())
            before = count_claims(project)
            at_release.undo()
            async with working(project, tmp_path) as worker:
                check = await learn(worker)
                assert (check.state, check.code) == ("failed", "schema_too_old")
                assert "soundscape deploy" in check.reason
                await eventually(lambda: worker.warm)
                assert count_claims(project) == before
                apply(project.db_url, worker_url="http://127.0.0.1:9")
                await eventually(lambda: find(worker).state == "ok")
                await eventually(lambda: worker.reachable)


async def test_a_worker_of_a_former_release(
    data_dirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module, "read_newest_migration", lambda: RELEASED[0].stem)
    data_dir = data_dirs / "fit-newest"
    templates.copy_project(data_dir)
    async with (
        run_project(data_dir, port=0, durable=False, with_worker=False) as project,
        working(project, tmp_path) as worker,
    ):
        check = await learn(worker)
        assert (await worker.run_checks())["schema"] == check
        assert (check.state, check.code) == ("failed", "worker_too_old")
        assert check.as_dict(with_reason=False) == {"state": "failed", "code": "worker_too_old"}
        await eventually(lambda: worker.warm)
        # Nothing was claimed, so the queue was not asked.
        assert not worker.reachable
