"""The claim loop: woken by the doorbell or by a timer, it never claims more jobs than it has free slots."""

from __future__ import annotations

import asyncio
import math
import os
import platform
import secrets
import tempfile
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import structlog

from soundscape.errors import ProjectError, ProjectUnreachable
from soundscape.project.client import connect
from soundscape.project.fingerprint_index import FingerprintIndex
from soundscape.project.matching import load_matcher
from soundscape.project.queue import Job
from soundscape.sandbox.confinement import hide_environment
from soundscape.sandbox.scratch import Scratch, open_worker_folder
from soundscape.settings import Settings
from soundscape.telemetry import traces
from soundscape.telemetry.instrumented import ObservedFingerprintIndex, ObservedObjects, ObservedQueue
from soundscape.worker.fitting import keep_fitting
from soundscape.worker.job import Attempt
from soundscape.worker.readiness import Check, ProjectHealth, check_models, check_sandbox
from soundscape.worker.slots import Slots
from soundscape.worker.sweep import Sweep

log = structlog.get_logger(__name__)

STOP_GRACE_S = 20.0
CLAIM_GRACE_S = 5.0
NEXT_MARGIN_S = 0.05
MAX_UNREACHABLE_POLL_S = 1.5
"""A queue that does not answer is polled at least this often: leases may run out meanwhile."""


