"""The queue: jobs are claimed, held and ended. The SQL behind each call: supabase/migrations/*_leases.sql."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any, Literal

from supabase import AsyncClient

from soundscape.errors import Refusal
from soundscape.project.client import translate_errors
from soundscape.project.functions import Functions

Ending = Literal["refused", "dead", "queued"]
Fault = Literal["crashed", "passing", "released"]
"""Why an attempt failed: the analysis died (the attempt counts), the environment failed (it does not count
and is retried later), or the worker was stopped (it does not count and is retried at once)."""


@dataclass(frozen=True)
class Job:
    """One claimed analysis. `token` fences its writes: they fail once another worker holds the job."""

    job_id: int
    token: str
    trace_id: str
    attempt: int
    audio_id: str
    user_id: str
    object_name: str
    object_version: str
    size_bytes: int | None
    content_type: str | None
    object_etag: str | None = None


@dataclass(frozen=True)
class Rename:
    """A name that a recording is to leave: of its file, or of the folder of its pictures."""

    rename_id: int
    attempt: int
    audio_id: str
    bucket_id: str
    name: str
    new_name: str
    objects: list[str]
    """The objects to move (the file) or to copy (pictures)."""


class Queue(Functions):
    """The queue as one worker sees it. Every method raises `ProjectUnreachable` or `ProjectError`."""

    def __init__(self, client: AsyncClient, *, worker: str) -> None:
        super().__init__(client)
        self._worker = worker

    async def claim(
        self, limit: int, *, lease_s: int, held_tokens: Collection[str] | None = None
    ) -> list[Job]:
        """Claim jobs.

        Parameters
        ----------
        limit
            How many jobs to claim at most.
        lease_s
            How long they are ours, in seconds.
        held_tokens
            Tokens of the jobs that this worker runs. If it holds others, the response to their claim was
            lost. They are re-queued, and nothing is claimed. None: leave out this check.
        """
        rows = await self._call(
            "claim_jobs",
            worker=self._worker,
            max_jobs=limit,
            lease_s=lease_s,
            holding=None if held_tokens is None else list(held_tokens),
        )
        with translate_errors("claim_jobs"):
            # By name: a newer project may return columns that this worker does not know.
            return [Job(**{field.name: row[field.name] for field in fields(Job)}) for row in rows]

    async def next_s(self) -> float | None:
        """Seconds until a lease runs out or a job is due for a retry; None if there is neither."""
        found: float | None = await self._call("next_message_s")
        return found

    async def extend(self, job: Job, *, lease_s: int) -> None:
        """Extend the lease (heartbeat). Raises `LeaseLost`."""
        await self._call("extend_lease", job_id=job.job_id, token=job.token, lease_s=lease_s)

    async def report_progress(self, job: Job, *, stage: str, share: float) -> None:
        """Tell who watches the recording how far its job is. Raises `LeaseLost`."""
        await self._call("report_progress", job_id=job.job_id, token=job.token, stage=stage, progress=share)

    async def complete(self, job: Job, result: dict[str, Any]) -> None:
        """Write the results and end the job, in one transaction. Raises `LeaseLost`."""
        await self._call("complete_job", job_id=job.job_id, token=job.token, result=result)

    async def claim_preview(self, *, lease_s: int) -> Job | None:
        """Claim a job that makes a preview. None while analyses wait, or no preview does.

        This worker may hold one at a time. If it holds another, the response to its claim was lost.
        """
        rows = await self._call("claim_previews", worker=self._worker, max_jobs=1, lease_s=lease_s)
        with translate_errors("claim_previews"):
            jobs = [Job(**{field.name: row[field.name] for field in fields(Job)}) for row in rows]
        return jobs[0] if jobs else None

    async def complete_preview(self, job: Job, *, path: str, size_bytes: int) -> None:
        """Publish the preview and end the job, in one transaction. Raises `LeaseLost`."""
        await self._call(
            "complete_preview", job_id=job.job_id, token=job.token, path=path, size_bytes=size_bytes
        )

    async def refuse(self, job: Job, refusal: Refusal) -> Ending:
        """End the job with a reason for the owner of the recording. Raises `LeaseLost`."""
        return await self._fail(job, kind=refusal.status, code=refusal.code, message=str(refusal))

    async def put_back(self, job: Job, *, fault: Fault, code: str, message: str) -> Ending:
        """Re-queue the job; "dead" if no attempts are left. Raises `LeaseLost`.

        The database chooses the time of the retry: exponential backoff with full jitter, by the fault.
        """
        return await self._fail(job, kind=fault, code=code, message=message)

    async def _fail(self, job: Job, *, kind: str, code: str, message: str) -> Ending:
        ending: Ending = await self._call(
            "fail_job",
            job_id=job.job_id,
            token=job.token,
            kind=kind,
            code=code,
            message=_make_storable(message),
        )
        return ending

    async def reconcile(self) -> dict[str, int]:
        """Re-queue and repair what was missed. Returns how many of each kind."""
        found: dict[str, int] = await self._call("reconcile")
        return found

    async def read_stats(self) -> dict[str, Any]:
        """Read the queue's figures: how many jobs wait and run, and the age of the oldest."""
        found: dict[str, Any] = await self._call("queue_stats")
        return found

    async def list_deletions(self, limit: int = 100) -> list[tuple[str, list[str]]]:
        """List objects to delete, in batches of one bucket. A name that failed before is alone."""
        return [
            (row["bucket_id"], row["names"])
            for row in await self._call("pending_deletions", max_objects=limit)
        ]

    async def confirm_deletions(self, bucket: str, names: list[str]) -> None:
        """Note that these objects are deleted."""
        await self._call("confirm_deletions", bucket=bucket, removed=names)

    async def list_renames(self, limit: int) -> list[Rename]:
        """Take names that recordings are to leave."""
        rows = await self._call("pending_renames", max_renames=limit)
        with translate_errors("pending_renames"):
            return [Rename(**{field.name: row[field.name] for field in fields(Rename)}) for row in rows]

    async def complete_rename(self, rename: Rename) -> bool:
        """Note that the pictures were copied. False if the recording has other results by now."""
        renamed: bool = await self._call(
            "complete_rename",
            rename_id=rename.rename_id,
            attempt=rename.attempt,
            new_name=rename.new_name,
        )
        return renamed


def _make_storable(text: str) -> str:
    """`text` without what Postgres cannot store: a decoder may quote NUL or half a character of a file."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
