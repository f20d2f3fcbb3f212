"""The queue as an operator sees it. The SQL behind each call: supabase/migrations/*_operator.sql."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from soundscape.project.functions import Functions

STATES = ("queued", "running", "succeeded", "refused", "dead", "superseded", "cancelled")
Row = dict[str, Any]


@dataclass(frozen=True)
class ReanalysisBatch:
    """One batch of a re-analysis."""

    found: int
    enqueued: int
    busy: int
    """Recordings that were locked by another transaction: the next run takes them."""
    after: str | None
    """The next batch begins after this recording."""
    done: bool


class Ledger(Functions):
    """All jobs, past and present. Every method raises `ProjectUnreachable` or `ProjectError`."""

    async def jobs(
        self,
        *,
        states: Sequence[str] | None = None,
        recording: str | None = None,
        owner: str | None = None,
        code: str | None = None,
        before: int | None = None,
        most: int = 50,
    ) -> list[Row]:
        """List jobs, newest first. `before` is the id of the last one of the previous page."""
        found: list[Row] = await self._call(
            "list_jobs",
            states=list(states) if states else None,
            recording=recording,
            owner=owner,
            code=code,
            before=before,
            max_jobs=most,
        )
        return found

    async def job(self, job_id: int) -> Row | None:
        """Read one job with its recording, its message and the recording's other jobs."""
        found: Row | None = await self._call("show_job", job_id=job_id)
        return found

    async def stats(self) -> Row:
        """Read the queue's figures: jobs by state, how the last day's jobs ended, dead jobs, settings."""
        found: Row = await self._call("queue_stats")
        return found

    async def set(
        self,
        *,
        paused: bool | None = None,
        in_flight_per_owner: int | None = None,
        backfill_every: int | None = None,
        preview_every: int | None = None,
    ) -> Row:
        """Change the settings that are not None. Returns all of them."""
        settings: Row = await self._call(
            "set_queue",
            paused=paused,
            in_flight_per_owner=in_flight_per_owner,
            backfill_every=backfill_every,
            preview_every=preview_every,
        )
        return settings

    async def retry(self, job_ids: Sequence[int]) -> list[int]:
        """Re-queue jobs that failed. Returns the new jobs."""
        made: list[int] = await self._call("retry_jobs", jobs=list(job_ids))
        return made

    async def cancel(self, job_ids: Sequence[int]) -> list[int]:
        """Cancel jobs. Returns those that had not ended."""
        ended: list[int] = await self._call("cancel_jobs", jobs=list(job_ids))
        return ended

    async def reanalyze(
        self,
        version: str,
        filters: Sequence[Row],
        *,
        most: int = 500,
        plan: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[ReanalysisBatch]:
        """Queue every recording that lacks this version of the analysis, batch by batch.

        If it is stopped, another call continues: a recording is not queued twice.

        Parameters
        ----------
        version
            The version of the analysis.
        filters
            Each one `{column, op, value}`.
        most
            Size of a batch.
        plan
            Only count.
        limit
            How many recordings at most.
        """
        after: str | None = None
        left = limit
        while left is None or left > 0:
            answer = await self._call(
                "reanalyze",
                version=version,
                filters=list(filters),
                max_recordings=most if left is None else min(most, left),
                after=after,
                plan=plan,
            )
            batch = ReanalysisBatch(**answer)
            yield batch
            if batch.done:
                return
            after = batch.after
            left = None if left is None else left - (batch.found if plan else batch.enqueued)
