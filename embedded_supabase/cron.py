"""pg_cron's worker: looks at `cron.job` every second and runs due jobs. Its SQL is an extension."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import structlog
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from embedded_supabase.database import Queries
from embedded_supabase.embedded import EmbeddedSupabase

log = structlog.get_logger(__name__)

QUERIES = Queries(Path(__file__).with_name("background.sql"))


async def run(embedded: EmbeddedSupabase) -> None:
    """Run due jobs until cancelled."""
    last_runs: dict[int, str] = {}
    running: dict[int, asyncio.Task[None]] = {}
    # The group ends the jobs that still run when this is cancelled.
    async with asyncio.TaskGroup() as group:
        while True:
            now = datetime.now(UTC).replace(microsecond=0).isoformat()
            for job in await _find_due(embedded, now, last_runs):
                job_id = job["jobid"]
                if job_id not in running or running[job_id].done():
                    last_runs[job_id] = now
                    running[job_id] = group.create_task(_run_job(embedded, job))
            await asyncio.sleep(1)


async def _find_due(embedded: EmbeddedSupabase, now: str, last_runs: dict[int, str]) -> list[DictRow]:
    async with embedded.admin.connection() as connection:
        if not await QUERIES.fetch(connection, "has_cron"):
            return []
        return await QUERIES.fetch(connection, "due_jobs", now=now, last_runs=Jsonb(last_runs))


async def _run_job(embedded: EmbeddedSupabase, job: DictRow) -> None:
    started, status, message = datetime.now(UTC), "succeeded", ""
    dsn = embedded.postgres.dsn(job["username"])
    try:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            message = (await connection.execute(job["command"].encode())).statusmessage or ""
    except psycopg.Error as error:
        status, message = "failed", str(error)
        log.warning("cron job failed", job_id=job["jobid"], error=message)
    async with embedded.admin.connection() as connection:
        ran = {"status": status, "message": message, "started": started}
        await QUERIES.fetch(connection, "keep_run", **job, **ran)
