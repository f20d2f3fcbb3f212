"""One job, from claim to end: fetch, analyse, store, complete."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import structlog

from soundscape.audio.limits import Limits
from soundscape.errors import AnalysisCrashed, DataRefused, LeaseLost, ProjectError, Refusal
from soundscape.project.fingerprint_index import FingerprintIndex
from soundscape.project.objects import AUDIO_BUCKET, WAVEFORM_BUCKET, Objects, ObjectVersion
from soundscape.project.queue import Fault, Job, Queue
from soundscape.sandbox.parent import Sandbox
from soundscape.sandbox.protocol import Analysis
from soundscape.sandbox.results import CONTENT_TYPES, Results, add_prefix
from soundscape.sandbox.scratch import Scratch
from soundscape.worker.duplicates import compare_simultaneous, find_claims

log = structlog.get_logger(__name__)

WALL_BASE_S = 180.0
"""Hours of silence are one megabyte."""
WALL_PER_MEGABYTE_S = 1.5
RELEASE_TIMEOUT_S = 3.0
MAX_UPLOADS = 8
HEARTBEAT_RETRY_S = 1.5


class Attempt:
    """Runs claimed jobs in one sandbox."""

    def __init__(
        self,
        *,
        queue: Queue,
        objects: Objects,
        index: FingerprintIndex,
        sandbox: Sandbox,
        scratch: Scratch,
        limits: Limits,
        lease_s: int,
    ) -> None:
        self._queue = queue
        self._objects = objects
        self._index = index
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
            record = await self._analyze(job)
            # The heartbeat has stopped: it would take our own end of the job for a lost lease.
            await self._queue.complete(job, record)
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
        if "index" in record:
            await self._compare_simultaneous()
        return "succeeded"

    async def _compare_simultaneous(self) -> None:
        try:
            await compare_simultaneous(self._index)
        except ProjectError as error:
            log.warning("recordings of the same moment are left for the sweep to compare", error=str(error))

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

    async def _analyze(self, job: Job) -> dict[str, Any]:
        """Analyse the recording and store its files. Returns what `complete` takes."""
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

    async def _work(self, job: Job, folder: Path) -> dict[str, Any]:
        max_bytes = self._limits.max_size_bytes
        # No more is written than was reserved.
        async with self._scratch.reserve(min(job.size_bytes or max_bytes, max_bytes)):
            path = folder / "source"
            with path.open("wb") as source:
                size_bytes = await self._objects.fetch(
                    AUDIO_BUCKET,
                    job.object_name,
                    source,
                    max_bytes=max_bytes,
                    expected=ObjectVersion(job.object_version, job.size_bytes, job.object_etag),
                )
            try:
                # The child gets a read-only descriptor and no name.
                with path.open("rb") as source:
                    analysis = await self._sandbox.analyze(
                        source,
                        wall_s=WALL_BASE_S + WALL_PER_MEGABYTE_S * size_bytes / 1e6,
                        limits=self._limits,
                    )
                path.unlink()
                return await self._store(job, analysis)
            finally:
                self._sandbox.clear()

    async def _store(self, job: Job, analysis: Analysis) -> dict[str, Any]:
        # No name is used twice: a late upload or removal cannot touch the current files.
        results = Results(analysis.record, analysis.folder)
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
        record = add_prefix(analysis.record, prefix)
        fingerprint = results.read_fingerprint(analysis.record)
        if fingerprint is not None:
            record |= await find_claims(self._index, fingerprint, job.audio_id)
        return record

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
