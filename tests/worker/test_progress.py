"""Reports of progress: at most one a second, none that tells nothing new, and no job waits for one."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, cast

from soundscape.errors import LeaseLost, ProjectError
from soundscape.worker.progress import INTERVAL_S, ProgressReport
from tests.worker.test_heartbeat import TimelessLoop


class Listener:
    """A queue that notes when it is told what. `answers` are raised, one a call; None is success."""

    def __init__(self, *answers: Exception | None) -> None:
        self.told: list[tuple[float, str, float]] = []
        self._answers = list(answers)

    async def report_progress(self, _job: Any, *, stage: str, share: float) -> None:
        self.told.append((asyncio.get_running_loop().time(), stage, share))
        answer = self._answers.pop(0) if self._answers else None
        if isinstance(answer, TimeoutError):
            await asyncio.Event().wait()
        if answer is not None:
            raise answer


def run(listener: Listener) -> bool:
    """Analyse for ten seconds with ten steps a second. Whether reporting went on to the end."""

    async def main() -> bool:
        report = ProgressReport(cast(Any, listener), cast(Any, None))
        reporting = asyncio.create_task(report.run())
        await asyncio.sleep(0.5)
        report.begin("analyzing")
        for step in range(100):
            report.advance(step / 100)
            await asyncio.sleep(0.1)
        report.begin("storing")
        await asyncio.sleep(10)
        went_on = not reporting.done()
        reporting.cancel()
        await asyncio.gather(reporting, return_exceptions=True)
        return went_on

    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        return runner.run(main())


def test_at_most_one_a_second_and_only_news() -> None:
    listener = Listener()
    assert run(listener)
    times = [at_s for at_s, _, _ in listener.told]
    assert all(later - earlier >= INTERVAL_S - 1e-6 for earlier, later in itertools.pairwise(times))
    assert times[0] >= INTERVAL_S - 1e-6
    stages = [stage for _, stage, _ in listener.told]
    assert stages[0] == "analyzing"
    assert 9 <= stages.count("analyzing") <= 11
    # Told once, though it lasted ten seconds.
    assert stages.count("storing") == 1
    shares = [share for _, stage, share in listener.told if stage == "analyzing"]
    assert shares == sorted(set(shares))


def test_a_report_that_fails_is_left_out() -> None:
    listener = Listener(ProjectError("down"), TimeoutError())
    assert run(listener)
    assert len(listener.told) >= 5


def test_a_lost_lease_ends_it() -> None:
    listener = Listener(LeaseLost("lost"))
    assert not run(listener)
    assert len(listener.told) == 1
