"""`soundscape worker` as a process: how it stops, what it says meanwhile, and that its memory stays flat."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.waiting import LIMIT_S, until
from tests.worker.test_worker import Bench, served_bench

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

WARM_UP_JOBS, MORE_JOBS = 15, 25
GROWTH_BYTES = 4e6


@pytest.fixture(scope="module")
def project(data_dirs: Path) -> Iterator[Bench]:
    with served_bench(data_dirs / "process") as bench:
        yield bench


@dataclass
class Process:
    """One `soundscape worker`."""

    popen: subprocess.Popen[bytes]
    url: str

    def ready(self) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/api/health/ready")
        return {"status": answer.status_code, **answer.json()["checks"]}

    def child(self) -> int:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue  # ended meanwhile
            if parent == str(self.popen.pid):
                return int(folder.name)
        raise AssertionError("no child")


@pytest.fixture
def start(project: Bench, tmp_path: Path) -> Iterator[Callable[[], Process]]:
    started: list[Process] = []

    def run() -> Process:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        environment = os.environ | project.project.environment()
        environment |= {"SOUNDSCAPE_POLL_MAX_S": "1", "SOUNDSCAPE_SCRATCH_DIR": str(tmp_path)}
        command = (sys.executable, "-m", "soundscape", "worker", "--port", str(port))
        process = Process(subprocess.Popen(command, env=environment), f"http://127.0.0.1:{port}")
        started.append(process)
        until(lambda: _answers(process) and process.ready()["status"] == 200)
        return process

    yield run
    for process in started:
        process.popen.kill()
        process.popen.wait()


def _answers(process: Process) -> bool:
    assert process.popen.poll() is None
    try:
        return httpx.get(f"{process.url}/api/health/live").status_code == 200
    except httpx.TransportError:
        return False


def test_the_first_signal_finishes_what_runs_and_the_second_gives_it_back(
    project: Bench, start: Callable[[], Process], tmp_path: Path
) -> None:
    worker = start()
    assert {name for name in worker.ready() if name != "status"} == {
        *("database", "storage", "schema", "queue", "disk", "models", "analysis", "sandbox", "code"),
        *("email", "push"),
    }
    child = worker.child()
    os.kill(child, signal.SIGSTOP)
    running, _ = project.recording()
    until(lambda: project.status(running) == "analyzing")
    worker.popen.terminate()
    until(lambda: worker.ready()["analysis"]["state"] == "failed")
    assert worker.ready()["status"] == 503
    assert httpx.get(f"{worker.url}/api/health/live").status_code == 200
    later, _ = project.recording()
    time.sleep(1.5)
    os.kill(child, signal.SIGCONT)
    assert worker.popen.wait(LIMIT_S) == 0
    assert (project.status(running), project.status(later)) == ("ready", "queued")
    assert list(tmp_path.iterdir()) == []

    # The one that was left is taken up; this time nobody waits for it.
    worker = start()
    until(lambda: project.status(later) == "ready")
    os.kill(worker.child(), signal.SIGSTOP)
    given_back, _ = project.recording()
    until(lambda: project.status(given_back) == "analyzing")
    worker.popen.terminate()
    until(lambda: worker.ready()["analysis"]["state"] == "failed")
    worker.popen.terminate()
    assert worker.popen.wait(LIMIT_S) == 130
    (job,) = project.jobs(given_back)
    assert (job["state"], job["error_code"]) == ("queued", "worker_stopped")
    assert list(tmp_path.iterdir()) == []


def test_killed(project: Bench, start: Callable[[], Process], tmp_path: Path) -> None:
    """Its child ends with it, and its folder goes when the next one starts."""
    worker = start()
    child = worker.child()
    (left,) = tmp_path.iterdir()
    worker.popen.kill()
    worker.popen.wait()
    until(lambda: not Path(f"/proc/{child}").exists())
    assert left.is_dir()
    start()
    assert not left.exists()


def test_memory_stays_flat(project: Bench, start: Callable[[], Process]) -> None:
    """A thousand jobs are benchmarks/worker_memory.py's; a leak of a clip a job shows in these already."""
    worker = start()

    def after(jobs: int) -> int:
        heard = [project.recording()[0] for _ in range(jobs)]
        until(lambda: all(project.status(each) == "ready" for each in heard))
        status = Path(f"/proc/{worker.popen.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    warm = after(WARM_UP_JOBS)
    assert after(MORE_JOBS) - warm < GROWTH_BYTES
