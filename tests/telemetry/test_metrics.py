"""The metrics: who may read them, what counts, and that strangers cannot make them grow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from soundscape.api.app import build
from soundscape.cli.embedded_project import Project
from soundscape.errors import AnalysisCrashed, LeaseLost, ProjectUnreachable, UnreadableAudio
from soundscape.project.queue import Job, Queue
from soundscape.sandbox.parent import Sandbox
from soundscape.telemetry import instrumented as observed
from soundscape.telemetry import metrics
from soundscape.telemetry.instrumented import ObservedQueue, ObservedSandbox, make_label, read_stage_seconds
from soundscape.worker.worker import Worker
from tests.api.test_access import settings
from tests.waiting import LIMIT_S

TOKEN = "whoever reads the metrics"
STATS = {
    "queues": {
        "soundscape_uploads": {"running": 2, "standing": 3, "retrying": 1, "waiting": 0, "oldest_s": 12.5},
        "soundscape_backfill": {"running": 0, "standing": 0, "retrying": 0, "waiting": 7, "oldest_s": None},
    },
    "statistics": {"pending": 8, "oldest_s": 9.5},
}


JOB = Job(
    job_id=1,
    token="t",
    trace_id="0" * 32,
    attempt=1,
    audio_id="a",
    user_id="u",
    object_name="u/a.wav",
    object_version="v",
    size_bytes=None,
    content_type=None,
)


PROJECT = {
    "users": 3, "recordings": {"ready": 5, "failed": 1}, "listed": 4, "likes": 2, "plays": 70, "downloads": 6,
    "storage": {"audio-files": {"objects": 6, "bytes": 1000}}, "days": [],
}  # fmt: skip


@asynccontextmanager
async def serve_metrics(
    stats: Any = STATS,
    *,
    project: Any = PROJECT,
    address: str = "127.0.0.1",
    host: str = "127.0.0.1:8000",
    **changed: Any,
) -> AsyncIterator[httpx.AsyncClient]:
    app = build(settings(**changed))
    app.state.asked = 0

    async def answered() -> Any:
        app.state.asked += 1
        if isinstance(stats, Exception):
            raise stats
        return stats

    async def answered_project() -> Any:
        if isinstance(project, Exception):
            raise project
        return project

    app.state.gauges._read_stats = answered
    app.state.project_gauges._read_stats = answered_project
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
        client.app = app  # type: ignore[attr-defined]
        yield client


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_what_is_printed() -> None:
    async with serve_metrics() as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = samples(answer.text)
    assert found["soundscape_queue_jobs", (("queue", "uploads"), ("state", "standing"))] == 3
    assert found["soundscape_queue_jobs", (("queue", "backfill"), ("state", "waiting"))] == 7
    assert found["soundscape_queue_oldest_seconds", (("queue", "uploads"),)] == 12.5
    assert found["soundscape_queue_oldest_seconds", (("queue", "backfill"),)] == 0
    assert found["soundscape_queue_readable", ()] == 1
    assert (found["soundscape_stats_pending", ()], found["soundscape_stats_pending_seconds", ()]) == (8, 9.5)
    names = {name for name, _ in found}
    assert {
        "soundscape_doorbells_total",
        "process_resident_memory_bytes",
        "soundscape_leases_lost_total",
    } <= names


async def test_the_figures_of_the_project_are_printed() -> None:
    async with serve_metrics() as client:
        found = samples((await client.get("/metrics")).text)
    assert found["soundscape_project_recordings", (("status", "ready"),)] == 5
    assert found["soundscape_project_stored_bytes", (("bucket", "audio-files"),)] == 1000
    assert found["soundscape_project_figure", (("figure", "plays"),)] == 70
    assert found["soundscape_project_readable", ()] == 1
    for project in (ProjectUnreachable("away"), {}, {"recordings": None}):
        async with serve_metrics(project=project) as client:
            answer = await client.get("/metrics")
        found = samples(answer.text)
        assert (answer.status_code, found["soundscape_project_readable", ()]) == (200, 0)
        assert "soundscape_project_figure" not in {name for name, _ in found}
        assert found["soundscape_queue_readable", ()] == 1


@pytest.mark.parametrize(
    "stats",
    [ProjectUnreachable("away"), {}, {"queues": None}, {"queues": {"q": {}}}, None,
     {"queues": {"q": {"running": "many", "standing": 0, "retrying": 0, "waiting": 0, "oldest_s": 0}}}],
)  # fmt: skip
async def test_a_project_that_does_not_say(stats: Any) -> None:
    """The rest is still told; figures of the queue are left out rather than old."""
    async with serve_metrics() as client:
        await client.get("/metrics")
    async with serve_metrics(stats) as client:
        answer = await client.get("/metrics")
    found = samples(answer.text)
    assert (answer.status_code, found["soundscape_queue_readable", ()]) == (200, 0)
    assert "soundscape_queue_jobs" not in {name for name, _ in found}


async def test_however_many_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve_metrics() as client:
        await asyncio.gather(*(client.get("/metrics") for _ in range(20)))
        assert client.app.state.asked == 1  # type: ignore[attr-defined]
        monkeypatch.setattr(metrics, "STATS_CACHED_S", 0.0)
        await client.get("/metrics")
        assert client.app.state.asked == 2  # type: ignore[attr-defined]


async def test_a_scrape_asks_the_project_everything_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question may take seconds, and Prometheus waits ten."""
    asked = asyncio.Barrier(3)

    async def answer_together(self: metrics.RefreshedGauges) -> None:
        await asked.wait()

    async def check_together(self: Worker, *, max_age_s: float) -> dict[str, Any]:
        await asked.wait()
        return {}

    monkeypatch.setattr(metrics.RefreshedGauges, "refresh", answer_together)
    monkeypatch.setattr(Worker, "run_checks", check_together)
    async with serve_metrics() as client, asyncio.timeout(LIMIT_S):
        assert (await client.get("/metrics")).status_code == 200


