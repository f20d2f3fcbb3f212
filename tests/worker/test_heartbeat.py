"""A heartbeat that stalls once does not cost the lease."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any, cast

from soundscape.worker.job import AnalysisAttempt


class StalledOnce:
    """A queue whose first answer never comes."""

    def __init__(self) -> None:
        self.asked_at_s: list[float] = []

    async def extend(self, *_: Any, **__: Any) -> None:
        self.asked_at_s.append(asyncio.get_running_loop().time())
        if len(self.asked_at_s) == 1:
            await asyncio.Event().wait()


class Skipping(selectors.DefaultSelector):
    """Skips every wait, and counts it."""

    skipped_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.skipped_s += timeout or 0.0
        return super().select(0)


class TimelessLoop(asyncio.SelectorEventLoop):
    """Its clock is moved by waits alone, so that no machine is too slow for it."""

    def __init__(self) -> None:
        self._skipping = Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.skipped_s


def test_a_stalled_heartbeat_is_sent_again_within_the_lease() -> None:
    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        runner.run(heartbeat_that_stalls())


async def heartbeat_that_stalls() -> None:
    queue, lease_s = StalledOnce(), 60
    attempt = AnalysisAttempt(
        queue=cast(Any, queue),
        objects=cast(Any, None),
        index=cast(Any, None),
        sandbox=cast(Any, None),
        scratch=cast(Any, None),
        limits=cast(Any, None),
        lease_s=lease_s,
    )
    began_s = asyncio.get_running_loop().time()
    beating = asyncio.create_task(attempt._heartbeat(cast(Any, None)))
    await asyncio.sleep(1.6 * lease_s)
    beating.cancel()
    assert len(queue.asked_at_s) >= 2
    assert queue.asked_at_s[1] - began_s < 1.2 * lease_s
