"""The worker against a real project: outages, kills, new bytes and a stop in the middle lose nothing."""

from __future__ import annotations

import asyncio
import io
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psycopg
import pytest
import soundfile
from psycopg import sql
from psycopg.rows import dict_row

from embedded_supabase.postgres import SUPERUSER
from soundscape.api.app import build
from soundscape.cli.embedded_project import Project
from soundscape.errors import ProjectUnreachable
from soundscape.settings import Settings
from soundscape.telemetry import logs, traces
from soundscape.worker import job as job_module
from soundscape.worker import sweep as sweep_module
from soundscape.worker import worker as worker_module
from soundscape.worker.worker import Worker
from tests import embedded
from tests.sandbox import bombs
from tests.service import serving
from tests.telemetry.test_traces import accepted, collected
from tests.waiting import LIMIT_S, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="stops processes")


def tone(frequency_hz: float = 440.0) -> bytes:
    t = np.arange(22_050) / 22_050
    file = io.BytesIO()
    soundfile.write(file, 0.25 * np.sin(2 * np.pi * frequency_hz * t), 22_050, format="WAV")
    return file.getvalue()


class Wire:
    """A port before the project that can be cut and restored: an outage as the worker sees one."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._open: set[asyncio.StreamWriter] = set()
        self._carrying: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def restore(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.gather(*self._carrying)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward, back = await asyncio.open_connection("127.0.0.1", self._target_port)
        self._open |= {writer, back}
        await asyncio.gather(_pump(reader, back), _pump(onward, writer))
        self._open -= {writer, back}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        pass  # the cut
    finally:
        writer.close()


class Bench:
    """The project without a worker of its own, and what a user and an operator see of it."""

    def __init__(self, project: Project, connection: psycopg.Connection[dict[str, Any]]) -> None:
        self.project = project
        self._connection = connection
        self._headers = {"apikey": project.keys.secret_key}

    def sql(self, query: str, *values: Any) -> list[dict[str, Any]]:
        cursor = self._connection.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []

    def upload(self, name: str, data: bytes) -> None:
        stored = httpx.post(
            f"{self.project.url}/storage/v1/object/audio-files/{name}",
            content=data,
            headers=self._headers | {"content-type": "audio/wav", "x-upsert": "true"},
        )
        assert stored.status_code == 200, stored.text

    def recording(self, data: bytes | None = None) -> tuple[str, str]:
        """A queued recording of a new user: its id and its name."""
        user_id = self.sql(
            "insert into auth.users (id, email) values (gen_random_uuid(), %s) returning id",
            f"{secrets.token_hex(6)}@example.com",
        )[0]["id"]
        name = f"{user_id}/{secrets.token_hex(4)}.wav"
        row = self.sql(
            "insert into public.audio_files (user_id, title, file_path) values (%s, 't', %s) returning id",
            user_id,
            name,
        )[0]
        self.upload(name, tone() if data is None else data)
        return str(row["id"]), name

    def status(self, audio_id: str) -> str:
        return str(self.sql("select status from public.audio_files where id = %s", audio_id)[0]["status"])

    def job(self, job_id: int) -> dict[str, Any]:
        (row,) = self.sql("select * from soundscape.jobs where id = %s", job_id)
        return row

    def jobs(self, audio_id: str) -> list[dict[str, Any]]:
        return self.sql("select * from soundscape.jobs where audio_id = %s order by id", audio_id)


@contextmanager
def served_bench(data_dir: Path) -> Iterator[Bench]:
    with (
        embedded.served(data_dir, with_worker=False) as project,
        psycopg.connect(project.db_url, autocommit=True, row_factory=dict_row) as connection,
    ):
        yield Bench(project, connection)


@pytest.fixture(scope="module")
def bench(data_dirs: Path) -> Iterator[Bench]:
    with served_bench(data_dirs / "bench") as bench:
        yield bench


@pytest.fixture
async def wire(bench: Bench) -> AsyncIterator[Wire]:
    wire = Wire(int(bench.project.url.rpartition(":")[2]))
    await wire.restore()
    yield wire
    await wire.cut()


@pytest.fixture
def settings(bench: Bench, wire: Wire, tmp_path: Path) -> Settings:
    whole = Settings.from_environment(bench.project.environment())
    return whole.model_copy(
        update={
            "supabase_url": f"http://127.0.0.1:{wire.port}",
            "scratch_dir": tmp_path,
            "poll_min_s": 0.05,
            "poll_max_s": 0.5,
            "lease_s": 6,
        }
    )


Start = Callable[..., Awaitable[Worker]]


@pytest.fixture
async def start(settings: Settings) -> AsyncIterator[Start]:
    started: list[Worker] = []

    async def run(**changed: Any) -> Worker:
        worker = Worker(settings.model_copy(update=changed))
        started.append(worker)
        await worker.start()
        return worker

    yield run
    for worker in started:
        await worker.stop()


def child_of(worker: Worker) -> int:
    process = worker._slots._sandboxes[0]._process
    assert process is not None
    return process.pid


async def held(worker: Worker, bench: Bench) -> tuple[int, str, str]:
    """A child stopped with a job in its hands, however quick analysis is; the recording and its name."""
    (sandbox,) = worker._slots._sandboxes
    child, jobs_before = child_of(worker), sandbox._jobs
    os.kill(child, signal.SIGSTOP)
    audio_id, name = bench.recording()
    worker.wake()
    await eventually(lambda: sandbox._jobs > jobs_before)
    assert bench.status(audio_id) == "analyzing"
    return child, audio_id, name


async def test_what_happens_to_one_worker(bench: Bench, wire: Wire, start: Start, tmp_path: Path) -> None:
    """A day in the life: unreachable at first, then work, an outage, a killed child, new bytes, a stop."""
    await wire.cut()
    early, _ = bench.recording()
    worker = await start()
    await eventually(lambda: worker.warm)
    await asyncio.sleep(0.3)
    assert (worker.reachable, bench.status(early)) == (False, "queued")

    await wire.restore()
    await eventually(lambda: bench.status(early) == "ready")
    assert worker.reachable

    # The child is killed: the attempt is given back and counted, the next one succeeds.
    child, killed, _ = await held(worker, bench)
    os.kill(child, signal.SIGKILL)
    await eventually(lambda: bench.status(killed) == "ready")
    (job,) = bench.jobs(killed)
    assert (job["attempt"], job["state"]) == (2, "succeeded")
    assert (job["error_code"], child_of(worker) != child) == (None, True)

    # New bytes while the old ones are being heard: the lease is lost, the child with it, the new ones win.
    child, changed, name = await held(worker, bench)
    bench.upload(name, tone(880.0))
    await eventually(lambda: bench.status(changed) == "ready")
    assert [job["state"] for job in bench.jobs(changed)] == ["superseded", "succeeded"]
    assert not Path(f"/proc/{child}").exists(), "the heartbeat found the lease lost and ended the work"

    # The project goes away in the middle of a job, for longer than a heartbeat.
    child, cut_off, _ = await held(worker, bench)
    await wire.cut()
    os.kill(child, signal.SIGCONT)
    await eventually(lambda: not worker.reachable)
    await wire.restore()
    await eventually(lambda: bench.status(cut_off) == "ready")
    assert bench.jobs(cut_off)[-1]["state"] == "succeeded"

    # Objects whose row is gone are removed by the sweep, its pictures with them.
    _, gone = bench.recording()
    bench.sql("delete from public.audio_files where file_path = %s", gone)
    await eventually(lambda: not bench.sql("select 1 from storage.objects where name = %s", gone))
    await eventually(lambda: not bench.sql("select 1 from soundscape.deletions"))

    # Nothing of all this lies about: the child's empty folder only.
    (scratch,) = tmp_path.iterdir()
    await eventually(lambda: [path.name for path in scratch.glob("*/*")] == ["out"])
    await worker.stop()
    assert list(tmp_path.iterdir()) == []
    await worker.stop()  # twice is once


async def test_an_object_that_cannot_be_removed_holds_up_no_other(bench: Bench, start: Start) -> None:
    (_, stubborn), (_, behind) = bench.recording(), bench.recording()
    with psycopg.connect(bench.project.supabase.postgres.dsn(SUPERUSER), autocommit=True) as connection:
        connection.execute(
            "create function public.refuse() returns trigger language plpgsql as "
            "$$ begin raise exception 'not this one'; end $$"
        )
        connection.execute(
            sql.SQL(
                "create trigger stubborn before delete on storage.objects for each row "
                "when (old.name = {}) execute function public.refuse()"
            ).format(sql.Literal(stubborn))
        )
        try:
            bench.sql("delete from public.audio_files where file_path in (%s, %s)", stubborn, behind)
            await start()
            await eventually(lambda: bench.sql("select 1 from soundscape.deletions having min(attempts) = 1"))
            assert len(bench.sql("select 1 from soundscape.deletions")) == 2, "one batch, which failed"
            bench.sql("update soundscape.deletions set taken_at = taken_at - interval '3 minutes'")
            left = "select name, attempts from soundscape.deletions"
            await eventually(lambda: bench.sql(left) == [{"name": stubborn, "attempts": 2}])
            assert not bench.sql("select 1 from storage.objects where name = %s", behind)
        finally:
            connection.execute("drop function public.refuse() cascade")
            bench.sql("delete from soundscape.deletions")


STEPS = {
    "empty_accounts": "soundscape.empty_accounts(integer)",
    "renames": "soundscape.pending_renames(integer)",
    "comparisons": "soundscape.pending_comparisons(integer)",
    "reconcile": "soundscape.reconcile()",
    "statistics": "soundscape.roll_up_stats(integer)",
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
async def test_a_step_of_the_sweep_that_fails_holds_up_no_other(
    bench: Bench, start: Start, step: str
) -> None:
    """Deletions go on, which are in the middle."""
    _, name = bench.recording()
    bench.sql("delete from public.audio_files where file_path = %s", name)
    renamed = step.partition("(")[0].replace("soundscape.", "") + "_away"
    with psycopg.connect(bench.project.supabase.postgres.dsn(SUPERUSER), autocommit=True) as connection:
        connection.execute(f"alter function {step} rename to {renamed}".encode())
        try:
            await start()
            await eventually(lambda: not bench.sql("select 1 from storage.objects where name = %s", name))
        finally:
            away = f"soundscape.{renamed}({step.partition('(')[2]}"
            original = step.partition("(")[0].replace("soundscape.", "")
            connection.execute(f"alter function {away} rename to {original}".encode())


async def test_the_sweep_rolls_up_where_pg_cron_is_missing(bench: Bench, start: Start) -> None:
    audio_id, _ = bench.recording()
    bench.sql("select cron.unschedule('soundscape-roll-up-stats')")
    try:
        bench.sql("select soundscape.record_download(%s, '192.0.2.1')", audio_id)
        await start()
        await eventually(
            lambda: bench.sql(
                "select 1 from public.audio_stats where audio_id = %s and downloads = 1", audio_id
            )
        )
        # Another test's worker would take it up.
        await eventually(lambda: bench.status(audio_id) == "ready")
    finally:
        bench.sql(
            "select cron.schedule('soundscape-roll-up-stats', '*/10 * * * *',"
            " 'select soundscape.roll_up_stats(1000000)')"
        )


async def test_names_that_were_taken_too_long_ago_are_left_alone(
    bench: Bench, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may use them by then: deleting by name would take their bytes."""
    monkeypatch.setattr(sweep_module, "MAX_DELETING_S", -1.0)
    _, name = bench.recording()
    bench.sql("delete from public.audio_files where file_path = %s", name)
    worker = await start()
    await eventually(lambda: bench.sql("select 1 from soundscape.deletions where attempts = 1"))
    await worker.stop()
    assert bench.sql("select 1 from storage.objects where name = %s", name)
    bench.sql("delete from soundscape.deletions")


