"""One job, from claim to end: fetch, analyse, store, complete."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import structlog

from soundscape.audio.limits import Limits
from soundscape.errors import AnalysisCrashed, DataRefused, LeaseLost, ProjectError, Refusal
from soundscape.project.fingerprints import Fingerprints
from soundscape.project.objects import AUDIO_BUCKET, WAVEFORM_BUCKET, Objects
from soundscape.project.queue import Fault, Job, Queue
from soundscape.sandbox.parent import Sandbox
from soundscape.sandbox.protocol import Analysis
from soundscape.sandbox.scratch import Scratch
from soundscape.worker.duplicates import fingerprint_of, recognised, settle
from soundscape.worker.results import CONTENT_TYPES, Results, placed

log = structlog.get_logger(__name__)

# Hours of silence are a megabyte.
WALL_BASE_S = 180.0
WALL_PER_MEGABYTE_S = 1.5
RELEASE_TIMEOUT_S = 3.0
STORED_AT_ONCE = 8
HEARTBEAT_AGAIN_S = 1.5


class Attempt:
    """Works on claimed jobs with one sandbox."""

    def __init__(
        self,
        *,
        queue: Queue,
        objects: Objects,
        fingerprints: Fingerprints,
        sandbox: Sandbox,
        scratch: Scratch,
        limits: Limits,
        lease_s: int,
    ) -> None:
        self._queue = queue
        self._objects = objects
        self._fingerprints = fingerprints
        self._sandbox = sandbox
        self._scratch = scratch
        self._limits = limits
        self._lease_s = lease_s

    async def run(self, job: Job) -> str:
        """Do the job and return how it ended: succeeded, refused, queued, dead, lost, or unsaid.

        "unsaid": the project could not be told; the lease runs out and somebody tries again. Cancelled, it
        gives the job back first, so that another worker need not wait for the lease.
        """
        with structlog.contextvars.bound_contextvars(
            **{"trace.id": job.trace_id, "job.id": job.job_id, "audio.id": job.audio_id}
        ):
            try:
                outcome = await self._attempt(job)
            except LeaseLost:
                outcome = "lost"
            except ProjectError as error:
                log.warning("the project could not be told how the job ended", error=str(error))
                outcome = "unsaid"
            except asyncio.CancelledError:
                await self._release(job)
                raise
            log.info("job ended", **{"event.outcome": outcome, "job.attempt": job.attempt})
            return outcome

    async def _attempt(self, job: Job) -> str:
        try:
            record = await self._analyze(job)
            # The heart has stopped: it would find our own ending of the job, and take it for another's.
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
            # A full disk, a scratch folder that is gone: another worker may do better.
            told = f"The worker could not keep the file: {error}"
            return await self._put_back(job, "passing", "worker_disk", told)
        if "index" in record:
            await self._settle()
        return "succeeded"

    async def _settle(self) -> None:
        try:
            await settle(self._fingerprints)
        except ProjectError as error:
            log.warning("what was analysed meanwhile is compared by the sweep", error=str(error))

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
                    message="The worker was stopped. It is tried again.",
                )
        except (ProjectError, TimeoutError) as error:
            log.warning("the job could not be given back, its lease must run out", error=str(error))

    async def _analyze(self, job: Job) -> dict[str, Any]:
        """What `complete` takes; everything it names is stored."""
        with tempfile.TemporaryDirectory(prefix="job-", dir=self._scratch.folder) as folder:
            heart = asyncio.create_task(self._heartbeat(job))
            work = asyncio.create_task(self._work(job, Path(folder)))
            try:
                await asyncio.wait({heart, work}, return_when=asyncio.FIRST_COMPLETED)
                if not work.done():
                    await heart  # raises: the lease is lost, so the work is nobody's
                return await work
            finally:
                # Both have let go of the folder before it is removed, whatever either of them raised.
                heart.cancel()
                work.cancel()
                await asyncio.gather(heart, work, return_exceptions=True)

    async def _work(self, job: Job, folder: Path) -> dict[str, Any]:
        most_bytes = self._limits.max_size_bytes
        # No more is written than was reserved.
        async with self._scratch.reserved(min(job.size_bytes or most_bytes, most_bytes)):
            path = folder / "source"
            with path.open("wb") as source:
                size_bytes = await self._objects.fetch(
                    AUDIO_BUCKET,
                    job.object_name,
                    source,
                    max_bytes=most_bytes,
                    expected_bytes=job.size_bytes or None,
                )
            try:
                # Only to read, and by descriptor: the child is told no name.
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
        # No name is used twice: a late writer cannot overwrite what is shown, nor a late removal delete it.
        results = Results(analysis.record, analysis.folder)
        prefix = f"{job.audio_id}/{results.version}/{job.object_version}/{job.job_id}-{job.attempt}/"
        gate = asyncio.Semaphore(STORED_AT_ONCE)

        async def store(name: str) -> None:
            async with gate:
                with results.open(name) as file:
                    await self._objects.store(
                        WAVEFORM_BUCKET, prefix + name, file, content_type=CONTENT_TYPES[Path(name).suffix]
                    )

        stored = await asyncio.gather(*map(store, results.names), return_exceptions=True)
        for outcome in stored:
            if outcome is not None:
                raise outcome
        record = placed(analysis.record, prefix)
        heard = fingerprint_of(analysis.record, results)
        if heard is not None:
            record |= await recognised(self._fingerprints, heard, job.audio_id)
        return record

    async def _heartbeat(self, job: Job) -> None:
        """Extend the lease until cancelled. Raises `LeaseLost`; a passing failure is tried again."""
        pause_s = self._lease_s / 3
        while True:
            await asyncio.sleep(pause_s)
            pause_s = self._lease_s / 3
            try:
                # A stalled call must leave time for another one before the lease ends.
                async with asyncio.timeout(self._lease_s / 3):
                    await self._queue.extend(job, lease_s=self._lease_s)
            except LeaseLost:
                raise
            except (ProjectError, TimeoutError) as error:
                log.warning("heartbeat failed", error=str(error) or "no answer in time")
                pause_s = min(pause_s, HEARTBEAT_AGAIN_S)