class Worker:
    """Claims jobs and runs each in a slot of its own; a slot is a pre-warmed child process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = f"{platform.node()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._wake = asyncio.Event()
        self._stopping = False
        self._resources = AsyncExitStack()
        self._jobs: set[asyncio.Task[None]] = set()
        self._held_tokens: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._project: ProjectHealth | None = None
        self._queue_problem: str | None = "not asked yet"
        self._scratch: Scratch | None = None
        self._slots: Slots | None = None
        self.warmed = asyncio.Event()

    @property
    def warm(self) -> bool:
        """Whether the children are ready to analyse."""
        return self.warmed.is_set()

    @property
    def reachable(self) -> bool:
        """Whether the queue answered the latest claim."""
        return self._queue_problem is None

    @property
    def stopping(self) -> bool:
        """Whether it claims no more."""
        return self._stopping

    async def run_checks(self) -> dict[str, Check]:
        """What readiness checks, by name: database, storage, queue, disk, models, analysis, sandbox."""
        checks = {} if self._project is None else await self._project.run_checks()
        checks["queue"] = _make_check(self._queue_problem)
        checks["disk"] = _make_check(
            "no folder yet" if self._scratch is None else self._scratch.find_problem()
        )
        checks["models"] = await asyncio.to_thread(check_models)
        checks["analysis"] = _make_check(self._find_analysis_problem())
        if self._slots is not None and self._slots.protections is not None:
            checks["sandbox"] = check_sandbox(self._slots.protections)
        return checks

    def _find_analysis_problem(self) -> str | None:
        if self._stopping:
            return "the worker is stopping"
        if self._tasks and self._tasks[0].done():
            return "the claim loop has ended"
        return "the worker has not started" if self._slots is None else self._slots.find_problem()

    def ring(self) -> None:
        """Look at the queue now."""
        self._wake.set()

    async def read_queue_stats(self) -> dict[str, Any]:
        """The queue in figures, as `queue_stats()` answers. Raises `ProjectUnreachable` or `ProjectError`."""
        if not self._tasks:
            raise ProjectUnreachable("The worker has not started.")
        return await self._queue.read_stats()

    @property
    def fingerprint_index(self) -> FingerprintIndex:
        """The project's index. Raises `ProjectUnreachable` before `start`."""
        if not self._tasks:
            raise ProjectUnreachable("The worker has not started.")
        return self._index

    @property
    def scratch_folder(self) -> Path:
        """The folder for temporary files. Raises `ProjectUnreachable` before `start`."""
        if self._scratch is None or self._stopping:
            raise ProjectUnreachable("The worker has not started, or is stopping.")
        return self._scratch.folder

    async def start(self) -> None:
        """Connect, and start warming up and claiming in the background."""
        hide_environment()
        parent = self.settings.scratch_dir or Path(tempfile.gettempdir())
        folder = self._resources.enter_context(open_worker_folder(parent))
        self._scratch = Scratch(folder, budget_bytes=self.settings.scratch_bytes)
        self._slots = Slots(folder, count=self.settings.workers, on_free=self.ring)
        client, http = await self._resources.enter_async_context(
            connect(self.settings.supabase_url, self.settings.secret_key)
        )
        self._queue = ObservedQueue(client, worker=self.name)
        self._objects = ObservedObjects(client, http)
        self._index = ObservedFingerprintIndex(client)
        self._project = ProjectHealth(client)
        sweep = Sweep(self._queue, self._objects, self._index, interval_s=self.settings.poll_max_s)
        self._tasks = [
            asyncio.create_task(self._run(self._slots, self._scratch)),
            asyncio.create_task(sweep.run()),
        ]
        if self.settings.recommend_every_h is not None:
            self._tasks.append(asyncio.create_task(keep_fitting(self.settings, folder)))

    async def stop(self) -> None:
        """Claim no more, let running jobs finish within the grace time, end the children.

        A job that is cut short is re-queued. A second call does nothing.
        """
        if self._stopping:
            return
        self._stopping = True
        self._wake.set()
        try:
            if self.warmed.is_set():
                # The response to a claim must not be lost: its jobs would be held by nobody.
                await asyncio.wait(self._tasks[:1], timeout=CLAIM_GRACE_S)
            if self._jobs:
                await asyncio.wait(self._jobs, timeout=STOP_GRACE_S)
        finally:
            unfinished = (*self._tasks, *self._jobs)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
            if self._slots is not None:
                await self._slots.stop()
            await self._resources.aclose()

    async def _run(self, slots: Slots, scratch: Scratch) -> None:
        await self._warm_up(slots)
        pause_s = self.settings.poll_min_s
        while not self._stopping:
            self._wake.clear()
            claimed = await self._claim(slots, scratch)
            for job in claimed:
                self._begin(job, slots, scratch)
            if slots.free_count and claimed:
                continue  # there may be more
            # The lease of a job that was claimed after our latest claim cannot run out unseen.
            max_pause_s = min(self.settings.poll_max_s, self.settings.lease_s / 2)
            if not self.reachable:
                max_pause_s = min(max_pause_s, MAX_UNREACHABLE_POLL_S)
            pause_s = self.settings.poll_min_s if claimed else min(pause_s * 2, max_pause_s)
            wait_s = min(pause_s, await self._next_s()) if slots.free_count else None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait_s)

    async def _warm_up(self, slots: Slots) -> None:
        loading = asyncio.create_task(asyncio.to_thread(load_matcher))
        await slots.fill()
        try:
            await loading
        except Exception:
            # For example a full disk. Warming up only saves the first recording some time.
            log.exception("the matcher could not be loaded in advance")
        self.warmed.set()

    async def _claim(self, slots: Slots, scratch: Scratch) -> list[Job]:
        # With a full disk the jobs would fail here, and another worker could do them.
        if not slots.free_count or scratch.find_problem() is not None:
            return []
        try:
            jobs = await self._queue.claim(
                slots.free_count, lease_s=self.settings.lease_s, held_tokens=self._held_tokens
            )
        except ProjectError as error:
            log.warning("the queue cannot be reached", error=str(error))
            self._queue_problem = error.message
            return []
        except Exception:
            # A strange response must not end the loop: a deploy may be half done.
            log.exception("the response of the queue cannot be read")
            self._queue_problem = "its response cannot be read"
            return []
        self._queue_problem = None
        return jobs

    async def _next_s(self) -> float:
        """Seconds until a claim may find a job that the latest one did not; infinite if none is known."""
        if not self.reachable:
            return math.inf
        try:
            next_s = await self._queue.next_s()
        except ProjectError as error:
            log.warning("the queue does not say when the next job is due", error=str(error))
            return math.inf
        if next_s is None:
            return math.inf
        # A job that is due but was not claimed is locked by another worker for a moment.
        return next_s + NEXT_MARGIN_S if next_s > 0 else self.settings.poll_min_s

    def _begin(self, job: Job, slots: Slots, scratch: Scratch) -> None:
        sandbox = slots.take()
        self._held_tokens.add(job.token)
        attempt = Attempt(
            queue=self._queue,
            objects=self._objects,
            index=self._index,
            sandbox=sandbox,
            scratch=scratch,
            limits=self.settings.limits,
            lease_s=self.settings.lease_s,
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
                if not self._stopping:
                    slots.give_back(sandbox)

        task = asyncio.create_task(work())
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)


def _make_check(problem: str | None) -> Check:
    return Check("ok") if problem is None else Check("failed", problem)
