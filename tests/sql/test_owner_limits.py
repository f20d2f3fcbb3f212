"""One account cannot fill the database: limits per owner, in the database."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.waiting import LIMIT_S, until

from .conftest import Connection, Database

# How a user inserts `count` rows; %(owner)s is the user, %(public)s a public recording of somebody else.
INSERTS = {
    "max_playlists": "insert into public.playlists (title) select 't' from generate_series(1, %(count)s)",
    "max_playlist_items": "insert into public.playlist_items (playlist_id, audio_id)"
    " select p.id, %(public)s::uuid from public.playlists p, generate_series(1, %(count)s)"
    " where p.title = 'Mine'",
    "max_awaiting_upload": "insert into public.audio_files (user_id, title, file_path)"
    " select %(owner)s::uuid, 't', %(owner)s::text || '/' || n || random()"
    " from generate_series(1, %(count)s) as n",
    "max_recordings": "insert into public.audio_files (user_id, title, file_path)"
    " select %(owner)s::uuid, 't', %(owner)s::text || '/' || n || random()"
    " from generate_series(1, %(count)s) as n",
    "max_events_per_hour": "insert into public.listening_events (audio_id, started_at)"
    " select %(public)s::uuid, now() - interval '1 year' from generate_series(1, %(count)s)",
    "max_reports_per_day": "insert into public.reports (audio_id, reason)"
    " select id, 'spam' from public.audio_files where title = 'Theirs' order by id limit %(count)s",
}
LIMITS = tuple(INSERTS)


@pytest.fixture
def public(db: Database, alice: str, bob: str) -> Iterator[str]:
    """Recordings of bob's that alice sees, and a playlist of hers; every limit is three."""
    db.rows("update soundscape.owner_limits set " + ", ".join(f"{name} = 3" for name in LIMITS))
    ids = [db.describe(f"{bob}/{number}", owner=bob, title="Theirs") for number in range(5)]
    db.rows("update public.audio_files set is_public = true")
    db.rows("insert into public.playlists (user_id, title) values (%s, 'Mine')", alice)
    yield ids[0]
    db.rows("update soundscape.owner_limits set " + ", ".join(f"{name} = default" for name in LIMITS))


@pytest.mark.parametrize("limit", LIMITS)
def test_more_than_the_limit_is_refused_at_once_or_one_by_one(
    db: Database, alice: str, public: str, limit: str
) -> None:
    values = {"owner": alice, "public": public}
    # Both are about the same rows.
    if other := {"max_recordings": "max_awaiting_upload", "max_awaiting_upload": "max_recordings"}.get(limit):
        db.rows(f"update soundscape.owner_limits set {other} = default")
    held = 1 if limit == "max_playlists" else 0
    with db.acting("authenticated", alice) as session:
        session.execute(INSERTS[limit], values | {"count": 3 - held})  # type: ignore[arg-type]
    with (
        db.acting("authenticated", alice) as session,
        pytest.raises(psycopg.Error, match=r"limit of 3 \w+") as refused,
    ):
        session.execute(INSERTS[limit], values | {"count": 4 - held})  # type: ignore[arg-type]
    assert refused.value.sqlstate == "PT429"
    if limit == "max_reports_per_day":  # one of each recording
        return
    with db.acting("authenticated", alice) as session:
        for _ in range(3 - held):
            session.execute(INSERTS[limit], values | {"count": 1})  # type: ignore[arg-type]
        with pytest.raises(psycopg.Error, match="limit of 3"):
            session.execute(INSERTS[limit], values | {"count": 1})  # type: ignore[arg-type]


