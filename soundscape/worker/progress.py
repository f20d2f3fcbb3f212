"""How far an analysis has come, for whoever watches the recording's page."""

from __future__ import annotations

import asyncio
from typing import Literal

import structlog

from soundscape.errors import LeaseLost, ProjectError
from soundscape.project.queue import Job, Queue

INTERVAL_S = 1.0
CALL_TIMEOUT_S = 5.0

Stage = Literal["fetching", "analyzing", "storing"]

log = structlog.get_logger(__name__)


class ProgressReport:
    """The stage of one job and the share of it that is done.

    It is told at most once a second, and only when it changed. Nothing waits for it: a report that fails is
    left out. An analysis that takes less than a second tells nothing.
    """

    def __init__(self, queue: Queue, job: Job) -> None:
        self._queue = queue
        self._job = job
        self._stage: Stage = "fetching"
        self._share = 0.0

    def begin(self, stage: Stage) -> None:
        """A stage begins."""
        self._stage, self._share = stage, 0.0

    def advance(self, share: float) -> None:
        """A share of the stage is done, 0 to 1."""
        self._share = share

    async def run(self) -> None:
        """Report until cancelled, or until another worker has the job."""
        reported: tuple[Stage, float] | None = None
        while True:
            await asyncio.sleep(INTERVAL_S)
            now = (self._stage, self._share)
            if now == reported:
                continue
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    await self._queue.report_progress(self._job, stage=now[0], share=now[1])
                reported = now
            except LeaseLost:
                return  # the heartbeat ends the job
            except (ProjectError, TimeoutError) as error:
                log.info("progress was not reported", error=str(error) or "no answer in time")
