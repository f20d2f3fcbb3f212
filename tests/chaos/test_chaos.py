"""Nothing is lost and nothing is done twice, whatever dies.

    pytest tests/chaos -s
    pytest tests/chaos -s --chaos-uploads 1000 --chaos-workers 4 --chaos-kill-every-s 2

Each test prints its figures.
"""

from __future__ import annotations

import asyncio
import io
import os
import random
import re
import signal
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psycopg
import pytest
import soundfile
from storage3.utils import StorageException

from soundscape.cli.embedded_project import Project
from soundscape.deploy.database import apply
from soundscape.project.visitor import Visitor, signed_up_visitor
from tests import embedded
from tests.waiting import until

from .doorbells import Doorbells
from .fleet import Fleet, Member
from .ledger import Ledger

LEASE_S = 5
RECOVERY_S = 2.0
"""How long after its lease ran out a job may wait for another worker."""
IDLE_S = 8.0
"""By then a worker that finds nothing looks as rarely as it ever does."""
UPLOADS_AT_ONCE = 6
UPLOAD_ATTEMPTS = 40
CLIP_S = 0.5
LONG_CLIP_S = 300.0
"""Takes longer to analyse than it takes to find out who does."""
SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class Scene:
    """A project whose doorbells ring a bad network, and what goes on in it."""

    project: Project
    doorbells: Doorbells
    fleet: Fleet
    ledger: Ledger
    chance: random.Random


@pytest.fixture(scope="module")
def chaotic_project(data_dirs: Path) -> Iterator[Project]:
    with embedded.served(data_dirs / "chaos", with_worker=False) as project:
        yield project


@pytest.fixture(scope="module")
def scene(
    chaotic_project: Project, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Scene]:
    project = chaotic_project
    chance = random.Random(pytestconfig.getoption("--chaos-seed"))
    fleet = Fleet(
        project.environment() | {"SOUNDSCAPE_LEASE_S": str(LEASE_S)},
        tmp_path_factory.mktemp("fleet"),
    )
    doorbells = Doorbells(
        fleet.ports, dropped_share=0.3, doubled_share=0.2, longest_delay_s=1.0, chance=chance
    )
    ledger = Ledger(project.db_url)
    with ExitStack() as opened:
        opened.enter_context(doorbells.served())
        apply(project.db_url, worker_url=doorbells.url, webhook_secret=project.keys.webhook_secret)
        opened.callback(fleet.stop)
        opened.enter_context(ledger.watched())
        opened.enter_context(fleet.watched())
        yield Scene(project, doorbells, fleet, ledger, chance)


def needs_preview(index: int) -> bool:
    """Whether no browser plays the clip: every third is AIFF."""
    return index % 3 == 0


