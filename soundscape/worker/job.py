"""One job, from claim to end: fetch, analyse, store, complete. `previews` has the jobs that make previews."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from soundscape.audio.limits import Limits
from soundscape.errors import AnalysisCrashed, DataRefused, LeaseLost, ProjectError, Refusal
from soundscape.project.fingerprint_index import FingerprintIndex
from soundscape.project.objects import AUDIO_BUCKET, WAVEFORM_BUCKET, Objects, ObjectVersion
from soundscape.project.queue import Fault, Job, Queue
from soundscape.sandbox.parent import Sandbox
from soundscape.sandbox.results import CONTENT_TYPES, Results, add_prefix
from soundscape.sandbox.scratch import Scratch
from soundscape.worker.duplicates import compare_simultaneous, find_claims
from soundscape.worker.prepared import PreparedRecords
from soundscape.worker.progress import ProgressReport

log = structlog.get_logger(__name__)

WALL_BASE_S = 180.0
"""Hours of silence are one megabyte."""
WALL_PER_MEGABYTE_S = 1.5
RELEASE_TIMEOUT_S = 3.0
MAX_UPLOADS = 8
HEARTBEAT_RETRY_S = 1.5


class Attempt(ABC):
    """Runs claimed jobs of one kind in one sandbox."""

    def __init__(
        self,
        *,
        queue: Queue,
        objects: Objects,
        sandbox: Sandbox,
        scratch: Scratch,
        limits: Limits,
        lease_s: int,
    ) -> None:
        self._queue = queue
        self._objects = objects
        self._sandbox = sandbox
        self._scratch = scratch
        self._limits = limits
        self._lease_s = lease_s

    async def run(self, job: Job) -> str:
        """Run a job.

        If it is cancelled, it re-queues the job first: another worker need not wait for the lease.

        Returns
        -------
        str
            How it ended: succeeded, refused, queued, dead, lost or unsaid. "unsaid" means that the project
            could not be reached; the lease runs out and another worker tries again.
        """
        with structlog.contextvars.bound_contextvars(
            **{"trace.id": job.trace_id, "job.id": job.job_id, "audio.id": job.audio_id}
        ):
            try:
                outcome = await self._attempt(job)
            except LeaseLost:
                outcome = "lost"
            except ProjectError as error:
                log.warning("the end of the job could not be reported", error=str(error))
                outcome = "unsaid"
            except asyncio.CancelledError:
                await self._release(job)
                raise
            log.info("job ended", **{"event.outcome": outcome, "job.attempt": job.attempt})
            return outcome

    async def _attempt(self, job: Job) -> str:
        try:
            result = await self._work_under_lease(job)
            # The heartbeat has stopped: it would take our own end of the job for a lost lease.
            await self._complete(job, result)
        except Refusal as refusal:
            await self._queue.refuse(job, refusal)
            return "refused"
        except LeaseLost:
            raise
        except (AnalysisCrashed, DataRefused) as error:
            return await self._put_back(job, "crashed", error.code, str(error))
        except ProjectError as error:
            return await self._put_back(job, "passing", error.code, str(error))
        except OSError as error:
            # For example a full disk, or a deleted scratch folder: another worker may do better.
            log.warning("the file could not be stored on disk", error=str(error))
            return await self._put_back(
                job, "passing", "worker_disk", f"The worker could not store the file: {error.strerror}."
            )
        return "succeeded"

    @abstractmethod
    async def _work(self, job: Job, folder: Path) -> dict[str, Any]:
        """Do the work. Returns what `_complete` takes. `folder` is removed afterwards."""

    @abstractmethod
    async def _complete(self, job: Job, result: dict[str, Any]) -> None:
        """Write the results and end the job."""

    async def _put_back(self, job: Job, fault: Fault, code: str, message: str) -> str:
        log.warning("attempt failed", code=code, error=message)
        return await self._queue.put_back(job, fault=fault, code=code, message=message)

    async def _release(self, job: Job) -> None:
        try:
            async with asyncio.timeout(RELEASE_TIMEOUT_S):
                await self._queue.put_back(
                    job,
                    fault="released",
                    code="worker_stopped",
                    message="The worker was stopped. The recording is analysed again.",
                )
        except (ProjectError, TimeoutError) as error:
            log.warning("the job could not be re-queued, its lease must run out", error=str(error))

    async def _work_under_lease(self, job: Job) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="job-", dir=self._scratch.folder) as folder:
            heartbeat = asyncio.create_task(self._heartbeat(job))
            work = asyncio.create_task(self._work(job, Path(folder)))
            try:
                await asyncio.wait({heartbeat, work}, return_when=asyncio.FIRST_COMPLETED)
                if not work.done():
                    await heartbeat  # raises: the lease is lost
                return await work
            finally:
                # Both must have ended before the folder is removed, whatever either of them raised.
                heartbeat.cancel()
                work.cancel()
                await asyncio.gather(heartbeat, work, return_exceptions=True)

    @asynccontextmanager
    async def _fetched(self, job: Job, path: Path) -> AsyncIterator[int]:
        """Fetch the recording to `path`, in room that is reserved on the disk. Yields its size in bytes."""
        max_bytes = self._limits.max_size_bytes
        # No more is written than was reserved.
        async with self._scratch.reserve(min(job.size_bytes or max_bytes, max_bytes)):
            with path.open("wb") as source:
                size_bytes = await self._objects.fetch(
                    AUDIO_BUCKET,
                    job.object_name,
                    source,
                    max_bytes=max_bytes,
                    expected=ObjectVersion(job.object_version, job.size_bytes, job.object_etag),
                )
            yield size_bytes

    async def _store(self, job: Job, results: Results) -> str:
        """Store the files that the child left. Returns what their names begin with."""
        # No name is used twice: a late upload or removal cannot touch the current files.
        prefix = f"{job.audio_id}/{results.version}/{job.object_version}/{job.job_id}-{job.attempt}/"
        gate = asyncio.Semaphore(MAX_UPLOADS)

        async def store(name: str) -> None:
            async with gate:
                with results.open(name) as file:
                    await self._objects.store(
                        WAVEFORM_BUCKET, prefix + name, file, content_type=CONTENT_TYPES[Path(name).suffix]
                    )

        errors = await asyncio.gather(*map(store, results.names), return_exceptions=True)
        for error in errors:
            if error is not None:
                raise error
        return prefix

    async def _heartbeat(self, job: Job) -> None:
        """Extend the lease until cancelled. Retries after a passing failure. Raises `LeaseLost`."""
        pause_s = self._lease_s / 3
        while True:
            await asyncio.sleep(pause_s)
            pause_s = self._lease_s / 3
            try:
                # A stalled call must leave time for a retry before the lease ends.
                async with asyncio.timeout(self._lease_s / 3):
                    await self._queue.extend(job, lease_s=self._lease_s)
            except LeaseLost:
                raise
            except (ProjectError, TimeoutError) as error:
                log.warning("heartbeat failed", error=str(error) or "no answer in time")
                pause_s = min(pause_s, HEARTBEAT_RETRY_S)


class AnalysisAttempt(Attempt):
    """Analyses recordings."""

    def __init__(
        self, *, index: FingerprintIndex, prepared: PreparedRecords | None = None, **named: Any
    ) -> None:
        super().__init__(**named)
        self._index = index
        self._prepared = prepared or PreparedRecords()

    async def _work(self, job: Job, folder: Path) -> dict[str, Any]:
        progress = ProgressReport(self._queue, job)
        reporting = asyncio.create_task(progress.run())
        try:
            return await self._analyze(job, folder, progress)
        finally:
            reporting.cancel()
            await asyncio.gather(reporting, return_exceptions=True)

    async def _analyze(self, job: Job, folder: Path, progress: ProgressReport) -> dict[str, Any]:
        path = folder / "source"
        async with self._fetched(job, path) as size_bytes:
            progress.begin("analyzing")
            prepared = await asyncio.to_thread(self._prepared.take, path)
            try:
                if prepared is not None:
                    return await self._use(job, prepared.record, prepared.folder, progress)
                # The child gets a read-only descriptor and no name.
                with path.open("rb") as source:
                    analysis = await self._sandbox.analyze(
                        source,
                        wall_s=WALL_BASE_S + WALL_PER_MEGABYTE_S * size_bytes / 1e6,
                        limits=self._limits,
                        progress=progress.advance,
                    )
                path.unlink()
                return await self._use(job, analysis.record, analysis.folder, progress)
            finally:
                if prepared is not None:
                    await asyncio.to_thread(shutil.rmtree, prepared.folder, ignore_errors=True)
                self._sandbox.clear()

    async def _use(
        self, job: Job, record: dict[str, Any], folder: Path, progress: ProgressReport
    ) -> dict[str, Any]:
        """Store the files of a record, and look for recordings of the same sound."""
        progress.begin("storing")
        results = Results(record, folder)
        stored = add_prefix(record, await self._store(job, results))
        fingerprint = results.read_fingerprint(record)
        if fingerprint is not None:
            stored |= await find_claims(self._index, fingerprint, job.audio_id)
        return stored

    async def _complete(self, job: Job, result: dict[str, Any]) -> None:
        await self._queue.complete(job, result)
        if "index" in result:
            await self._compare_simultaneous()

    async def _compare_simultaneous(self) -> None:
        try:
            await compare_simultaneous(self._index)
        except ProjectError as error:
            log.warning("recordings of the same moment are left for the sweep to compare", error=str(error))
