"""Jobs: claimed, held, ended. The SQL behind each call: supabase/migrations/*_leases.sql and beside it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any, Literal

from supabase import AsyncClient

from soundscape.errors import Refusal
from soundscape.project.client import translated
from soundscape.project.functions import Functions

Ending = Literal["refused", "dead", "queued"]
Fault = Literal["crashed", "passing", "released"]
"""Why an attempt came to nothing: the analysis died (it counts), the surroundings failed (excused, later
again), or the worker was stopped (excused, at once)."""


@dataclass(frozen=True)
class Job:
    """One claimed analysis. `token` fences every write: it is refused once somebody else holds the job."""

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


class Queue(Functions):
    """The queue as one worker sees it. Every method raises `ProjectUnreachable` or `ProjectError`."""

    def __init__(self, client: AsyncClient, *, worker: str) -> None:
        super().__init__(client)
        self._worker = worker

    async def claim(self, most: int, *, lease_s: int, holding: Collection[str] | None = None) -> list[Job]:
        """Up to `most` jobs, each ours for `lease_s` seconds.

        `holding`: the tokens of those we are at. What else we hold was in an answer that never arrived: it is
        given back, and nothing is claimed. None: nothing is said of it.
        """
        rows = await self._call(
            "claim_jobs",
            worker=self._worker,
            max_jobs=most,
            lease_s=lease_s,
            holding=None if holding is None else list(holding),
        )
        with translated("claim_jobs"):
            # By name: a newer project may answer with more than this worker knows.
            return [Job(**{field.name: row[field.name] for field in fields(Job)}) for row in rows]

    async def next_s(self) -> float | None:
        """Seconds until a lease runs out or a job is to be tried again; None: nothing is on its way."""
        found: float | None = await self._call("next_message_s")
        return found

    async def extend(self, job: Job, *, lease_s: int) -> None:
        """Heartbeat. Raises `LeaseLost`."""
        await self._call("extend_lease", job_id=job.job_id, token=job.token, lease_s=lease_s)

    async def complete(self, job: Job, result: dict[str, Any]) -> None:
        """Write the results and end the job, in one transaction. Raises `LeaseLost`."""
        await self._call("complete_job", job_id=job.job_id, token=job.token, result=result)

    async def refuse(self, job: Job, refusal: Refusal) -> None:
        """End the job with a reason its owner can read. Raises `LeaseLost`."""
        await self._call(
            "fail_job",
            job_id=job.job_id,
            token=job.token,
            kind=refusal.status,
            code=refusal.code,
            message=_sayable(str(refusal)),
        )

    async def put_back(self, job: Job, *, fault: Fault, code: str, message: str) -> Ending:
        """Let somebody try again; "dead" when the attempts are used up. Raises `LeaseLost`.

        The database chooses when: exponential backoff with full jitter, by the fault.
        """
        ending: Ending = await self._call(
            "fail_job",
            job_id=job.job_id,
            token=job.token,
            kind=fault,
            code=code,
            message=_sayable(message),
        )
        return ending

    async def reconcile(self) -> dict[str, int]:
        """Sweep; returns how many of each kind were mended."""
        found: dict[str, int] = await self._call("reconcile")
        return found

    async def stats(self) -> dict[str, Any]:
        """The queue in figures: how many jobs stand, wait and run, how old the oldest is."""
        found: dict[str, Any] = await self._call("queue_stats")
        return found

    async def pending_deletions(self, most: int = 100) -> list[tuple[str, list[str]]]:
        """Object names to delete: batches of one bucket, of one name where deleting it failed before."""
        return [
            (row["bucket_id"], row["names"])
            for row in await self._call("pending_deletions", max_objects=most)
        ]

    async def confirm_deletions(self, bucket: str, names: list[str]) -> None:
        """Those objects are gone."""
        await self._call("confirm_deletions", bucket=bucket, removed=names)


def _sayable(text: str) -> str:
    """`text` as Postgres can keep it: what a decoder quotes of a file may hold NUL or half a character."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
