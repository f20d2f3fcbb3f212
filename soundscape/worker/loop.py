"""The claim loop: wakes on the doorbell or by itself, never takes more jobs than it can do."""

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

from soundscape.errors import AnalysisCrashed, ProjectError, ProjectUnreachable
from soundscape.project.client import connect
from soundscape.project.fingerprints import Fingerprints
from soundscape.project.queue import Job
from soundscape.sandbox.confinement import hide_environment
from soundscape.sandbox.parent import Sandbox
from soundscape.sandbox.scratch import Scratch, folder_of_ours
from soundscape.settings import Settings
from soundscape.telemetry import traces
from soundscape.telemetry.instrumented import (
    ObservedFingerprints,
    ObservedObjects,
    ObservedQueue,
    ObservedSandbox,
)
from soundscape.worker.duplicates import index_former, settle, warm_up
from soundscape.worker.fitting import keep_fitting
from soundscape.worker.job import Attempt
from soundscape.worker.readiness import Check, ProjectHealth, models_check, sandbox_check

log = structlog.get_logger(__name__)

RECONCILE_EVERY_S = 300.0
STOP_GRACE_S = 20.0
CLAIM_GRACE_S = 5.0
NEXT_MARGIN_S = 0.05
UNREACHABLE_POLL_S = 1.5
"""How rarely a queue that does not answer is asked: it says nothing of leases that run out meanwhile."""
REMOVALS_AT_ONCE = 100
REMOVALS_FOR_S = 60.0
"""With one request more well below `soundscape.deletion_grace()`, after which names may be in use again."""


