"""pg_cron: what is due when, what is no schedule, and a runner that outlives what it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import psycopg.errors
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedded_supabase import cron
from soundscape.cli.embedded_project import Project
from tests.waiting import LIMIT_S

# A Tuesday.
NOON = datetime(2026, 12, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def connection(embedded: Project) -> Iterator[psycopg.Connection]:
    with psycopg.connect(embedded.db_url, autocommit=True) as connection:
        yield connection


def is_due(connection: psycopg.Connection, schedule: str, now: datetime, last: datetime | None) -> Any:
    row = connection.execute("select cron._is_due(%s, %s, %s)", (schedule, now, last)).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize(
    ("schedule", "moment", "due"),
    [
        ("* * * * *", NOON, True),
        ("0 12 * * *", NOON, True),
        ("0 12 * * *", NOON + timedelta(minutes=1), False),
        ("0 12 * * *", NOON + timedelta(seconds=30), True),  # within its minute
        ("*/15 * * * *", NOON + timedelta(minutes=45), True),
        ("*/15 * * * *", NOON + timedelta(minutes=46), False),
        ("0-10,30 * * * *", NOON + timedelta(minutes=30), True),
        ("0-10,30 * * * *", NOON + timedelta(minutes=11), False),
        ("10-20/5 * * * *", NOON + timedelta(minutes=15), True),
        ("10-20/5 * * * *", NOON + timedelta(minutes=16), False),
        ("* 9-17 * * 1-5", NOON, True),
        ("* * * * 2", NOON, True),
        ("* * * * 1", NOON, False),
        ("* * * * 0", NOON + timedelta(days=5), True),  # Sunday is 0 …
        ("* * * * 7", NOON + timedelta(days=5), True),  # … and 7
        ("* * 1 * *", NOON, True),
        ("* * 2 * *", NOON, False),
        ("* * * 12 *", NOON, True),
        ("* * * 11 *", NOON, False),
        ("* * 1 * 5", NOON, True),  # both days restricted: either will do
        ("* * 9 * 2", NOON, True),
        ("* * 9 * 5", NOON, False),
        ("* * */2 * 5", NOON, False),  # a star with a step restricts nothing: both must match
        ("* * * DEC Tue", NOON, True),
        ("* * * jan-mar * ", NOON, False),
        ("0 12 $ * *", NOON, False),
        ("0 12 $ * *", NOON - timedelta(days=1), True),  # the last of November
        ("@hourly", NOON, True),
        ("@daily", NOON, False),
        ("@daily", NOON + timedelta(hours=12), True),
        ("@weekly", NOON + timedelta(days=4, hours=12), True),
        ("@monthly", NOON - timedelta(hours=12), True),
        ("@yearly", NOON - timedelta(hours=12), False),
    ],
)
def test_five_fields(connection: psycopg.Connection, schedule: str, moment: datetime, due: bool) -> None:
    assert is_due(connection, schedule, moment, None) is due


@pytest.mark.parametrize(
    ("schedule", "since", "due"),
    [
        ("30 seconds", None, True),
        ("30 seconds", timedelta(seconds=29), False),
        ("30 seconds", timedelta(seconds=30), True),
        ("1 second", timedelta(seconds=1), True),
        ("* * * * *", timedelta(seconds=1), False),  # once in its minute
        ("* * * * *", timedelta(seconds=31), True),  # the minute before is another
        ("* * * * *", timedelta(seconds=60), True),
        ("0 12 * * *", timedelta(days=1), True),
    ],
)
def test_not_twice(connection: psycopg.Connection, schedule: str, since: timedelta | None, due: bool) -> None:
    now = NOON + timedelta(seconds=30)
    assert is_due(connection, schedule, now, None if since is None else now - since) is due


@pytest.mark.row("database.pg-cron", "database.no-schedule", by="sql")
@pytest.mark.parametrize(
    "schedule",
    ["", "x", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8",
     "5-1 * * * *", "5/20 * * * *", "*/0 * * * *", "1, * * * *", "a * * * *", "jan * * * *", "$ * * * *",
     "99 99 * * *", "x seconds", "0 seconds", "60 seconds", "-1 seconds", "1 minute", "@reboot", "@noon"],
)  # fmt: skip
def test_no_schedule(connection: psycopg.Connection, schedule: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="invalid schedule: "):
        connection.execute("select cron.schedule('t-none', %s, 'select 1')", (schedule,))
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("insert into cron.job (schedule, command) values (%s, '')", (schedule,))


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=30)
    | st.lists(st.text("0123456789*/,-$jan", max_size=5), min_size=5, max_size=5).map(" ".join)
)
def test_any_text_is_a_schedule_or_is_refused(connection: psycopg.Connection, schedule: str) -> None:
    assert is_due(connection, schedule, NOON, None) in (True, False, None)


@asynccontextmanager
async def running(embedded: Project) -> AsyncIterator[asyncio.Task[None]]:
    """The runner on this test's loop, over an embedded Supabase whose pools belong to it."""
    from embedded_supabase.embedded import open_embedded

    whole = embedded.supabase
    async with open_embedded(
        data_dir=whole.data_dir, url=whole.url, keys=whole.keys, config=whole.config, postgres=whole.postgres
    ) as opened:
        task = asyncio.create_task(cron.run(opened))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def sql(embedded: Project, query: str, *values: Any) -> list[tuple[Any, ...]]:
    dsn = embedded.supabase.postgres.dsn("supabase_admin")
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []


