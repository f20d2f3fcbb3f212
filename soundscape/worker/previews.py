"""Previews: made one at a time beside the analyses, by a child that stands back for everything else.

A preview costs more than an analysis and nobody waits for it. So it has a child of its own, at the lowest
priority of the system, and none is begun while an analysis waits.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from soundscape.audio.preview import VERSION
from soundscape.errors import AnalysisCrashed
from soundscape.project.objects import Objects
from soundscape.project.queue import Job, Queue
from soundscape.sandbox.results import Results
from soundscape.sandbox.scratch import Scratch
from soundscape.settings import Settings
from soundscape.telemetry import traces
from soundscape.telemetry.instrumented import ObservedSandbox
from soundscape.worker.background import BackgroundWork
from soundscape.worker.job import Attempt

log = structlog.get_logger(__name__)

NICENESS = 19
WALL_BASE_S = 600.0
"""Hours of silence are one megabyte, and the child may have to wait for others."""
WALL_PER_MEGABYTE_S = 6.0


class PreviewAttempt(Attempt):
    """Makes previews."""

    async def _work(self, job: Job, folder: Path) -> dict[str, Any]:
        path = folder / "source"
        async with self._fetched(job, path) as size_bytes:
            try:
                with path.open("rb") as source:
                    encoded = await self._sandbox.encode_preview(
                        source,
                        wall_s=WALL_BASE_S + WALL_PER_MEGABYTE_S * size_bytes / 1e6,
                        limits=self._limits,
                    )
                path.unlink()
                results = Results(encoded.record | {"analysis_version": VERSION}, encoded.folder)
                if len(results.names) != 1:
                    raise AnalysisCrashed(f"The child left {len(results.names)} files, not one preview.")
                with results.open(results.names[0]) as file:
                    preview_bytes = os.fstat(file.fileno()).st_size
                prefix = await self._store(job, results)
                return {"path": prefix + results.names[0], "size_bytes": preview_bytes}
            finally:
                self._sandbox.clear()

    async def _complete(self, job: Job, result: dict[str, Any]) -> None:
        await self._queue.complete_preview(job, path=result["path"], size_bytes=result["size_bytes"])


class Previews(BackgroundWork):
    """Claims and makes previews until it is cancelled.

    Parameters
    ----------
    queue
        With a name of its own: the worker's other claims are no concern of this one.
    objects, scratch, settings
        The worker's.
    may_work
        Whether the project's schema fits this worker.
    """

    name = "previews"

    def __init__(
        self,
        queue: Queue,
        objects: Objects,
        scratch: Scratch,
        settings: Settings,
        *,
        may_work: Callable[[], bool],
    ) -> None:
        super().__init__(interval_s=settings.poll_max_s)
        self._queue = queue
        self._objects = objects
        self._scratch = scratch
        self._settings = settings
        self._may_work = may_work
        self._sandbox = ObservedSandbox(scratch.folder, niceness=NICENESS, task="previews")

    async def rest(self) -> None:
        """End the child, which takes 220 MB. It is started again with the next preview."""
        await self._sandbox.stop()

    async def run_next(self) -> bool:
        """Make one preview. False if there is none to make. Cut short, it is re-queued.

        Raises
        ------
        ProjectError
            If the queue does not answer.
        """
        if self._scratch.find_problem() is not None or not self._may_work():
            return False
        job = await self._queue.claim_preview(lease_s=self._settings.lease_s)
        if job is None:
            return False
        await self._make(job)
        return True

    async def _make(self, job: Job) -> None:
        attempt = PreviewAttempt(
            queue=self._queue,
            objects=self._objects,
            sandbox=self._sandbox,
            scratch=self._scratch,
            limits=self._settings.limits,
            lease_s=self._settings.lease_s,
        )
        try:
            with traces.job_span(job.trace_id, job.job_id, job.audio_id, job.attempt) as span:
                span.set_attribute("event.outcome", await attempt.run(job))
        except Exception:
            # A bug of ours: the lease runs out, the attempt is counted, the loop goes on.
            log.exception("preview failed unexpectedly", **{"job.id": job.job_id})