@pytest.mark.parametrize(
    ("address", "host", "headers", "status"),
    [
        ("127.0.0.1", "127.0.0.1:8000", {}, 200),
        ("127.0.0.1", "localhost:8000", {}, 200),
        ("::1", "[::1]:8000", {}, 200),
        ("127.0.0.1", "[::1]", {}, 200),
        ("192.0.2.1", "127.0.0.1:8000", {}, 403),
        ("127.0.0.1", "worker.mysite.org", {}, 403),
        ("127.0.0.1", "rebound.evil.org:8000", {}, 403),
        ("127.0.0.1", "127.0.0.1:8000", {"x-forwarded-for": "192.0.2.1"}, 403),
        ("127.0.0.1", "127.0.0.1:8000", {"forwarded": "for=192.0.2.1"}, 403),
        ("127.0.0.1", "127.0.0.1:8000", {"via": "1.1 proxy"}, 403),
        # A web page that is open in a browser on this machine.
        ("127.0.0.1", "127.0.0.1:8000", {"origin": "https://evil.org"}, 403),
        ("127.0.0.1", "127.0.0.1:8000", {"origin": "http://127.0.0.1:3000"}, 403),
        ("127.0.0.1", "127.0.0.1:8000", {"origin": "null"}, 403),
        ("127.0.0.1", "127.0.0.1:8000", {"sec-fetch-site": "cross-site"}, 403),
        ("127.0.0.1", "127.0.0.1:8000", {"sec-fetch-site": "same-site"}, 403),
        ("127.0.0.1", "127.0.0.1:8000", {"sec-fetch-site": "same-origin"}, 200),
        ("127.0.0.1", "127.0.0.1:8000", {"sec-fetch-site": "none"}, 200),
        ("testclient", "127.0.0.1:8000", {}, 403),
    ],
)
async def test_this_machine_only(address: str, host: str, headers: dict[str, str], status: int) -> None:
    async with serve_metrics(address=address, host=host) as client:
        answer = await client.get("/metrics", headers=headers)
        assert answer.status_code == status
        ready = (await client.get("/health/ready", headers=headers)).json()["checks"]
        assert all(("reason" in check) == (status == 200) for check in ready.values())
        if status == 403:
            assert answer.json()["code"] == "metrics_not_for_you"
            assert client.app.state.asked == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("authorization", "status"),
    [(f"Bearer {TOKEN}", 200), (f"bearer  {TOKEN} ", 200), (TOKEN, 401), (f"Basic {TOKEN}", 401), ("", 401),
     (f"Bearer {TOKEN}x", 401), ("Bearer é", 401)],
)  # fmt: skip
async def test_whoever_bears_the_token(authorization: str, status: int) -> None:
    for address in ("192.0.2.1", "127.0.0.1"):
        async with serve_metrics(metrics_token=TOKEN, address=address) as client:
            answer = await client.get("/metrics", headers=[(b"authorization", authorization.encode())])
            assert answer.status_code == status


