"""The worker: everything that it does, started and stopped together."""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import structlog

from soundscape.errors import ProjectUnreachable
from soundscape.project.captions import Captions
from soundscape.project.client import connect, http_client
from soundscape.project.closed_accounts import ClosedAccounts
from soundscape.project.fingerprint_index import FingerprintIndex
from soundscape.project.flags import Flags
from soundscape.project.image_checks import ImageChecks
from soundscape.project.matching import load_matcher
from soundscape.project.schema import Schema
from soundscape.project.statistics import Statistics
from soundscape.sandbox.confinement import hide_environment
from soundscape.sandbox.scratch import Scratch, open_worker_folder
from soundscape.settings import Settings
from soundscape.telemetry.instrumented import ObservedFingerprintIndex, ObservedObjects, ObservedQueue
from soundscape.worker.captions import CaptionWork
from soundscape.worker.channels import open_channels
from soundscape.worker.claims import ClaimLoop
from soundscape.worker.delivery import DeliveryLoop
from soundscape.worker.exporting import keep_exporting
from soundscape.worker.fit import SchemaFit
from soundscape.worker.fitting import keep_fitting
from soundscape.worker.grok import Grok
from soundscape.worker.images import ProfileImages
from soundscape.worker.prepared import PreparedRecords
from soundscape.worker.previews import Previews
from soundscape.worker.readiness import CACHED_S, Check, LocalChecks, ProjectHealth, check_sandbox
from soundscape.worker.slots import Slots
from soundscape.worker.smtp import MailTransport
from soundscape.worker.sweep import Sweep

log = structlog.get_logger(__name__)

STOP_GRACE_S = 20.0
CLAIM_GRACE_S = 5.0


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
        self._tasks: list[asyncio.Task[None]] = []
        self._local = LocalChecks()
        self._project: ProjectHealth | None = None
        self._fit: SchemaFit | None = None
        self._claims: ClaimLoop | None = None
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
        return self._claims is not None and self._claims.problem is None

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
        checks["queue"] = _make_check("not asked yet" if self._claims is None else self._claims.problem)
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
        self._claims = ClaimLoop(
            self._queue,
            self._objects,
            self._index,
            self._slots,
            self._scratch,
            self.prepared,
            self.settings,
            wake=self._wake,
            may_work=self._may_work,
            on_finished=self._wake_followers,
        )
        self._tasks = [
            asyncio.create_task(self._run(self._slots, self._claims)),
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
        if self._claims is not None:
            self._claims.stop()
        # Nobody waits for a preview: the next worker makes it.
        if self._preview_task is not None:
            self._preview_task.cancel()
        jobs: set[asyncio.Task[None]] = set() if self._claims is None else self._claims.jobs
        try:
            if self.warmed.is_set():
                # The response to a claim must not be lost: its jobs would be held by nobody.
                await asyncio.wait(self._tasks[:1], timeout=CLAIM_GRACE_S)
            if jobs:
                await asyncio.wait(jobs, timeout=STOP_GRACE_S)
            if after is not None:
                await after
        finally:
            unfinished = (*self._tasks, *jobs, *([] if after is None else [after]))
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
            if self._slots is not None:
                await self._slots.stop()
            await self._resources.aclose()

    async def _run(self, slots: Slots, claims: ClaimLoop) -> None:
        await self._warm_up(slots)
        await claims.run()

    def _wake_followers(self) -> None:
        """A job has ended: there may be a preview to make, or a caption."""
        for follower in (self._previews, self._captions):
            if follower is not None:
                follower.wake()

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

    def _may_work(self) -> bool:
        return self._fit is not None and self._fit.may_work


def _make_check(problem: str | None) -> Check:
    return Check("ok") if problem is None else Check("failed", problem)
