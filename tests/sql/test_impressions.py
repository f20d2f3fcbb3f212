"""What was shown to whom: for the one it was shown to and for the worker, and no longer than said."""

from __future__ import annotations

import psycopg
import pytest

from .conftest import Database
from .sounds import Row, heard


def log(db: Database, user: str, recordings: list[str], *, days_ago: int = 0) -> None:
    db.rows("select set_config('request.jwt.claims', %s, false)", f'{{"sub": "{user}"}}')
    many = len(recordings)
    propensities = [*([None] * (many - 1)), 0.25]
    db.rows(
        "select soundscape.log_impressions(%s::uuid[], %s, %s::float8[], %s::float8[], 7, null)",
        recordings, ["fresh"] * many, [0.5] * many, propensities,
    )  # fmt: skip
    if days_ago:
        db.rows("update public.impressions set shown_at = now() - make_interval(days => %s)", days_ago)


def shown(db: Database) -> list[Row]:
    return db.rows("select * from public.impressions order by shown_at, answer_id, place")


@pytest.fixture
def sounds(db: Database, alice: str) -> list[str]:
    return [heard(db, alice) for _ in range(3)]


def test_an_answer_is_written_place_by_place(db: Database, bob: str, sounds: list[str]) -> None:
    log(db, bob, sounds)
    rows = shown(db)
    assert [str(row["audio_id"]) for row in rows] == sounds
    assert [(row["place"], row["propensity"]) for row in rows] == [(1, None), (2, None), (3, 0.25)]
    assert len({row["answer_id"] for row in rows}) == 1
    assert {(str(row["user_id"]), row["seed"]) for row in rows} == {(bob, 7)}


def test_what_is_gone_leaves_no_trace(db: Database, bob: str, sounds: list[str]) -> None:
    log(db, bob, sounds)
    db.rows("delete from public.audio_files where id = %s", sounds[0])
    assert [row["place"] for row in shown(db)] == [2, 3]
    log(db, bob, sounds)  # one of them was deleted meanwhile
    assert len(shown(db)) == 2
    db.rows("delete from auth.users where id = %s", bob)
    assert shown(db) == []
    log(db, bob, sounds[1:])
    assert shown(db) == []


def test_each_sees_and_erases_their_own(db: Database, alice: str, bob: str, sounds: list[str]) -> None:
    log(db, bob, sounds)
    for user, expected in ((bob, 3), (alice, 0)):
        with db.acting("authenticated", user) as connection:
            assert len(connection.execute("select * from public.impressions").fetchall()) == expected
            assert connection.execute("delete from public.impressions").rowcount == expected
    for role in ("authenticated", "anon"):
        with db.acting(role, bob) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(
                "insert into public.impressions (answer_id, place, user_id, audio_id, reason, score, seed) "
                "values (gen_random_uuid(), 1, %s, %s, 'liked', 1, 1)",
                (bob, sounds[0]),
            )


def test_after_180_days_it_is_forgotten(db: Database, bob: str, sounds: list[str]) -> None:
    log(db, bob, sounds, days_ago=181)
    log(db, bob, sounds[:1])
    db.rows("update public.impressions set shown_at = now() - interval '179 days' where place = 3")
    assert db.value("select soundscape.delete_old_impressions()") == 2
    assert sorted(row["place"] for row in shown(db)) == [1, 3]
    assert db.value("select command from cron.job where jobname = 'soundscape-delete-old-impressions'") == (
        "select soundscape.delete_old_impressions()"
    )


def test_the_worker_reads_in_pages_what_came_of_it(db: Database, bob: str, sounds: list[str]) -> None:
    log(db, bob, sounds, days_ago=10)
    rows = shown(db)
    db.rows("insert into public.likes (user_id, audio_id) values (%s, %s)", bob, sounds[0])
    for days_ago in (5, 11, 1):  # within the seven days, before, and after
        db.rows(
            "insert into public.listening_events (user_id, audio_id, started_at, completed) "
            "values (%s, %s, now() - make_interval(days => %s), true)",
            bob, sounds[1], days_ago,
        )  # fmt: skip
    db.rows("update public.likes set created_at = now() - interval '4 days'")
    read: list[Row] = []
    while True:
        after = (
            (read[-1]["shown_at"], read[-1]["answer_id"], read[-1]["place"]) if read else (None, None, None)
        )
        page = db.rows("select * from public.impressions_after(%s, %s, %s::int, 2)", *after)
        if not page:
            break
        read += page
    assert [(row["answer_id"], row["place"]) for row in read] == [
        (row["answer_id"], row["place"]) for row in rows
    ]
    assert [(row["liked"], row["heard"]) for row in read] == [(True, 0), (False, 1), (False, 0)]


def test_a_page_passes_by_no_answer_that_is_still_being_written(
    db: Database, bob: str, sounds: list[str]
) -> None:
    """One that began before another may be written after it."""
    late = db.connect()
    late.execute("select set_config('request.jwt.claims', %s, false)", (f'{{"sub": "{bob}"}}',))
    late.execute(
        "select soundscape.log_impressions(%s::uuid[], '{fresh}', '{0.5}', array[null]::float8[], 7, null)",
        (sounds[:1],),
    )
    log(db, bob, sounds[1:2])
    page = "select * from public.impressions_after(%s, %s, %s::int, 100)"
    read = db.rows(page, None, None, None)
    late.commit()
    # A minute later; the two are as far from each other as they were.
    db.rows("update public.impressions set shown_at = shown_at - interval '1 minute'")
    at = (read[-1]["shown_at"], read[-1]["answer_id"], read[-1]["place"]) if read else (None, None, None)
    read += db.rows(page, *at)
    assert [str(row["audio_id"]) for row in read] == sounds[:2]
