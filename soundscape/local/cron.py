"""The running half of pg_cron: looks at `cron.job` every second and runs what is due.

Schedules: `N seconds` (1 to 59) and the five fields of cron with `*`, lists, ranges and steps, in UTC.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import psycopg
import structlog

from soundscape.local.stack import Stack

log = structlog.get_logger(__name__)

FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def is_due(schedule: str, now: datetime, last_run: datetime | None) -> bool:
    """Whether a job with this schedule should start at `now` (whole seconds, UTC).

    Raises `ValueError` for a schedule that is neither form.
    """
    words = schedule.split()
    if len(words) == 2 and words[1] in ("second", "seconds"):
        (every_s,) = _values(words[0], 1, 59)
        return last_run is None or (now - last_run).total_seconds() >= every_s
    if len(words) != 5:
        raise ValueError(f"invalid schedule: {schedule}")
    minute, hour, day, month, weekday = (
        _values(word, low, high) for word, (low, high) in zip(words, FIELDS, strict=True)
    )
    if last_run is not None and (now - last_run).total_seconds() < 60 and last_run.minute == now.minute:
        return False
    today = {now.isoweekday() % 7, now.isoweekday()}  # Sunday is 0 and 7
    # cron's own rule: when both day fields are restricted, either may match.
    by_day, by_weekday = now.day in day, bool(weekday & today)
    both_restricted = not words[2].startswith("*") and not words[4].startswith("*")
    day_matches = by_day or by_weekday if both_restricted else by_day and by_weekday
    return now.minute in minute and now.hour in hour and now.month in month and day_matches


def _values(word: str, low: int, high: int) -> set[int]:
    values: set[int] = set()
    for part in word.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        start = low if span == "*" else int(first)
        end = high if span == "*" or (step and not last) else int(last or first)
        if not low <= start <= end <= high:
            raise ValueError(f"invalid schedule field: {word}")
        values.update(range(start, end + 1, int(step or 1)))
    return values


async def run(stack: Stack) -> None:
    """Run due jobs until cancelled."""
    last_runs: dict[int, datetime] = {}
    running: dict[int, asyncio.Task[None]] = {}
    refused: set[str] = set()
    # The group ends the jobs that still run when this is cancelled.
    async with asyncio.TaskGroup() as group:
        while True:
            now = datetime.now(UTC).replace(microsecond=0)
            async with stack.admin.connection() as connection:
                jobs = await _jobs(connection)
            for job_id, schedule, command, username in jobs:
                try:
                    due = is_due(schedule, now, last_runs.get(job_id))
                except ValueError as error:
                    if schedule not in refused:
                        log.warning("cron job never runs", job_id=job_id, error=str(error))
                        refused.add(schedule)
                    continue
                busy = job_id in running and not running[job_id].done()
                if due and not busy:
                    last_runs[job_id] = now
                    running[job_id] = group.create_task(_run_job(stack, job_id, command, username))
            await asyncio.sleep(1)


async def _jobs(connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    installed = await (await connection.execute("select to_regclass('cron.job') is not null")).fetchone()
    if installed is None or not installed[0]:
        return []
    cursor = await connection.execute("select jobid, schedule, command, username from cron.job where active")
    return await cursor.fetchall()


async def _run_job(stack: Stack, job_id: int, command: str, username: str) -> None:
    started = datetime.now(UTC)
    status, message = "succeeded", ""
    try:
        async with await psycopg.AsyncConnection.connect(
            stack.postgres.dsn(username), autocommit=True
        ) as connection:
            cursor = await connection.execute(command.encode())
            message = cursor.statusmessage or ""
    except psycopg.Error as error:
        status, message = "failed", str(error)
        log.warning("cron job failed", job_id=job_id, error=message)
    async with stack.admin.connection() as connection:
        await connection.execute(
            "insert into cron.job_run_details (jobid, database, username, command, status, return_message,"
            " start_time, end_time) values (%s, 'postgres', %s, %s, %s, %s, %s, clock_timestamp())",
            (job_id, username, command, status, message, started),
        )
        await connection.execute(
            "delete from cron.job_run_details where start_time < now() - interval '1 day'"
        )
