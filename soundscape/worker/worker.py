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
from soundscape.project.captions import Captions
from soundscape.project.client import connect, http_client
from soundscape.project.closed_accounts import ClosedAccounts
from soundscape.project.fingerprint_index import FingerprintIndex
from soundscape.project.flags import Flags
from soundscape.project.image_checks import ImageChecks
from soundscape.project.matching import load_matcher
from soundscape.project.queue import Job
from soundscape.project.schema import Schema
from soundscape.project.statistics import Statistics
from soundscape.sandbox.confinement import hide_environment
from soundscape.sandbox.scratch import Scratch, open_worker_folder
from soundscape.settings import Settings
from soundscape.telemetry import traces
from soundscape.telemetry.instrumented import ObservedFingerprintIndex, ObservedObjects, ObservedQueue
from soundscape.worker.captions import CaptionWork
from soundscape.worker.channels import open_channels
from soundscape.worker.delivery import DeliveryLoop
from soundscape.worker.exporting import keep_exporting
from soundscape.worker.fit import SchemaFit
from soundscape.worker.fitting import keep_fitting
from soundscape.worker.grok import Grok
from soundscape.worker.images import ProfileImages
from soundscape.worker.job import AnalysisAttempt
from soundscape.worker.prepared import PreparedRecords
from soundscape.worker.previews import Previews
from soundscape.worker.readiness import CACHED_S, Check, LocalChecks, ProjectHealth, check_sandbox
from soundscape.worker.slots import Slots
from soundscape.worker.smtp import MailTransport
from soundscape.worker.sweep import Sweep

log = structlog.get_logger(__name__)

STOP_GRACE_S = 20.0
CLAIM_GRACE_S = 5.0
NEXT_MARGIN_S = 0.05
MAX_UNREACHABLE_POLL_S = 1.5
"""A queue that does not answer is polled at least this often: leases may run out meanwhile."""


