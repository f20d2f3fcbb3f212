"""The running half of pg_cron: looks at `cron.job` every second and runs what its SQL half says is due."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import structlog

from soundscape.local.queries import read_queries
from soundscape.local.stack import Stack

log = structlog.get_logger(__name__)

QUERIES = read_queries(Path(__file__).with_name("background.sql"))


async def run(stack: Stack) -> None:
    """Run due jobs until cancelled."""
    last_runs: dict[int, datetime] = {}
    running: dict[int, asyncio.Task[None]] = {}
    # The group ends the jobs that still run when this is cancelled.
    async with asyncio.TaskGroup() as group:
        while True:
            now = datetime.now(UTC).replace(microsecond=0)
            for job_id, command, username in await _due(stack, now, last_runs):
                if job_id not in running or running[job_id].done():
                    last_runs[job_id] = now
                    running[job_id] = group.create_task(_run_job(stack, job_id, command, username))
            await asyncio.sleep(1)


async def _due(stack: Stack, now: datetime, last_runs: dict[int, datetime]) -> list[tuple[Any, ...]]:
    async with stack.admin.connection() as connection:
        installed = await (await connection.execute(QUERIES["has_cron"].encode())).fetchone()
        if installed is None or not installed[0]:
            return []
        runs = json.dumps({job_id: run.isoformat() for job_id, run in last_runs.items()})
        return await (await connection.execute(QUERIES["due_jobs"].encode(), (now, runs))).fetchall()


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
        ran = (job_id, username, command, status, message, started)
        await connection.execute(QUERIES["keep_run"].encode(), ran)
