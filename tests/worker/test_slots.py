"""Children that do not start: the worker ends with a sentence, and does not look alive for ever."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from soundscape.errors import ServingError
from soundscape.sandbox import parent
from soundscape.settings import Settings
from soundscape.worker import slots as slots_module
from soundscape.worker.slots import MAX_FIRST_STARTS, MAX_RESTARTS, Slots
from soundscape.worker.worker import Worker


@pytest.fixture
async def slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Slots]:
    monkeypatch.setattr(slots_module, "START_RETRY_S", 0.0)
    made = Slots(tmp_path, count=1, on_free=lambda: None)
    yield made
    await made.stop()


def break_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let children be a program that ends at once, as in an installation that lacks a file."""
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'ImportError: no numba' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(parent.sys, "executable", str(broken))


async def test_an_installation_that_cannot_analyse_ends_the_worker(
    slots: Slots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_python(monkeypatch, tmp_path)
    filling = asyncio.create_task(slots.fill())
    with pytest.raises(ServingError) as raised:
        await slots.hopeless
    filling.cancel()
    assert raised.value.code == "analysis_cannot_start"
    assert f"in {MAX_FIRST_STARTS} attempts" in raised.value.message
    assert "ImportError: no numba" in raised.value.message
    assert raised.value.remedy
    assert slots.find_problem() is not None


async def test_a_child_that_once_ran_is_given_more_time(
    slots: Slots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await slots.fill()
    sandbox = slots.take()
    await sandbox.stop()
    with monkeypatch.context() as short_of_memory:
        failures = 0

        async def fail() -> None:
            nonlocal failures
            failures += 1
            if failures == MAX_RESTARTS - 1:
                short_of_memory.undo()
            raise OSError("no more processes")

        short_of_memory.setattr(sandbox, "start", fail)
        short_of_memory.setattr(slots_module, "START_RETRY_S", 0.0)
        await slots._start_child(sandbox)
    assert (failures, slots.hopeless.done(), slots.find_problem()) == (MAX_RESTARTS - 1, False, None)

    # It starts counting again; one failure more, and it gives up.
    await sandbox.stop()

    async def fail_for_ever() -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(sandbox, "start", fail_for_ever)
    monkeypatch.setattr(slots_module, "START_RETRY_S", 0.0)
    starting = asyncio.create_task(slots._start_child(sandbox))
    with pytest.raises(ServingError, match=f"in {MAX_RESTARTS} attempts: no more processes"):
        await slots.hopeless
    starting.cancel()


async def test_whoever_watches_a_worker_hears_of_it(slots: Slots) -> None:
    worker = Worker(
        Settings.from_environment(
            {
                "SUPABASE_URL": "http://127.0.0.1:9",
                "SUPABASE_SECRET_KEY": "sb_secret_0123456789abcdef",
                "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_0123456789abcdef",
                "SOUNDSCAPE_WEBHOOK_SECRET": "whsec_" + b64encode(bytes(32)).decode(),
            }
        )
    )
    worker._slots = slots
    ended = asyncio.Event()
    watching = asyncio.create_task(worker.watch(ended))
    await asyncio.sleep(0)
    ended.set()
    await watching

    watching = asyncio.create_task(worker.watch(asyncio.Event()))
    slots.hopeless.set_exception(ServingError("The analysis did not start.", code="analysis_cannot_start"))
    with pytest.raises(ServingError, match="did not start"):
        await watching