@pytest.mark.parametrize("table", ["listening_events", "impressions"])
def test_deleting_does_not_start_the_hour_again(
    db: Database, alice: str, bob: str, public: str, limits: Any, table: str
) -> None:
    limits(max_impressions_per_hour=3)
    insert = {
        "listening_events": INSERTS["max_events_per_hour"],
        "impressions": "select soundscape.log_impressions(array[%(public)s::uuid], array['fresh'],"
        " array[0.5::real], array[0.5::real], 1, null)",
    }[table]

    def insert_and_delete(who: str) -> None:
        with db.acting("authenticated", who) as session:
            session.execute(insert, {"public": public, "count": 1})  # type: ignore[arg-type]
            session.execute(f"delete from public.{table}")  # type: ignore[arg-type]
            session.commit()

    for _ in range(3):
        insert_and_delete(alice)
    assert db.value(f"select count(*) from public.{table}") == 0
    with pytest.raises(psycopg.Error, match="limit of 3") as refused:
        insert_and_delete(alice)
    assert refused.value.sqlstate == "PT429"
    insert_and_delete(bob)
    db.rows("update soundscape.action_counts set since = since - interval '1 hour'")
    insert_and_delete(alice)


@pytest.mark.parametrize("limit", LIMITS)
def test_requests_at_once_keep_the_limit_together(db: Database, alice: str, public: str, limit: str) -> None:
    """Two transactions, neither of which sees the other's rows, add four together where three fit."""
    if other := {"max_recordings": "max_awaiting_upload", "max_awaiting_upload": "max_recordings"}.get(limit):
        db.rows(f"update soundscape.owner_limits set {other} = default")
    if limit == "max_playlists":
        db.rows("update soundscape.owner_limits set max_playlists = 4")
    statement = INSERTS[limit]

    def insert(session: Connection, count: int, others: bool = False) -> None:
        ascending = statement.replace("order by id", "order by id desc") if others else statement
        session.execute(ascending, {"owner": alice, "public": public, "count": count})  # type: ignore[arg-type]

    with (
        db.acting("authenticated", alice) as first,
        db.acting("authenticated", alice) as second,
        ThreadPoolExecutor(1) as threads,
    ):
        insert(first, 2)
        inserted = threads.submit(insert, second, 2, True)
        until(lambda: inserted.done() or db.somebody_waits())
        first.commit()
        with pytest.raises(psycopg.Error, match=r"limit of [34] \w+") as refused:
            inserted.result(LIMIT_S)
        assert refused.value.sqlstate == "PT429"


def test_the_worker_has_no_limit(db: Database, alice: str, public: str) -> None:
    with db.acting("service_role") as session:
        for limit in ("max_awaiting_upload", "max_playlists"):
            statement = INSERTS[limit].replace(
                "(title) select 't'", "(user_id, title) select %(owner)s::uuid, 't'"
            )
            session.execute(statement, {"owner": alice, "public": public, "count": 9})  # type: ignore[arg-type]


# -- files --------------------------------------------------------------------------------------------


@pytest.fixture
def limits(db: Database) -> Iterator[Any]:
    """Sets limits, and the defaults again afterwards."""
    changed: list[str] = []

    def limit(**values: int) -> None:
        changed.extend(values)
        db.rows("update soundscape.owner_limits set " + ", ".join(f"{k} = {v}" for k, v in values.items()))

    yield limit
    if changed:
        db.rows(
            "update soundscape.owner_limits set " + ", ".join(f"{name} = default" for name in set(changed))
        )


def upload(db: Database, name: str, *, owner: str, bucket: str = "audio-files", title: str = "") -> None:
    """1,000 bytes, as Storage writes them: it tests the permission, takes that back, and writes the whole."""
    with db.acting("authenticated", owner) as session:
        session.execute(
            "insert into storage.objects (bucket_id, name, owner_id) values (%s, %s, %s)",
            [bucket, name, owner],
        )
    mimetype = "image/png" if bucket == "profile-images" else "audio/wav"
    with db.connection.transaction():
        db.rows(
            "insert into storage.objects (bucket_id, name, owner_id, version, metadata, user_metadata)"
            " values (%s, %s, %s, gen_random_uuid()::text,"
            " jsonb_build_object('eTag', gen_random_uuid()::text, 'size', 1000, 'mimetype', %s::text),"
            " jsonb_strip_nulls(jsonb_build_object('title', %s::text)))",
            bucket,
            name,
            owner,
            mimetype,
            title or None,
        )