class Worker:
    """Claims jobs and runs each in a slot of its own; a slot is a pre-warmed child process.

    Mails go to `mail_transport`, or else to the mail server of the settings.
    """

    def __init__(self, settings: Settings, *, mail_transport: MailTransport | None = None) -> None:
        self.settings = settings
        self._deliveries = DeliveryLoop(
            open_channels(settings, mail_transport), interval_s=settings.poll_max_s
        )
        self.name = f"{platform.node()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._wake = asyncio.Event()
        self._stopping = False
        self._resources = AsyncExitStack()
        self._jobs: set[asyncio.Task[None]] = set()
        self._held_tokens: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._local = LocalChecks()
        self._project: ProjectHealth | None = None
        self._fit: SchemaFit | None = None
        self._queue_problem: str | None = "not asked yet"
        self._scratch: Scratch | None = None
        self._slots: Slots | None = None
        self._previews: Previews | None = None
        self._preview_task: asyncio.Task[None] | None = None
        self._sweep: Sweep | None = None
        self._images: ProfileImages | None = None
        self._captions: CaptionWork | None = None
        self.warmed = asyncio.Event()
        self.prepared = PreparedRecords()

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

    async def run_checks(self, *, max_age_s: float = CACHED_S) -> dict[str, Check]:
        """What readiness checks, by name. docs/worker.md has the list.

        Parameters
        ----------
        max_age_s
            How old an answer of the project may be, in seconds.
        """
        checks = {} if self._project is None else await self._project.run_checks(max_age_s=max_age_s)
        if self._fit is not None:
            checks["schema"] = self._fit.make_check()
        checks["queue"] = _make_check(self._queue_problem)
        checks["disk"] = _make_check(
            "no folder yet" if self._scratch is None else self._scratch.find_problem()
        )
        checks["models"] = await asyncio.to_thread(self._local.check_models)
        checks["analysis"] = _make_check(self._find_analysis_problem())
        checks |= self._deliveries.run_checks()
        if self._slots is not None and self._slots.protections is not None:
            checks["sandbox"] = check_sandbox(self._slots.protections)
        if self._slots is not None and self._slots.code is not None:
            checks["code"] = self._local.check_code(self._slots.code)
        return checks

    def _find_analysis_problem(self) -> str | None:
        if self._stopping:
            return "the worker is stopping"
        if self._tasks and self._tasks[0].done():
            return "the claim loop has ended"
        return "the worker has not started" if self._slots is None else self._slots.find_problem()

    def wake(self) -> None:
        """Look at the queue now, and for objects to check, rename and delete."""
        self._wake.set()
        self._deliveries.wake()
        if self._images is not None:
            self._images.wake()
        if self._sweep is not None:
            self._sweep.wake()

    async def read_queue_stats(self) -> dict[str, Any]:
        """The queue in figures, as `queue_stats()` answers. Raises `ProjectUnreachable` or `ProjectError`."""
        if not self._tasks:
            raise ProjectUnreachable("The worker has not started.")
        return await self._queue.read_stats()

    async def read_project_stats(self) -> dict[str, Any]:
        """The project in figures, as `project_stats()` answers. Raises as `read_queue_stats`."""
        if not self._tasks:
            raise ProjectUnreachable("The worker has not started.")
        return await self._statistics.read_project(days=1)

    @property
    def fingerprint_index(self) -> FingerprintIndex:
        """The project's index. Raises `ProjectUnreachable` before `start`."""
        if not self._tasks:
            raise ProjectUnreachable("The worker has not started.")
        return self._index

    @property
    def flags(self) -> Flags:
        """The project's feature flags. Raises `ProjectUnreachable` before `start`."""
        if not self._tasks:
            raise ProjectUnreachable("The worker has not started.")
        return self._flags

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
        self._slots = Slots(folder, count=self.settings.workers, on_free=self._wake.set)
        client, http = await self._resources.enter_async_context(
            connect(self.settings.supabase_url, self.settings.secret_key)
        )
        self._queue = ObservedQueue(client, worker=self.name)
        self._objects = ObservedObjects(client, http)
        self._index = ObservedFingerprintIndex(client)
        self._project = ProjectHealth(client)
        self._fit = fit = SchemaFit(Schema(client), self.name, on_fit=self.wake)
        self._statistics = Statistics(client)
        self._flags = Flags(client)
        self._sweep = Sweep(
            self._queue,
            self._objects,
            self._index,
            ClosedAccounts(client),
            self._statistics,
            interval_s=self.settings.poll_max_s,
        )
        self._images = ProfileImages(
            ImageChecks(client),
            self._objects,
            folder,
            interval_s=self.settings.poll_max_s,
            on_refused=self._sweep.wake,
        )
        self._tasks = [
            asyncio.create_task(self._run(self._slots, self._scratch)),
            asyncio.create_task(fit.run()),
            asyncio.create_task(self._sweep.run()),
            asyncio.create_task(keep_exporting(self.settings, folder)),
            asyncio.create_task(self._deliveries.run(self.settings)),
        ]
        previews = ObservedQueue(client, worker=f"{self.name}-previews")
        self._previews = Previews(
            previews, self._objects, self._scratch, self.settings, may_work=self._may_work
        )
        self._preview_task = asyncio.create_task(self._make_previews(self._previews))
        self._tasks.append(self._preview_task)
        self._tasks.append(asyncio.create_task(self._check_images(self._images)))
        if self.settings.grok_api_key is not None:
            grok = Grok(
                await self._resources.enter_async_context(http_client()),
                url=self.settings.grok_url,
                key=self.settings.grok_api_key,
                model=self.settings.grok_model,
            )
            self._captions = CaptionWork(
                Captions(client), self._objects, grok, self.settings, may_work=self._may_work
            )
            self._tasks.append(asyncio.create_task(self._captions.run()))
        if self.settings.recommend_every_h is not None:
            self._tasks.append(asyncio.create_task(keep_fitting(self.settings, folder)))

    async def watch(self, ended: asyncio.Event) -> None:
        """Wait until `ended` is set. Raises `ServingError` if the analysis cannot be started."""
        assert self._slots is not None
        waiting: asyncio.Future[Any] = asyncio.ensure_future(ended.wait())
        try:
            await asyncio.wait({waiting, self._slots.hopeless}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._slots.hopeless.done():
            self._slots.hopeless.result()

    async def stop(self, *, after: asyncio.Task[None] | None = None) -> None:
        """Claim no more, let running jobs finish within the grace time, end the children.

        A job that is cut short is re-queued. A second call does nothing.

        Parameters
        ----------
        after
            What else uses the scratch folder and the project: they are given up only after it.
        """
        if self._stopping:
            return
        self._stopping = True
        self._wake.set()
        # Nobody waits for a preview: the next worker makes it.
        if self._preview_task is not None:
            self._preview_task.cancel()
        try:
            if self.warmed.is_set():
                # The response to a claim must not be lost: its jobs would be held by nobody.
                await asyncio.wait(self._tasks[:1], timeout=CLAIM_GRACE_S)
            if self._jobs:
                await asyncio.wait(self._jobs, timeout=STOP_GRACE_S)
            if after is not None:
                await after
        finally:
            unfinished = (*self._tasks, *self._jobs, *([] if after is None else [after]))
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
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def _make_previews(self, previews: Previews) -> None:
        await self.warmed.wait()
        await previews.run()

    async def _check_images(self, images: ProfileImages) -> None:
        await self.warmed.wait()
        await images.run()

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
        if not slots.free_count or scratch.find_problem() is not None or not self._may_work():
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

    def _may_work(self) -> bool:
        return self._fit is not None and self._fit.may_work

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
        attempt = AnalysisAttempt(
            queue=self._queue,
            objects=self._objects,
            index=self._index,
            prepared=self.prepared,
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
                for behind in (self._previews, self._captions):
                    if behind is not None:
                        behind.wake()
                if not self._stopping:
                    slots.release(sandbox)

        task = asyncio.create_task(work())
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)


def _make_check(problem: str | None) -> Check:
    return Check("ok") if problem is None else Check("failed", problem)