async def test_doorbells_are_counted() -> None:
    def rung() -> list[float]:
        return [value("soundscape_doorbells_total", outcome=o) for o in ("accepted", "unsigned", "too_large")]

    before = rung()
    async with serve_metrics() as client:
        await client.post("/webhooks/storage")
        await client.post("/webhooks/storage", content=b"x" * (1 << 17))
    assert [after - early for after, early in zip(rung(), before, strict=True)] == [0, 1, 1]


async def test_how_jobs_end_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[str, Any] = {"fail_job": "queued", "complete_job": None}

    async def call(_: Queue, function: str, /, **__: Any) -> Any:
        if isinstance(answers[function], Exception):
            raise answers[function]
        return answers[function]

    monkeypatch.setattr(Queue, "_call", call)
    queue = ObservedQueue(None, worker="w")  # type: ignore[arg-type]
    again = {"outcome": "queued", "code": "worker_disk"}
    before = value("soundscape_jobs_total", **again), value("soundscape_leases_lost_total")
    await queue.put_back(JOB, fault="passing", code="worker_disk", message="full")
    answers["complete_job"] = LeaseLost("gone")
    with pytest.raises(LeaseLost):
        await queue.complete(JOB, {})
    assert value("soundscape_jobs_total", **again) == before[0] + 1
    assert value("soundscape_leases_lost_total") == before[1] + 1
    succeeded = value("soundscape_jobs_total", outcome="succeeded", code="")
    answers["complete_job"] = None
    await queue.complete(JOB, {})
    assert value("soundscape_jobs_total", outcome="succeeded", code="") == succeeded + 1


@pytest.mark.parametrize(
    ("error", "killed"),
    [(AnalysisCrashed("killed"), 1), (asyncio.CancelledError(), 1), (UnreadableAudio("no sound"), 0)],
)
async def test_children_that_end_with_their_job_are_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException, killed: int
) -> None:
    async def ends(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(Sandbox, "analyze", ends)
    before = value("soundscape_children_killed_total")
    with pytest.raises(type(error)):
        await ObservedSandbox(tmp_path).analyze(None)
    assert value("soundscape_children_killed_total") == before + killed


def test_labels_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a child says may become a label, but not any number of them, and not any text."""
    known: set[str] = set()
    monkeypatch.setattr(observed, "MAX_LABELS", 3)
    assert [make_label(name, known) for name in ("a", "b", "c", "d", "a")] == ["a", "b", "c", "other", "a"]
    for strange in ("", "A", "a b", "é", "x" * 65, 'a"} 1', None, 7, ["a"]):
        assert make_label(strange, set()) == "other"


@pytest.mark.parametrize(
    ("stages", "found"),
    [
        ([{"name": "decode", "seconds": 0.5}, {"name": "hash", "seconds": 1}], {"decode": 0.5, "hash": 1.0}),
        ([{"name": "decode", "seconds": -1}, {"name": "hash", "seconds": float("nan")}], {}),
        ([{"name": 7, "seconds": 1}, {"seconds": 1}, "x", None], {}),
        ([{"name": "decode", "seconds": float("inf")}], {}),
        ("decode", {}),
        (None, {}),
    ],
)
def test_seconds_of_stages(stages: Any, found: dict[str, float]) -> None:
    assert read_stage_seconds({"stages": stages}) == found


async def test_the_queue_of_a_real_project(embedded: Project) -> None:
    async with httpx.AsyncClient(base_url=embedded.url, timeout=60) as client, asyncio.timeout(120):
        # A project that is busy may answer too late for one reading.
        found: dict[Any, float] = {}
        while not found.get(("soundscape_queue_readable", ())):
            found = samples((await client.get("/api/metrics")).text)
            await asyncio.sleep(0.2)
    for queue in ("uploads", "backfill"):
        for state in ("running", "standing", "retrying", "waiting"):
            assert found["soundscape_queue_jobs", (("queue", queue), ("state", state))] >= 0