async def test_stopped_in_the_middle_of_a_job(
    bench: Bench, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What cannot be finished in time is given back at once, and another worker takes it."""
    monkeypatch.setattr(worker_module, "STOP_GRACE_S", 0.3)
    monkeypatch.setattr(job_module, "RELEASE_TIMEOUT_S", LIMIT_S)
    worker = await start()
    await eventually(lambda: worker.warm)
    child, audio_id, _ = await held(worker, bench)
    await worker.stop()
    (job,) = bench.jobs(audio_id)
    assert (job["state"], job["error_code"], bench.status(audio_id)) == ("queued", "worker_stopped", "queued")
    assert not Path(f"/proc/{child}").exists()
    assert list(tmp_path.iterdir()) == []

    other = await start()
    await eventually(lambda: bench.status(audio_id) == "ready")
    # A job that can be finished is finished: stopping waits for it.
    monkeypatch.setattr(worker_module, "STOP_GRACE_S", LIMIT_S)
    child, last, _ = await held(other, bench)
    stopping = asyncio.create_task(other.stop())
    await asyncio.sleep(0.2)
    os.kill(child, signal.SIGCONT)
    await stopping
    assert bench.status(last) == "ready"


async def test_stopped_before_it_is_warm(start: Start, tmp_path: Path) -> None:
    worker = await start()
    await eventually(lambda: any(tmp_path.iterdir()))
    await asyncio.sleep(0.1)
    await worker.stop()
    assert list(tmp_path.iterdir()) == []


async def test_an_answer_that_makes_no_sense(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project half-way through a deploy must not end the loop."""
    worker = await start()
    await eventually(lambda: worker.reachable)

    async def nonsense(*_: Any, **__: Any) -> Any:
        raise TypeError("unexpected keyword argument 'new_column'")

    with monkeypatch.context() as half_way:
        half_way.setattr(worker._queue, "claim", nonsense)
        await eventually(lambda: not worker.reachable)
    await eventually(lambda: worker.reachable)


async def test_readiness_tells_the_truth(settings: Settings, wire: Wire) -> None:
    """Liveness does not depend on the project; readiness does, and says on what."""
    app = build(settings)
    await wire.cut()
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        ready = await client.get("/health/ready")
        checks = ready.json()["checks"]
        assert (ready.status_code, ready.json()["status"]) == (503, "unready")
        for name in ("queue", "database", "storage", "analysis"):
            assert checks[name]["state"] == "failed", name
            assert checks[name]["reason"], name
        assert checks["disk"]["state"] == "ok"
        from_afar = await client.get("/health/ready", headers={"x-forwarded-for": "203.0.113.7"})
        assert from_afar.status_code == 503
        assert {name: check["state"] for name, check in from_afar.json()["checks"].items()} == {
            name: check["state"] for name, check in checks.items()
        }
        assert not any("reason" in check for check in from_afar.json()["checks"].values())
        assert (await client.get("/health/live")).json() == {"status": "ok"}
        await wire.restore()

        async def status() -> int:
            return (await client.get("/health/ready")).status_code

        async def failed_checks() -> dict[str, Any] | None:
            checks: dict[str, Any] = (await client.get("/health/ready")).json()["checks"]
            # What was asked a moment ago is believed for two seconds.
            return None if checks["storage"]["state"] == "ok" else checks

        while await status() != 200:
            await asyncio.sleep(0.05)
        await wire.cut()
        while await status() == 200:
            await asyncio.sleep(0.05)
        checks = await eventually(failed_checks)
        assert checks is not None
        assert {name: checks[name]["state"] for name in ("analysis", "queue", "database")} == {
            "analysis": "ok",
            "queue": "failed",
            "database": "failed",
        }
        assert (await client.get("/health/live")).status_code == 200


async def test_readiness_tells_of_children_that_do_not_start(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await start()
    await eventually(lambda: worker.warm)
    assert (await worker.run_checks())["analysis"].state == "ok"
    (sandbox,) = worker._slots._sandboxes
    await sandbox.stop()

    async def fail() -> None:
        raise OSError("no more processes")

    with monkeypatch.context() as exhausted:
        exhausted.setattr(sandbox, "start", fail)
        renewing = asyncio.create_task(worker._slots._start_child(sandbox))
        await eventually(lambda: worker._find_analysis_problem() is not None)
        check = (await worker.run_checks())["analysis"]
        assert (check.state, "no more processes" in check.reason) == ("failed", True)
    await renewing
    assert (await worker.run_checks())["analysis"].state == "ok"


async def test_readiness_tells_of_a_claim_loop_that_ended(start: Start) -> None:
    worker = await start()
    await eventually(lambda: worker.warm)
    worker._tasks[0].cancel()
    await eventually(worker._tasks[0].done)
    assert (await worker.run_checks())["analysis"].reason == "the claim loop has ended"


async def test_it_works_without_what_saves_time(
    bench: Bench, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(worker_module, "load_matcher", full)
    await start()
    audio_id, _ = bench.recording()
    await eventually(lambda: bench.status(audio_id) == "ready")


async def test_an_answer_to_a_claim_that_is_lost(
    bench: Bench, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is tried again at once, and no attempt is counted."""
    worker = await start()
    await eventually(lambda: worker.warm and worker.reachable)
    claim = worker._queue.claim
    lost: list[Any] = []

    async def unanswered(*arguments: Any, **named: Any) -> Any:
        jobs = await claim(*arguments, **named)
        if jobs and not lost:
            lost.extend(jobs)
            raise ProjectUnreachable("The connection broke.")
        return jobs

    monkeypatch.setattr(worker._queue, "claim", unanswered)
    bench.recording()
    # It may be a job that an earlier test left, rather than this recording's.
    await eventually(lambda: bool(lost) and bench.job(lost[0].job_id)["state"] == "succeeded")
    assert len(lost) == 1
    job = bench.job(lost[0].job_id)
    assert (job["attempt"], job["excused"]) == (lost[0].attempt + 1, 1)


async def test_stopping_that_is_cut_short_ends_everything(
    bench: Bench, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """While it waits for the answer to a claim, too."""
    worker = await start()
    await eventually(lambda: worker.warm and worker.reachable)
    asked = asyncio.Event()

    async def unanswered(*_: Any, **__: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(worker._queue, "claim", unanswered)
    worker.wake()
    await asked.wait()
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0.2)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert all(task.done() for task in worker._tasks)
    assert list(tmp_path.iterdir()) == []


async def test_the_heart_stops_before_the_job_ends(
    bench: Bench, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A beat that finds the job ended by ourselves is no lost lease, however long is compared afterwards."""
    monkeypatch.setattr(job_module, "compare_simultaneous", lambda _: asyncio.sleep(1.0))
    outcomes: list[str] = []
    run = job_module.Attempt.run

    async def noted(self: Any, job: Any) -> str:
        self._lease_s = 0.3
        outcomes.append(await run(self, job))
        return outcomes[-1]

    monkeypatch.setattr(job_module.Attempt, "run", noted)
    await start()
    audio_id, _ = bench.recording()
    await eventually(lambda: bool(outcomes))
    assert (outcomes, bench.status(audio_id)) == (["succeeded"], "ready")


async def test_whoever_asks_while_it_stops_is_told_so(start: Start) -> None:
    worker = await start()
    await eventually(lambda: worker.warm and worker.reachable)
    await worker.stop()
    checks = await worker.run_checks()
    assert {checks["analysis"].state, checks["database"].state} == {"failed"}
    with pytest.raises(ProjectUnreachable):
        await worker.read_queue_stats()
    with pytest.raises(ProjectUnreachable):
        _ = worker.scratch_folder


async def test_what_was_put_back_is_taken_when_it_is_due(bench: Bench, start: Start) -> None:
    """However rarely it looks by itself: here once an hour."""
    worker = await start(poll_min_s=3600.0, poll_max_s=3600.0, lease_s=7200)
    await eventually(lambda: worker.warm and worker.reachable)
    assert bench.sql("select set_queue(paused => true)")
    audio_id, _ = bench.recording()
    bench.sql("select pgmq.set_vt(queue, msg_id, 3) from soundscape.jobs where state = 'queued'")
    bench.sql("select set_queue(paused => false)")
    worker.wake()
    await eventually(lambda: bench.jobs(audio_id)[0]["started_at"] is not None)
    await eventually(lambda: bench.status(audio_id) == "ready")


async def test_results_that_the_database_refuses_count_as_attempts(
    bench: Bench, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await start()
    await eventually(lambda: worker.warm and worker.reachable)
    complete = worker._queue.complete

    async def too_large(job: Any, result: dict[str, Any]) -> None:
        await complete(job, result | {"loudness": {"integrated_lufs": 1e300}})

    monkeypatch.setattr(worker._queue, "complete", too_large)
    audio_id, _ = bench.recording()
    await eventually(lambda: bench.jobs(audio_id)[0]["error_code"] is not None)
    (job,) = bench.jobs(audio_id)
    assert (job["error_code"], job["excused"]) == ("data_refused", 0)
    bench.sql("delete from public.audio_files where id = %s", audio_id)


async def test_no_two_attempts_store_under_one_name(bench: Bench, start: Start) -> None:
    """A removal of the former pictures, however late, does not take what is shown."""
    await start()
    audio_id, _ = bench.recording()
    await eventually(lambda: bench.status(audio_id) == "ready")
    shown = bench.sql("select waveform_path from public.audio_features where audio_id = %s", audio_id)
    bench.sql("select soundscape.enqueue(id, object_version) from public.audio_files where id = %s", audio_id)
    await eventually(lambda: [job["state"] for job in bench.jobs(audio_id)] == ["succeeded"] * 2)
    shown += bench.sql("select waveform_path from public.audio_features where audio_id = %s", audio_id)
    first, second = (row["waveform_path"] for row in shown)
    assert first != second
    deletions = bench.sql("select name from soundscape.deletions where bucket_id = 'waveforms'")
    assert second not in {row["name"] for row in deletions}
    assert bench.sql("select 1 from storage.objects where bucket_id = 'waveforms' and name = %s", second)


async def test_how_often_it_looks(start: Start, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less and less often down to a limit; at once when it is rung, even in the middle of a look."""
    looks: list[float] = []
    looking, go_on = asyncio.Event(), asyncio.Event()
    go_on.set()
    worker = await start()
    await eventually(lambda: worker.warm and worker.reachable)
    claim = worker._queue.claim

    async def noted(*arguments: Any, **named: Any) -> Any:
        looks.append(asyncio.get_running_loop().time())
        looking.set()
        await go_on.wait()
        return await claim(*arguments, **named)

    monkeypatch.setattr(worker._queue, "claim", noted)
    # Twice as long each time, the eighth pause would be of 12 s.
    await eventually(lambda: len(looks) > 8 and looks[-1] - looks[-2] < 5, "the pauses grow without a limit")
    assert looks[-1] - looks[-2] >= settings.poll_max_s * 0.9, "they have grown to the limit"

    # Without the limit each empty look doubles the pause: by now nobody looks for many seconds unless rung.
    assert worker._claims is not None
    worker._claims._settings = settings.model_copy(update={"poll_max_s": 3600.0, "lease_s": 7200})
    for _ in range(10):
        looking.clear()
        worker.wake()
        await eventually(looking.is_set)

    # Rung while it looks: what came after the question was asked is asked for again.
    looking.clear()
    go_on.clear()
    worker.wake()
    await looking.wait()
    seen = len(looks)
    worker.wake()
    worker.wake()
    go_on.set()
    await eventually(lambda: len(looks) == seen + 1)
    await asyncio.sleep(0.2)
    assert len(looks) == seen + 1


@pytest.mark.usefixtures("own_logging")
async def test_one_id_through_everything(
    bench: Bench, settings: Settings, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """Made with the job, in the upload's transaction: in its log lines, its trace, its owner's row."""
    logs.configure(readable=False)
    async with serving(accepted) as collector:
        traces.configure(settings.model_copy(update={"otlp_endpoint": collector.url}))
        worker = await start()
        await eventually(lambda: worker.warm)
        audio_id, _ = bench.recording()
        (job,) = bench.jobs(audio_id)
        worker.wake()
        await eventually(lambda: bench.status(audio_id) == "ready")
        await worker.stop()
        await traces.shut_down()
        spans = [span for span in collected(collector) if span["trace"] == job["trace_id"]]
    (row,) = bench.sql("select trace_id from public.audio_files where id = %s", audio_id)
    assert row["trace_id"] == job["trace_id"]

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    told = {line["message"]: line for line in lines if line.get("trace.id") == job["trace_id"]}
    assert told["job ended"]["event.outcome"] == "succeeded"
    assert told["analysed"]["soundscape.stages"]["decode"] > 0

    (whole,) = (span for span in spans if span["name"] == "job")
    parts = {span["name"] for span in spans if span["parent"] == whole["id"]}
    assert parts == {"fetch", "analyze", "store", "complete", "match"}
    assert (whole["soundscape.audio.id"], whole["event.outcome"]) == (audio_id, "succeeded")


async def test_a_file_that_kills_its_child(bench: Bench, start: Start, tmp_path: Path) -> None:
    """It is tried as often as the queue says and then dead; the same slot hears the others meanwhile."""
    worker = await start()
    await eventually(lambda: worker.warm)
    # Long enough for a child to be found at it: ten minutes of eight channels at 192 kHz, in 70 kB.
    long = bombs.flac(tmp_path / "long", frames=192_000 * 600, sample_rate=192_000, channels=8)
    poison, _ = bench.recording(long.read_bytes())
    killed: set[int] = set()

    async def kill() -> None:
        while True:
            await asyncio.sleep(0.05)
            (job,) = bench.jobs(poison)
            process = worker._slots._sandboxes[0]._process
            if job["state"] == "running" and process is not None:
                await asyncio.sleep(0.2)
                if bench.jobs(poison)[0]["state"] == "running":
                    with suppress(ProcessLookupError):
                        os.kill(process.pid, signal.SIGKILL)
                        killed.add(process.pid)
            elif job["state"] == "queued" and job["msg_id"] is not None:
                bench.sql("update soundscape.jobs set retry_at = now() where id = %s", job["id"])
                bench.sql("select pgmq.set_vt(%s, %s, 0)", job["queue"], job["msg_id"])
                worker.wake()

    killing = asyncio.create_task(kill())
    try:
        others = [bench.recording()[0] for _ in range(3)]
        await eventually(lambda: bench.status(poison) == "failed")
        await eventually(lambda: all(bench.status(other) == "ready" for other in others))
    finally:
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
    (job,) = bench.jobs(poison)
    (most,) = bench.sql("select soundscape.max_attempts() as attempts")
    assert (job["state"], job["error_code"], job["attempt"]) == ("dead", "analysis_crashed", most["attempts"])
    assert len(killed) >= most["attempts"]
    for other in others:
        (heard,) = bench.jobs(other)
        assert (heard["state"], heard["attempt"]) == ("succeeded", 1)