def clip(index: int, duration_s: float = CLIP_S, *, kind: str = "WAV") -> bytes:
    """A tone; no two have the same bytes."""
    t = np.arange(int(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    y = 0.3 * np.sin(2 * np.pi * (200 + index) * t)
    file = io.BytesIO()
    soundfile.write(file, y, SAMPLE_RATE, format=kind, subtype="PCM_16")
    return file.getvalue()


async def upload(visitor: Visitor, name: str, data: bytes) -> None:
    """Until it is there: a user whose upload fails while the database is down tries again."""
    for attempt in range(UPLOAD_ATTEMPTS):
        try:
            await visitor.client.storage.from_("audio-files").upload(
                name, data, {"content-type": "audio/wav", "upsert": "true", "metadata": {"title": name}}
            )
        except (StorageException, httpx.HTTPError):
            if attempt == UPLOAD_ATTEMPTS - 1:
                raise
            await asyncio.sleep(0.5)
        else:
            return


async def upload_all(scene: Scene, count: int) -> None:
    async with signed_up_visitor(
        scene.project.url, scene.project.keys.publishable_key, called="chaos"
    ) as visitor:
        names = [f"{visitor.user_id}/{index}.wav" for index in range(count)]
        some = asyncio.Semaphore(UPLOADS_AT_ONCE)

        def make(index: int, version: int = 0) -> bytes:
            return clip(index + version * count, kind="AIFF" if needs_preview(index) else "WAV")

        async def one(index: int) -> None:
            async with some:
                await upload(visitor, names[index], make(index))

        await asyncio.gather(*(one(index) for index in range(count)))
        # Half-way through it all, some change their minds: new bytes under the old name.
        for index in range(0, count, 10):
            await upload(visitor, names[index], make(index, 1))


def kill_some(scene: Scene, every_s: float, finished: threading.Event) -> None:
    """Kill one worker every so often, and start another.

    Where workers take longer to start than they are left alive, nothing would ever be done: while fewer than
    two are ready nobody is killed.
    """
    while not finished.wait(every_s):
        ready = [member for member in scene.fleet.members if member.is_ready()]
        if len(ready) > 1:
            scene.fleet.kill(scene.chance.choice(scene.fleet.members))
            scene.fleet.start()


def crash_postgres(ledger: Ledger) -> None:
    """SIGKILL to a server process: Postgres ends every other, recovers from its log, and starts again."""
    before = ledger.value("select pg_postmaster_start_time()")
    backend = ledger.value("select pid from pg_stat_activity where backend_type = 'walwriter'")
    os.kill(backend, signal.SIGKILL)

    def is_back() -> bool:
        try:
            return bool(ledger.value("select pg_postmaster_start_time()") == before)
        except psycopg.OperationalError:
            return False

    until(is_back, "Postgres did not come back")


def unfinished(ledger: Ledger) -> int:
    return int(
        ledger.value(
            "select count(*) from public.audio_files"
            " where status in ('awaiting_upload', 'queued', 'analyzing')"
        )
    )


def await_the_end(ledger: Ledger) -> None:
    """Wait until every recording is analysed, as long as there are fewer left from time to time."""
    while count := unfinished(ledger):
        until(lambda before=count: unfinished(ledger) < before, f"{count} recordings are not analysed")


def await_previews(ledger: Ledger) -> None:
    """Wait until no preview is missing, as long as there are fewer left from time to time."""

    def missing() -> int:
        return int(
            ledger.value(
                "select count(*) from public.audio_files f join public.audio_features x on x.audio_id = f.id"
                " where (x.descriptors #>> '{source,preview}')::boolean and f.preview_path is null"
            )
        )

    while count := missing():
        until(lambda before=count: missing() < before, f"{count} previews are missing")


ORPHANS = """
select count(*) from storage.objects o where o.bucket_id = 'waveforms'
and not exists (
    select from public.audio_features x where x.audio_id = soundscape.uuid_or_null(o.path_tokens[1])
    and starts_with(o.name, regexp_replace(x.waveform_path, '[^/]*$', '')))
and not exists (select from public.audio_files f where f.preview_path = o.name)
"""
"""Files that no recording shows."""


def sweep_orphans(ledger: Ledger) -> None:
    """Let the sweep find what is left, as it does after an hour, until nothing is."""

    def are_gone() -> bool:
        ledger.rows("update storage.objects set created_at = now() - interval '2 hours' returning id")
        ledger.rows("select soundscape.reconcile()")
        return bool(ledger.value(ORPHANS) == 0)

    until(are_gone, "files are left that no recording shows")


def check_previews(ledger: Ledger, count: int) -> None:
    """One preview for each recording that needs one, made by one job; none for the others."""
    await_previews(ledger)
    rows = ledger.rows(
        """
        select f.title, f.status, f.preview_path, f.playable, o.id as object,
               (select count(*) from soundscape.jobs j
                where j.audio_id = f.id and j.queue = 'soundscape_previews' and j.state = 'succeeded'
                  and j.object_version = f.object_version) as made
        from public.audio_files f
        left join storage.objects o on o.bucket_id = 'waveforms' and o.name = f.preview_path
        """
    )
    assert len(rows) == count
    for row in rows:
        needed = needs_preview(int(row["title"].rpartition("/")[2].removesuffix(".wav")))
        assert (row["preview_path"] is not None, row["made"]) == (needed, int(needed)), row
        assert (row["object"] is not None, row["playable"]) == (needed, not needed), row
        assert row["status"] == "ready"
    sweep_orphans(ledger)
    assert ledger.value("select count(*) from pgmq.q_soundscape_previews") == 0


def test_uploads_survive_everything(scene: Scene, pytestconfig: pytest.Config) -> None:
    count = pytestconfig.getoption("--chaos-uploads")
    every_s = pytestconfig.getoption("--chaos-kill-every-s")
    for _ in range(pytestconfig.getoption("--chaos-workers")):
        scene.fleet.start()
    scene.fleet.await_ready(1)
    began = time.monotonic()
    finished = threading.Event()

    def crash_later() -> None:
        if not finished.wait(every_s * 1.5):
            crash_postgres(scene.ledger)

    with ThreadPoolExecutor(2) as others:
        killer = others.submit(kill_some, scene, every_s, finished)
        crash = others.submit(crash_later)
        try:
            asyncio.run(upload_all(scene, count))
            crash.result()
            await_the_end(scene.ledger)
        finally:
            finished.set()
    killer.result()
    # Most are made meanwhile. A busy machine may need longer to start a preview's child than a worker lives.
    await_previews(scene.ledger)
    took_s = time.monotonic() - began

    ledger = scene.ledger
    recoveries = [taken for of_a_job in ledger.recoveries.values() for taken in of_a_job]
    late_s = [taken_at - expired_at for expired_at, taken_at in recoveries]
    # A machine on which workers are killed faster than they start has moments without any.
    avoidable_s = [attended_s([*scene.fleet.absences, *ledger.outages], *taken) for taken in recoveries]
    work = [
        (row["started_at"].timestamp(), row["finished_at"].timestamp())
        for row in ledger.rows(
            "select started_at, finished_at from soundscape.jobs"
            " where attempt = 1 and started_at is not null and finished_at is not null"
            " and queue <> 'soundscape_previews'"
        )
    ]
    late = [
        (avoidable, allowed)
        for avoidable, taken in zip(avoidable_s, recoveries, strict=True)
        if avoidable > (allowed := RECOVERY_S * ledger.slowdown(*taken) + slowest_s(work, *taken))
    ]
    print(
        f"\n{count} recordings ready after {took_s:.0f} s; {scene.fleet.killed} workers killed, Postgres away"
        f" for {sum(end - begin for begin, end in ledger.outages):.1f} s; doorbells {scene.doorbells.counts};"
        f" {len(late_s)} recoveries, after the lease: median {statistics.median(late_s or [0]):.2f} s,"
        f" longest {max(late_s, default=0):.2f} s; while some worker was ready"
        f" {max(avoidable_s, default=0):.2f} s at most; nobody was"
        f" {sum(end - begin for begin, end in scene.fleet.absences):.0f} s in all; over {RECOVERY_S} s"
        f" {sum(avoidable > RECOVERY_S for avoidable in avoidable_s)}, of them"
        f" {len(late)} later than a job took besides"
    )
    rung = scene.doorbells.counts
    assert min(rung["dropped"], rung["doubled"], rung["answered"]) > 0, "The network was not bad"
    statuses = ledger.rows("select status, error_code, count(*) from public.audio_files group by 1, 2")
    assert statuses == [{"status": "ready", "error_code": None, "count": count}]
    assert scene.fleet.killed >= 1
    assert ledger.outages, "Postgres was not down"
    # Exactly one result, of the bytes that lie there, and exactly one job that made it.
    wrong = ledger.rows(
        """
        select f.file_path, f.object_version, o.version, x.object_version as analysed,
               count(*) filter (where j.object_version = o.version and j.state = 'succeeded') as succeeded,
               count(*) filter (where j.state in ('queued', 'running')) as live
        from public.audio_files f
        join storage.objects o on o.id = f.object_id
        join soundscape.jobs j on j.audio_id = f.id and j.queue <> 'soundscape_previews'
        left join public.audio_features x on x.audio_id = f.id
        group by f.id, o.version, x.object_version
        """
    )
    assert len(wrong) == count
    assert [
        row
        for row in wrong
        if not row["object_version"] == row["version"] == row["analysed"]
        or (row["succeeded"], row["live"]) != (1, 0)
    ] == []
    check_previews(ledger, count)
    # What was superseded leaves its message to the next who reads it.
    assert ledger.value("select count(*) from soundscape.jobs where state in ('queued', 'running')") == 0
    assert late == []


def attended_s(absences: Sequence[tuple[float, float]], begin: float, end: float) -> float:
    """The seconds from one moment to another without those in which nobody could do anything."""
    left_s, here = 0.0, begin
    for since, ended in sorted(absences):
        left_s += max(0.0, min(end, since) - here)
        here = max(here, min(end, ended))
    return left_s + end - here


def slowest_s(work: Sequence[tuple[float, float]], begin: float, end: float) -> float:
    """The longest that a job took in between: until it ended its worker had no child for another."""
    return max((ended - since for since, ended in work if since < end and ended > begin), default=0.0)


def held_job(scene: Scene) -> tuple[Member, int]:
    """A long recording is uploaded; who analyses it, and the job."""

    async def one() -> None:
        async with signed_up_visitor(
            scene.project.url, scene.project.keys.publishable_key, called="chaos"
        ) as user:
            await upload(user, f"{user.user_id}/long.wav", clip(1, LONG_CLIP_S))

    asyncio.run(one())
    found: list[tuple[Member, int]] = until(
        lambda: [(member, job) for member in scene.fleet.members for job in scene.ledger.held_by(member.pid)],
        "nobody took the job",
    )
    return found[0]


def state(scene: Scene, job: int) -> dict[str, Any]:
    (row,) = scene.ledger.rows(
        "select state, attempt, worker, lease_expires_at from soundscape.jobs where id = %s", job
    )
    return row


def test_a_killed_workers_job_is_taken_over_in_time(scene: Scene) -> None:
    scene.fleet.grow_to(2)
    time.sleep(IDLE_S)
    member, job = held_job(scene)
    scene.fleet.kill(member)
    await_the_end(scene.ledger)
    ((expired_at, taken_at),) = scene.ledger.recoveries[job]
    late_s = taken_at - expired_at
    print(f"\nTaken over {late_s:.2f} s after the lease of {LEASE_S} s ran out.")
    assert late_s <= RECOVERY_S * scene.ledger.slowdown(expired_at, taken_at)
    assert (state(scene, job)["state"], state(scene, job)["attempt"]) == ("succeeded", 2)


def test_a_worker_paused_past_its_lease_cannot_write(scene: Scene) -> None:
    scene.fleet.grow_to(2)
    member, job = held_job(scene)
    scene.fleet.pause(member)
    await_the_end(scene.ledger)
    results = (
        "select audio_id, created_at, object_version from public.audio_features order by created_at desc"
    )
    written, ended = scene.ledger.rows(results), state(scene, job)
    assert (ended["state"], ended["attempt"]) == ("succeeded", 2)
    assert f"-{member.pid}-" not in ended["worker"]
    # It goes on where it was: its child has answered meanwhile, its token is stale.
    scene.fleet.resume(member)
    log = scene.fleet.folder / f"worker-{member.port}.log"
    until(lambda: re.search(r'"(event\.)?outcome": ?"lost"', log.read_text()), "it never found out")
    until(member.is_ready)
    assert (scene.ledger.rows(results), state(scene, job)) == (written, ended)
