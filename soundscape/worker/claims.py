"""The claim loop: woken by the doorbell or by a timer, it never claims more jobs than it has free slots."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress

import structlog

from soundscape.errors import ProjectError
from soundscape.project.fingerprint_index import FingerprintIndex
from soundscape.project.objects import Objects
from soundscape.project.queue import Job, Queue
from soundscape.sandbox.scratch import Scratch
from soundscape.settings import Settings
from soundscape.telemetry import traces
from soundscape.worker.job import AnalysisAttempt
from soundscape.worker.prepared import PreparedRecords
from soundscape.worker.slots import Slots

log = structlog.get_logger(__name__)

NEXT_MARGIN_S = 0.05
MAX_UNREACHABLE_POLL_S = 1.5
"""A queue that does not answer is polled at least this often: leases may run out meanwhile."""


class ClaimLoop:
    """Claims jobs and runs each in a slot of its own.

    Parameters
    ----------
    queue, objects, index
        The project.
    slots, scratch
        Where jobs run, and where their files lie.
    prepared
        Records that were made before their jobs.
    settings
        Limits, the lease and how often to look.
    wake
        Set when there may be jobs.
    may_work
        Whether jobs may be claimed now.
    on_finished
        Called after each job.
    """

    def __init__(
        self,
        queue: Queue,
        objects: Objects,
        index: FingerprintIndex,
        slots: Slots,
        scratch: Scratch,
        prepared: PreparedRecords,
        settings: Settings,
        *,
        wake: asyncio.Event,
        may_work: Callable[[], bool],
        on_finished: Callable[[], None],
    ) -> None:
        self._queue, self._objects, self._index = queue, objects, index
        self._slots, self._scratch, self._prepared = slots, scratch, prepared
        self._settings = settings
        self._wake, self._may_work, self._on_finished = wake, may_work, on_finished
        self._held_tokens: set[str] = set()
        self._stopping = False
        self.jobs: set[asyncio.Task[None]] = set()
        self.problem: str | None = "not asked yet"

    def stop(self) -> None:
        """Claim no more. Jobs that run go on."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Claim and run jobs until `stop`."""
        pause_s = self._settings.poll_min_s
        while not self._stopping:
            self._wake.clear()
            claimed = await self._claim()
            for job in claimed:
                self._begin(job)
            if self._slots.free_count and claimed:
                continue  # there may be more
            # The lease of a job that was claimed after our latest claim cannot run out unseen.
            max_pause_s = min(self._settings.poll_max_s, self._settings.lease_s / 2)
            if self.problem is not None:
                max_pause_s = min(max_pause_s, MAX_UNREACHABLE_POLL_S)
            pause_s = self._settings.poll_min_s if claimed else min(pause_s * 2, max_pause_s)
            wait_s = min(pause_s, await self._next_s()) if self._slots.free_count else None
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def _claim(self) -> list[Job]:
        # With a full disk the jobs would fail here, and another worker could do them.
        if not self._slots.free_count or self._scratch.find_problem() is not None or not self._may_work():
            return []
        try:
            jobs = await self._queue.claim(
                self._slots.free_count, lease_s=self._settings.lease_s, held_tokens=self._held_tokens
            )
        except ProjectError as error:
            log.warning("the queue cannot be reached", error=str(error))
            self.problem = error.message
            return []
        except Exception:
            # A strange response must not end the loop: a deploy may be half done.
            log.exception("the response of the queue cannot be read")
            self.problem = "its response cannot be read"
            return []
        self.problem = None
        return jobs

    async def _next_s(self) -> float:
        """Seconds until a claim may find a job that the latest one did not; infinite if none is known."""
        if self.problem is not None:
            return math.inf
        try:
            next_s = await self._queue.next_s()
        except ProjectError as error:
            log.warning("the queue does not say when the next job is due", error=str(error))
            return math.inf
        if next_s is None:
            return math.inf
        # A job that is due but was not claimed is locked by another worker for a moment.
        return next_s + NEXT_MARGIN_S if next_s > 0 else self._settings.poll_min_s

    def _begin(self, job: Job) -> None:
        sandbox = self._slots.take()
        self._held_tokens.add(job.token)
        attempt = AnalysisAttempt(
            queue=self._queue,
            objects=self._objects,
            index=self._index,
            prepared=self._prepared,
            sandbox=sandbox,
            scratch=self._scratch,
            limits=self._settings.limits,
            lease_s=self._settings.lease_s,
        )

        async def work() -> None:
            try:
                with traces.job_span(job.trace_id, job.job_id, job.audio_id, job.attempt) as span:
                    span.set_attribute("event.outcome", await attempt.run(job))
            except Exception:
                # A bug of ours: the lease runs out, the attempt is counted, the slot goes on.
                log.exception("job failed unexpectedly", **{"job.id": job.job_id})
            finally:
                self._held_tokens.discard(job.token)
                self._on_finished()
                if not self._stopping:
                    self._slots.release(sandbox)

        task = asyncio.create_task(work())
        self.jobs.add(task)
        task.add_done_callback(self.jobs.discard)
