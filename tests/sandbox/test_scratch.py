"""The worker's folder: room is waited for, never taken twice, and what the killed left is removed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from soundscape.sandbox import scratch as scratch_module
from soundscape.sandbox.scratch import PREFIX, Scratch, open_worker_folder
from tests.waiting import LIMIT_S


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch_module, "RETRY_S", 0.02)


async def test_more_than_the_budget_waits(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, budget_bytes=100, min_free_bytes=0)
    highest, running = 0, 0

    async def download(size_bytes: int) -> None:
        nonlocal highest, running
        async with scratch.reserve(size_bytes):
            running += size_bytes
            highest = max(highest, running)
            await asyncio.sleep(0.005)
            running -= size_bytes

    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(*(download(40) for _ in range(20)))
    assert 40 < highest <= 100
    assert scratch.reserved_bytes == 0


async def test_what_is_larger_than_the_budget_goes_alone(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, budget_bytes=100, min_free_bytes=0)
    async with scratch.reserve(1):
        large = asyncio.create_task(scratch.reserve(1000).__aenter__())
        await asyncio.sleep(0.1)
        assert not large.done()
    async with asyncio.timeout(LIMIT_S):
        await large
    assert scratch.reserved_bytes == 1000


async def test_one_that_is_cancelled_gives_its_room_back(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, budget_bytes=100, min_free_bytes=0)

    async def hold() -> None:
        async with scratch.reserve(100):
            await asyncio.sleep(60)

    holding = asyncio.create_task(hold())
    await asyncio.sleep(0.01)
    waiting = asyncio.create_task(hold())
    await asyncio.sleep(0.01)
    waiting.cancel()
    holding.cancel()
    await asyncio.gather(holding, waiting, return_exceptions=True)
    assert scratch.reserved_bytes == 0
    async with asyncio.timeout(LIMIT_S), scratch.reserve(100):
        pass


async def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, waited for, and after a time left to another worker."""
    scratch = Scratch(tmp_path, budget_bytes=100, min_free_bytes=1 << 60)
    assert "are kept" in str(scratch.find_problem())
    waiting = asyncio.create_task(scratch.reserve(10).__aenter__())
    await asyncio.sleep(0.1)
    assert not waiting.done()
    scratch._floor_bytes = 0
    async with asyncio.timeout(LIMIT_S):
        await waiting
    assert scratch.find_problem() is None

    monkeypatch.setattr(scratch_module, "MAX_WAIT_S", 0.05)
    with pytest.raises(OSError, match="no room"):
        async with scratch.reserve(1 << 60):
            pass


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    assert "No such file" in str(Scratch(tmp_path / "gone", budget_bytes=1).find_problem())


def test_what_killed_workers_left(tmp_path: Path) -> None:
    """The dead one's folder goes, the living one's stays, and so does what is nobody's of ours."""
    script = (
        "import sys, time; from pathlib import Path\n"
        "from soundscape.sandbox.scratch import open_worker_folder\n"
        "with open_worker_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'job-1').mkdir(); (folder / 'job-1' / 'source').write_bytes(bytes(1000))\n"
        "    print(folder, flush=True); time.sleep(60)\n"
    )
    workers = []
    for _ in range(2):
        worker = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert worker.stdout is not None
        workers.append((worker, Path(worker.stdout.readline().strip())))
    (killed, left), (living, kept) = workers
    others = [tmp_path / "soundscape-tests-x", tmp_path / f"{PREFIX}file", tmp_path / f"{PREFIX}link"]
    others[0].mkdir()
    others[1].write_text("a file")
    others[2].symlink_to(others[0])
    try:
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        assert left.is_dir()
        with open_worker_folder(tmp_path) as ours:
            assert not left.exists()
            assert (kept / "job-1" / "source").stat().st_size == 1000
            assert ours.is_dir()
        assert not ours.exists()
    finally:
        living.terminate()
        living.wait()
        for worker, _ in workers:
            assert worker.stdout is not None
            worker.stdout.close()
    assert all(path.exists() for path in others)
