"""Background work ends when it is cancelled, whatever else happens at that moment."""

from __future__ import annotations

import asyncio

import pytest

from soundscape.worker.background import BackgroundWork
from tests.waiting import LIMIT_S


class Idle(BackgroundWork):
    """Finds nothing to do."""

    async def run_next(self) -> bool:
        return False


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("interval_s", [0.0, LIMIT_S])
async def test_it_ends_if_it_is_woken_just_before(interval_s: float, steps: int) -> None:
    """`asyncio.wait_for` of Python 3.11 loses a cancellation that comes as the wait ends: a worker hung."""
    work = Idle(interval_s=interval_s)
    running = asyncio.create_task(work.run())
    for _ in range(10):
        await asyncio.sleep(0)
    work.wake()
    for _ in range(steps):
        await asyncio.sleep(0)
    running.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert running.cancelled()
