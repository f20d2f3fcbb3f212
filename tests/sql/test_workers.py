"""`register_worker`: whether a worker and the schema fit, and what is kept of it."""

from __future__ import annotations

import psycopg
import pytest

from soundscape.deploy import sources

from .conftest import Database

NEWEST = sources.migrations()[-1].version


def register(db: Database, migration: str, worker: str = "w") -> str:
    return str(db.value("select public.register_worker(%s, '1.2.3', %s)", worker, migration))


def test_the_newest_worker_fits(db: Database) -> None:
    assert register(db, NEWEST) == "ok"


def test_the_oldest_worker_that_is_served_fits(db: Database) -> None:
    oldest = db.value("select soundscape.oldest_worker()")
    assert oldest in {migration.version for migration in sources.migrations()}
    assert register(db, oldest) == "ok"


@pytest.mark.parametrize(
    ("migration", "fit"), [("20260101000000", "worker_too_old"), ("20991231000000", "schema_too_old")]
)
def test_others_do_not(db: Database, migration: str, fit: str) -> None:
    assert register(db, migration) == fit
    # It is known all the same: a deploy names it.
    assert db.rows("select name, migration from soundscape.workers") == [
        {"name": "w", "migration": migration}
    ]


def test_a_worker_has_one_row_and_loses_it_after_a_day(db: Database) -> None:
    for _ in range(2):
        register(db, NEWEST)
    register(db, NEWEST, "former")
    db.rows("update soundscape.workers set seen_at = now() - interval '25 hours' where name = 'former'")
    register(db, NEWEST, "new")
    names = [row["name"] for row in db.rows("select name from soundscape.workers order by name")]
    assert names == ["new", "w"]


def test_without_a_history_only_the_age_of_the_worker_counts(db: Database) -> None:
    with psycopg.connect(db.dsn()) as connection:
        connection.execute("alter table supabase_migrations.schema_migrations rename to elsewhere")
        for migration, fit in (("20991231000000", "ok"), ("20260101000000", "worker_too_old")):
            row = connection.execute("select public.register_worker('w', '1', %s)", (migration,)).fetchone()
            assert row == (fit,)
        connection.rollback()
