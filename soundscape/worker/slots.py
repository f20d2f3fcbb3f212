"""Slots: one analysis child for each job that may run at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from soundscape.errors import AnalysisCrashed
from soundscape.sandbox.confinement import Protections
from soundscape.sandbox.parent import Sandbox
from soundscape.telemetry.instrumented import ObservedSandbox

log = structlog.get_logger(__name__)

START_RETRY_S = 5.0


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

    @property
    def free_count(self) -> int:
        """How many jobs could begin now."""
        return len(self._free)

    @property
    def protections(self) -> Protections | None:
        """The protections of the first child; None before it has started."""
        return self._sandboxes[0].protections if self._sandboxes else None

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

    def give_back(self, sandbox: Sandbox) -> None:
        """Free a slot once its child is ready for the next file."""
        task = asyncio.create_task(self._free_again(sandbox))
        self._replacing.add(task)
        task.add_done_callback(self._replacing.discard)

    async def stop(self) -> None:
        """End all children."""
        for task in self._replacing:
            task.cancel()
        await asyncio.gather(*self._replacing, return_exceptions=True)
        await asyncio.gather(*(sandbox.stop() for sandbox in self._sandboxes))

    async def _free_again(self, sandbox: Sandbox) -> None:
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
                await asyncio.sleep(START_RETRY_S)
        self._problem = None
        log.info("analysis child ready", **sandbox.protections.as_dict())