@pytest.mark.parametrize("bucket", ["audio-files", "profile-images"])
def test_bytes_are_limited_whatever_bucket_they_lie_in(
    db: Database, alice: str, bob: str, limits: Any, bucket: str
) -> None:
    limits(max_stored_bytes=2500)
    for number in range(2):
        upload(db, f"{alice}/{number}", owner=alice, bucket=bucket)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="limit of 2500 bytes") as refused:
        upload(db, f"{alice}/2", owner=alice, bucket="audio-files")
    assert refused.value.diag.message_hint == "Delete some files first."
    upload(db, f"{bob}/0", owner=bob, bucket=bucket)
    db.remove(f"{alice}/0", bucket=bucket)
    upload(db, f"{alice}/2", owner=alice, bucket=bucket)


def test_a_full_account_is_refused_before_the_bytes_are_sent(db: Database, alice: str, limits: Any) -> None:
    limits(max_stored_bytes=1000)
    upload(db, f"{alice}/0", owner=alice)
    with (
        db.acting("authenticated", alice) as session,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="limit of 1000 bytes"),
    ):
        session.execute(
            "insert into storage.objects (bucket_id, name, owner_id) values ('audio-files', %s, %s)",
            [f"{alice}/1", alice],
        )


def test_new_bytes_under_an_old_name_count_by_what_they_add(db: Database, alice: str, limits: Any) -> None:
    upload(db, f"{alice}/0", owner=alice)
    limits(max_stored_bytes=1500)
    grow = "update storage.objects set metadata = metadata || jsonb_build_object('size', %s) where name = %s"
    db.rows(grow, 1500, f"{alice}/0")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="limit of 1500 bytes"):
        db.rows(grow, 1501, f"{alice}/0")
    limits(max_stored_bytes=10)
    db.rows(grow, 900, f"{alice}/0")


def test_files_that_nobody_described_count_as_well(db: Database, alice: str, limits: Any) -> None:
    limits(max_recordings=2)
    for number in range(2):
        upload(db, f"public/{alice}-{number}", owner=alice)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="limit of 2 files"):
        upload(db, f"public/{alice}-2", owner=alice)


@pytest.mark.parametrize("title", ["Described by the upload", ""])
def test_uploads_that_are_deleted_again_leave_no_more_rows_than_may_wait(
    db: Database, alice: str, limits: Any, title: str
) -> None:
    """Their rows are made as the service role: by Storage, or by the sweep."""
    limits(max_awaiting_upload=3)
    for number in range(3):
        upload(db, f"{alice}/{number}", owner=alice, title=title)
        db.rows("update storage.objects set created_at = now() - interval '1 hour'")
        if not title:
            db.rows("select soundscape.draft_undescribed_objects(array[%s])", f"{alice}/{number}")
        db.remove(f"{alice}/{number}")
    assert db.value("select count(*) from public.audio_files where status = 'awaiting_upload'") == 3
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="limit of 3 recordings that wait"):
        upload(db, f"{alice}/3", owner=alice, title=title)
    # One that waits gets its file all the same.
    upload(db, f"{alice}/2", owner=alice)


def test_the_secret_key_has_no_limit_and_its_files_count(db: Database, alice: str, limits: Any) -> None:
    limits(max_stored_bytes=1000)
    for number in range(3):
        db.store(f"{alice}/{number}", owner=None)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="limit of 1000 bytes"):
        upload(db, f"{alice}/3", owner=alice)


def test_what_was_not_counted_is_counted_at_night(db: Database, alice: str, bob: str) -> None:
    counted = "select object_id, user_id, size_bytes from soundscape.stored_objects order by 1"
    for number in range(3):
        upload(db, f"{alice}/{number}", owner=alice)
    before = db.rows(counted)
    with psycopg.connect(db.dsn("supabase_admin")) as admin:
        admin.execute("set session_replication_role = replica")
        admin.execute("delete from soundscape.stored_objects where object_id = %s", [before[0]["object_id"]])
        admin.execute("update soundscape.stored_objects set size_bytes = 1, user_id = %s", [bob])
        admin.execute("insert into soundscape.stored_objects values (gen_random_uuid(), %s, 7)", [alice])
    db.rows("select soundscape.recount_stored_objects()")
    assert db.rows(counted) == before