class Worker:
    """Claims jobs and runs each in a slot of its own; a slot is a pre-warmed child process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = f"{platform.node()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._wake = asyncio.Event()
        self._stopping = False
        self._opened = AsyncExitStack()
        self._free: list[Sandbox] = []
        self._sandboxes: list[Sandbox] = []
        self._jobs: set[asyncio.Task[None]] = set()
        self._held: set[str] = set()
        self._renewing: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._project: ProjectHealth | None = None
        self._queue_trouble: str | None = "not asked yet"
        self._start_trouble: str | None = "the analysis children are warming up"
        self._scratch: Scratch | None = None
        self.warm = False

    @property
    def reachable(self) -> bool:
        """Whether the queue answered the latest claim."""
        return self._queue_trouble is None

    @property
    def stopping(self) -> bool:
        """Whether it claims no more."""
        return self._stopping

    async def checks(self) -> dict[str, Check]:
        """What it stands on, by name: database, storage, queue, disk, models, analysis, sandbox."""
        checks = {} if self._project is None else await self._project.checks()
        checks["queue"] = Check("ok") if self.reachable else Check("failed", self._queue_trouble or "")
        disk = self._scratch.trouble() if self._scratch is not None else "no folder yet"
        checks["disk"] = Check("ok") if disk is None else Check("failed", disk)
        checks["models"] = await asyncio.to_thread(models_check)
        trouble = self._analysis_trouble()
        checks["analysis"] = Check("ok") if trouble is None else Check("failed", trouble)
        if self._sandboxes:
            checks["sandbox"] = sandbox_check(self._sandboxes[0].protections)
        return checks

    def _analysis_trouble(self) -> str | None:
        """What keeps it from analysing; a child that is replaced as it should be is no trouble."""
        if self._stopping:
            return "the worker is stopping"
        if self._tasks and self._tasks[0].done():
            return "the claim loop has ended"
        if all(sandbox.spent for sandbox in self._sandboxes):
            return self._start_trouble
        return None

    def ring(self) -> None:
        """Look at the queue now."""
        self._wake.set()

    async def queue_stats(self) -> dict[str, Any]:
        """The queue in figures, as `queue_stats()` answers. Raises `ProjectUnreachable` or `ProjectError`."""
        if not self._tasks:
            raise ProjectUnreachable("The worker has not started.")
        return await self._queue.stats()

    @property
    def fingerprints(self) -> Fingerprints:
        """The project's index. Raises `ProjectUnreachable` before `start`."""
        if not self._tasks:
            raise ProjectUnreachable("The worker has not started.")
        return self._fingerprints

    @property
    def scratch_folder(self) -> Path:
        """Where files may lie for a while. Raises `ProjectUnreachable` before `start`."""
        if self._scratch is None or self._stopping:
            raise ProjectUnreachable("The worker has not started, or is stopping.")
        return self._scratch.folder

    async def start(self) -> None:
        """Connect, and start warming up and claiming in the background."""
        hide_environment()
        parent = self.settings.scratch_dir or Path(tempfile.gettempdir())
        folder = self._opened.enter_context(folder_of_ours(parent))
        self._scratch = Scratch(folder, budget_bytes=self.settings.scratch_bytes)
        client, http = await self._opened.enter_async_context(
            connect(self.settings.supabase_url, self.settings.secret_key)
        )
        self._queue = ObservedQueue(client, worker=self.name)
        self._objects = ObservedObjects(client, http)
        self._fingerprints = ObservedFingerprints(client)
        self._project = ProjectHealth(client)
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._sweep())]
        if self.settings.recommend_every_h is not None:
            self._tasks.append(asyncio.create_task(keep_fitting(self.settings, folder)))

    async def stop(self) -> None:
        """Claim no more, let running jobs finish within the grace time, end the children.

        A job cut short is given back. Calling it again does nothing.
        """
        if self._stopping:
            return
        self._stopping = True
        self._wake.set()
        try:
            if self.warm:
                # A claim on its way must not be lost: its jobs would be held by nobody.
                await asyncio.wait(self._tasks[:1], timeout=CLAIM_GRACE_S)
            if self._jobs:
                await asyncio.wait(self._jobs, timeout=STOP_GRACE_S)
        finally:
            unfinished = (*self._tasks, *self._jobs, *self._renewing)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
            await asyncio.gather(*(sandbox.stop() for sandbox in self._sandboxes))
            await self._opened.aclose()

    # -- claiming -----------------------------------------------------------------------------

    async def _run(self) -> None:
        await self._warm_up()
        pause_s = self.settings.poll_min_s
        while not self._stopping:
            self._wake.clear()
            claimed = await self._claim()
            for job in claimed:
                self._begin(job)
            if self._free and claimed:
                continue  # there may be more
            # Before the lease of a job can run out that came after the latest look.
            longest_s = min(self.settings.poll_max_s, self.settings.lease_s / 2)
            if not self.reachable:
                longest_s = min(longest_s, UNREACHABLE_POLL_S)
            pause_s = self.settings.poll_min_s if claimed else min(pause_s * 2, longest_s)
            wait_s = min(pause_s, await self._next_s()) if self._free else None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait_s)

    async def _warm_up(self) -> None:
        assert self._scratch is not None
        comparing = asyncio.create_task(asyncio.to_thread(warm_up))
        while len(self._sandboxes) < self.settings.workers:
            sandbox = ObservedSandbox(self._scratch.folder)
            await self._renew(sandbox)
            self._sandboxes.append(sandbox)
            self._free.append(sandbox)
        try:
            await comparing
        except Exception:
            # Such as a disk too full for compiled code. It only saves the first recording's time.
            log.exception("what comparing takes was not loaded")
        self.warm = True

    async def _renew(self, sandbox: Sandbox) -> None:
        """Give it a new child, however often that takes."""
        while sandbox.spent:
            try:
                await sandbox.stop()
                await sandbox.start()
            except (AnalysisCrashed, OSError) as error:
                self._start_trouble = f"an analysis child did not start: {error}"
                log.error("an analysis child did not start, trying again", error=str(error))
                await asyncio.sleep(5)
        self._start_trouble = None
        log.info("analysis child ready", **sandbox.protections.as_dict())

    async def _free_again(self, sandbox: Sandbox) -> None:
        # Before the next file and not with it: no lease runs meanwhile, and a child that does not start is
        # no fault of a recording.
        if sandbox.spent:
            await self._renew(sandbox)
        self._free.append(sandbox)
        self._wake.set()

    async def _claim(self) -> list[Job]:
        assert self._scratch is not None
        # A full disk would only fail what another worker could do.
        if not self._free or self._scratch.trouble() is not None:
            return []
        try:
            jobs = await self._queue.claim(len(self._free), lease_s=self.settings.lease_s, holding=self._held)
        except ProjectError as error:
            log.warning("the queue cannot be reached", error=str(error))
            self._queue_trouble = error.message
            return []
        except Exception:
            # An answer we do not understand must not end the loop: it may be a deploy half-way.
            log.exception("the queue gave an answer that makes no sense")
            self._queue_trouble = "it gave an answer that makes no sense"
            return []
        self._queue_trouble = None
        return jobs

    async def _next_s(self) -> float:
        """How soon a claim may find what the latest did not; endless where nothing is known of."""
        if not self.reachable:
            return math.inf
        try:
            next_s = await self._queue.next_s()
        except ProjectError as error:
            log.warning("the queue does not say when to look again", error=str(error))
            return math.inf
        # What stands there though a claim did not get it is somebody else's for a moment.
        return (
            math.inf if next_s is None else next_s + NEXT_MARGIN_S if next_s > 0 else self.settings.poll_min_s
        )

    def _begin(self, job: Job) -> None:
        assert self._scratch is not None
        sandbox = self._free.pop()
        self._held.add(job.token)
        attempt = Attempt(
            queue=self._queue,
            objects=self._objects,
            fingerprints=self._fingerprints,
            sandbox=sandbox,
            scratch=self._scratch,
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
                self._held.discard(job.token)
                if not self._stopping:
                    renewing = asyncio.create_task(self._free_again(sandbox))
                    self._renewing.add(renewing)
                    renewing.add_done_callback(self._renewing.discard)

        task = asyncio.create_task(work())
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    # -- sweeping -----------------------------------------------------------------------------

    async def _sweep(self) -> None:
        """Delete what lost its row, and look for what everybody missed."""
        loop = asyncio.get_running_loop()
        reconciled_at = -RECONCILE_EVERY_S
        while True:
            try:
                await self._remove()
                await settle(self._fingerprints)
                if loop.time() - reconciled_at >= RECONCILE_EVERY_S:
                    await self._queue.reconcile()
                    reconciled_at = loop.time()
                    await index_former(self._fingerprints, self._objects)
            except ProjectError as error:
                log.warning("sweep failed, it comes again", error=str(error))
            except Exception:
                log.exception("sweep failed unexpectedly, it comes again")
            await asyncio.sleep(self.settings.poll_max_s)

    async def _remove(self) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for bucket, names in await self._queue.pending_deletions(REMOVALS_AT_ONCE):
            if loop.time() - began_s > REMOVALS_FOR_S:
                break
            try:
                await self._objects.remove(bucket, names)
            except ProjectError as error:
                # Whatever stays is asked for again, each time later; what stands behind it must not wait.
                log.warning("objects were not removed", bucket=bucket, names=names[:5], error=str(error))
                continue
            await self._queue.confirm_deletions(bucket, names)
