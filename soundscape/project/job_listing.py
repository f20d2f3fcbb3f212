"""The queue as its operator sees it. The SQL behind each call: supabase/migrations/*_operator.sql."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from soundscape.project.functions import Functions

STATES = ("queued", "running", "succeeded", "refused", "dead", "superseded", "cancelled")
Row = dict[str, Any]


@dataclass(frozen=True)
class ReanalysisBatch:
    """One batch of a backfill."""

    found: int
    enqueued: int
    busy: int
    """Recordings that somebody was writing to: the next run takes them."""
    after: str | None
    """The recording to go on after."""
    done: bool


class Ledger(Functions):
    """All jobs there ever were. Every method raises `ProjectUnreachable` or `ProjectError`."""

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
        """Jobs, newest first; `before` is the id of the last one of the page before."""
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
        """One job with its recording, its message and the recording's other jobs."""
        found: Row | None = await self._call("show_job", job_id=job_id)
        return found

    async def stats(self) -> Row:
        """How much stands, waits and runs, how the last day's jobs ended, what is dead, and the settings."""
        found: Row = await self._call("queue_stats")
        return found

    async def set(
        self,
        *,
        paused: bool | None = None,
        in_flight_per_owner: int | None = None,
        backfill_every: int | None = None,
    ) -> Row:
        """Change what is not None; returns the settings."""
        settings: Row = await self._call(
            "set_queue",
            paused=paused,
            in_flight_per_owner=in_flight_per_owner,
            backfill_every=backfill_every,
        )
        return settings

    async def retry(self, job_ids: Sequence[int]) -> list[int]:
        """Ask again for what these jobs did not bring; returns the new jobs."""
        made: list[int] = await self._call("retry_jobs", jobs=list(job_ids))
        return made

    async def cancel(self, job_ids: Sequence[int]) -> list[int]:
        """End these jobs; returns those that were still asked for."""
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
        """Ask for this version of the analysis for every recording that lacks it, batch by batch.

        filters: each `{column, op, value}`. limit: at most so many. Stopped anywhere, another call goes on:
        what was asked for is not asked for again.
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
