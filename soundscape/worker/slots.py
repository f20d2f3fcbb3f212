"""Slots: one analysis child for each job that may run at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from soundscape.errors import AnalysisCrashed, ServingError
from soundscape.sandbox.confinement import Protections
from soundscape.sandbox.parent import Sandbox
from soundscape.sandbox.protocol import CompiledCode
from soundscape.telemetry.instrumented import ObservedSandbox

log = structlog.get_logger(__name__)

START_RETRY_S = 5.0
MAX_FIRST_STARTS = 3
"""Starts that may fail before the first child runs: an installation that cannot analyse never will."""
MAX_RESTARTS = 60
"""Starts in a row that may fail later, in five minutes: memory or processes may be short for a while."""


class Slots:
    """Starts the children, lends them to jobs, and replaces those that ended.

    Parameters
    ----------
    folder
        Where children keep their files.
    count
        How many children there are.
    on_free
        Called whenever a slot becomes free.
    """

    def __init__(self, folder: Path, *, count: int, on_free: Callable[[], None]) -> None:
        self._folder = folder
        self._count = count
        self._on_free = on_free
        self._sandboxes: list[Sandbox] = []
        self._free: list[Sandbox] = []
        self._replacing: set[asyncio.Task[None]] = set()
        self._problem: str | None = "the analysis children are warming up"
        self._failed_starts = 0
        self.hopeless: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Raises `ServingError` (`analysis_cannot_start`) once children have failed to start too often."""

    @property
    def free_count(self) -> int:
        """How many jobs could begin now."""
        return len(self._free)

    @property
    def protections(self) -> Protections | None:
        """The protections of the first child; None before it has started."""
        return self._sandboxes[0].protections if self._sandboxes else None

    @property
    def code(self) -> CompiledCode | None:
        """What the first child loaded and compiled when it started; None before."""
        return self._sandboxes[0].code if self._sandboxes else None

    def find_problem(self) -> str | None:
        """Why no job can run; None if one can. A child that is being replaced as usual is no problem."""
        if all(sandbox.needs_new_child for sandbox in self._sandboxes):
            return self._problem
        return None

    async def fill(self) -> None:
        """Start all children, one after the other."""
        while len(self._sandboxes) < self._count:
            sandbox = ObservedSandbox(self._folder)
            await self._start_child(sandbox)
            self._sandboxes.append(sandbox)
            self._free.append(sandbox)

    def take(self) -> Sandbox:
        """Take a free slot. There must be one."""
        return self._free.pop()

    def release(self, sandbox: Sandbox) -> None:
        """Free a slot once its child is ready for the next file."""
        task = asyncio.create_task(self._free_slot(sandbox))
        self._replacing.add(task)
        task.add_done_callback(self._replacing.discard)

    async def stop(self) -> None:
        """End all children."""
        for task in self._replacing:
            task.cancel()
        await asyncio.gather(*self._replacing, return_exceptions=True)
        await asyncio.gather(*(sandbox.stop() for sandbox in self._sandboxes))

    async def _free_slot(self, sandbox: Sandbox) -> None:
        # The child is replaced before the next job is claimed: no lease runs meanwhile, and a child that
        # does not start costs no recording an attempt.
        if sandbox.needs_new_child:
            await self._start_child(sandbox)
        self._free.append(sandbox)
        self._on_free()

    async def _start_child(self, sandbox: Sandbox) -> None:
        """Start a new child, and retry until it runs."""
        while sandbox.needs_new_child:
            try:
                await sandbox.stop()
                await sandbox.start()
            except (AnalysisCrashed, OSError) as error:
                self._problem = f"an analysis child did not start: {error}"
                log.error("an analysis child did not start, retrying", error=str(error))
                self._count_failed_start(error)
                await asyncio.sleep(START_RETRY_S)
        self._problem = None
        self._failed_starts = 0
        log.info("analysis child ready", **sandbox.protections.as_dict())

    def _count_failed_start(self, error: Exception) -> None:
        self._failed_starts += 1
        limit = MAX_RESTARTS if self._sandboxes else MAX_FIRST_STARTS
        if self._failed_starts == limit and not self.hopeless.done():
            self.hopeless.set_exception(
                ServingError(
                    f"The analysis did not start in {limit} attempts: {error}",
                    code="analysis_cannot_start",
                    remedy="`soundscape analyze FILE` as the same user shows why. Then start it again.",
                )
            )