@pytest.mark.row("database.pg-cron", by="sql")
async def test_one_bad_job_stops_no_other(embedded: Project) -> None:
    """A statement that fails, and one that works."""
    sql(
        embedded,
        "insert into cron.job (jobname, schedule, command, username) values"
        " ('t-fails', '1 second', 'select 1/0', 'postgres'),"
        " ('t-works', '1 second', 'select 1', 'postgres')",
    )
    try:
        async with running(embedded) as runner, asyncio.timeout(LIMIT_S):
            while True:
                outcomes = set(
                    sql(
                        embedded,
                        "select j.jobname, d.status from cron.job_run_details d join cron.job j using (jobid)"
                        " where j.jobname like 't-%'",
                    )
                )
                if outcomes == {("t-fails", "failed"), ("t-works", "succeeded")}:
                    break
                assert not runner.done()
                await asyncio.sleep(0.1)
    finally:
        sql(embedded, "delete from cron.job where jobname like 't-%'")


@pytest.mark.row("database.pg-cron", by="sql")
def test_a_paused_job_stays_paused_when_it_is_scheduled_anew(embedded: Project) -> None:
    """As in pg_cron itself: who wants it to run again unschedules it first."""

    def scheduled(schedule: str) -> list[tuple[Any, ...]]:
        sql(embedded, "select cron.schedule('t-paused', %s, 'select 1')", schedule)
        return sql(embedded, "select schedule, active from cron.job where jobname = 't-paused'")

    try:
        assert scheduled("0 3 * * *") == [("0 3 * * *", True)]
        sql(embedded, "update cron.job set active = false where jobname = 't-paused'")
        assert scheduled("0 4 * * *") == [("0 4 * * *", False)]
        sql(embedded, "select cron.unschedule('t-paused')")
        assert scheduled("0 5 * * *") == [("0 5 * * *", True)]
    finally:
        sql(embedded, "delete from cron.job where jobname = 't-paused'")


SLEEPING = (
    "select pid from pg_stat_activity"
    " where query like 'select pg_sleep(60) /* of the test%' and state = 'active'"
)


async def test_a_job_that_runs_ends_with_the_runner(embedded: Project) -> None:
    sql(
        embedded,
        "insert into cron.job (jobname, schedule, command, username)"
        " values ('t-long', '1 second', 'select pg_sleep(60) /* of the test */', 'postgres')",
    )
    before = asyncio.all_tasks()
    try:
        async with running(embedded), asyncio.timeout(LIMIT_S):
            # The embedded Supabase has a runner of its own, which takes the job as well.
            while len(sql(embedded, SLEEPING)) < 2:
                await asyncio.sleep(0.1)
            sql(embedded, "delete from cron.job where jobname = 't-long'")
        assert asyncio.all_tasks() <= before
        async with asyncio.timeout(LIMIT_S):
            while len(sql(embedded, SLEEPING)) > 1:
                await asyncio.sleep(0.1)
    finally:
        sql(embedded, f"select pg_terminate_backend(pid) from ({SLEEPING}) as sleeping")
        sql(embedded, "delete from cron.job where jobname like 't-%'")