# -- words, impressions, retries ----------------------------------------------------------------------


def test_sixty_new_titles_do_not_fill_the_vocabulary(db: Database, alice: str, limits: Any) -> None:
    limits(max_words=100)
    audio_id = db.recording(alice)
    db.rows("update public.audio_files set is_public = true")
    for number in range(60):
        letters = chr(97 + number // 26) + chr(97 + number % 26)
        words = [f"{letters}{chr(97 + n // 26)}{chr(97 + n % 26)}x" for n in range(200)]
        with db.acting("authenticated", alice) as session:
            session.execute(
                "update public.audio_files set tags = %s where id = %s", [[" ".join(words)], audio_id]
            )
            session.commit()
    assert db.value("select count(*) from soundscape.vocabulary") <= 100
    assert db.value("select count(*) from soundscape.former_words") <= 100
    found = db.rows("select id from public.search_audio('aaaax')")
    assert found == [], "no words of former titles"
    assert len(db.rows("select id from public.search_audio(%s)", words[199])) == 1, "found as it is spelt"
    db.rows("select soundscape.delete_unused_words(1000)")
    assert db.value("select count(*) from soundscape.vocabulary") <= 1


def test_words_of_others_cost_nobody_anything(db: Database, alice: str, bob: str, limits: Any) -> None:
    limits(max_words=2)
    for owner in (bob, alice):
        audio_id = db.recording(owner)
        db.rows(
            "update public.audio_files set is_public = true, title = %s where id = %s",
            "nightingale thunder" + (" rain" if owner == alice else ""),
            audio_id,
        )
    words = {row["word"]: str(row["added_by"]) for row in db.rows("select * from soundscape.vocabulary")}
    assert words == {"nightingale": bob, "thunder": bob, "rain": alice}


def test_recommendations_of_an_hour_are_limited(db: Database, alice: str, bob: str, limits: Any) -> None:
    limits(max_impressions_per_hour=3)
    shown = [db.describe(f"{bob}/{number}", owner=bob) for number in range(4)]
    log = "select soundscape.log_impressions(%s, array_fill('fresh'::text, array[%s]), %s, %s, 1, null)"

    def show(count: int) -> None:
        with db.acting("authenticated", alice) as session:
            scores = [0.5] * count
            session.execute(log, [shown[:count], count, scores, scores])  # type: ignore[arg-type]
            session.commit()

    show(3)
    with pytest.raises(psycopg.Error, match="limit of 3 recommendations an hour") as refused:
        show(1)
    assert refused.value.sqlstate == "PT429"
    db.rows("update soundscape.action_counts set since = since - interval '1 hour'")
    show(3)
    with pytest.raises(psycopg.Error, match="limit of 3 recommendations an hour"):
        show(1)


def test_cancelling_and_retrying_in_a_loop_ends(db: Database, alice: str, bob: str, limits: Any) -> None:
    limits(max_retries_per_hour=3)
    audio_id = db.recording(alice)

    def again(times: int) -> None:
        for _ in range(times):
            with db.acting("authenticated", alice) as session:
                session.execute(
                    "select public.cancel_analysis(%s), public.retry_analysis(%s)", [audio_id, audio_id]
                )
                session.commit()

    again(3)
    with pytest.raises(psycopg.Error, match="limit of 3 retries an hour") as refused:
        again(1)
    assert refused.value.sqlstate == "PT429"
    assert len(db.jobs(audio_id)) == 4
    db.rows("update soundscape.jobs set created_at = now() - interval '2 hours'")
    again(1)


def test_old_listening_events_are_deleted_in_batches(db: Database, alice: str, bob: str) -> None:
    audio_id = db.describe(f"{bob}/x", owner=bob)
    db.rows(
        "insert into public.listening_events (user_id, audio_id, started_at, created_at)"
        " select %s, %s, now() - age, now() - age"
        " from unnest(array[interval '1 day', '3 years', '4 years']) as age",
        alice,
        audio_id,
    )
    assert db.value("select soundscape.delete_old_listening_events()") == 2
    assert db.value("select count(*) from public.listening_events") == 1
