"""Who is told what, and when: with the ending itself, or not at all."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.waiting import LIMIT_S

from .conftest import RESULT, Database, Row


def told(db: Database, user: str) -> list[Row]:
    """What the user reads, oldest first, as the Data API would answer."""
    with db.acting("authenticated", user) as session:
        return session.execute("select * from public.notifications order by created_at").fetchall()


@pytest.fixture
def alice(db: Database) -> str:
    return db.sign_up()


def test_ready(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    assert told(db, alice) == []
    (held,) = db.claim()
    db.complete(held)
    (notification,) = told(db, alice)
    assert (notification["kind"], str(notification["audio_id"])) == ("recording_ready", audio_id)
    assert notification["trace_id"] == db.jobs(audio_id)[0]["trace_id"] == db.file(audio_id)["trace_id"]
    assert (notification["error_code"], notification["read_at"]) == (None, None)


def test_with_the_results_or_not_at_all(db: Database, alice: str) -> None:
    db.recording(alice)
    (held,) = db.claim()
    with pytest.raises(psycopg.Error):
        db.complete(held, {"analysis_version": "test-1", "source": {"duration_s": -1}})
    assert told(db, alice) == []


@pytest.mark.parametrize("kind", ["failed", "rejected"])
def test_refused(db: Database, alice: str, kind: str) -> None:
    db.recording(alice)
    (held,) = db.claim()
    db.fail(held, kind, code="not_audio")
    assert [(row["kind"], row["error_code"]) for row in told(db, alice)] == [
        (f"recording_{kind}", "not_audio")
    ]


def test_an_attempt_that_failed_is_no_news(db: Database, alice: str) -> None:
    db.recording(alice)
    for _ in range(5):
        db.expire_leases()
        (held,) = db.claim()
        assert told(db, alice) == []
        ended = db.fail(held, "crashed", code="analysis_crashed")
    assert ended == "dead"
    assert [(row["kind"], row["error_code"]) for row in told(db, alice)] == [
        ("recording_failed", "analysis_crashed")
    ]


def test_each_ending_of_new_bytes_is_told(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    db.complete(db.claim()[0])
    db.store(db.file(audio_id)["file_path"], owner=alice)
    db.fail(db.claim()[0], "failed", code="not_audio")
    assert [row["kind"] for row in told(db, alice)] == ["recording_ready", "recording_failed"]


def test_who_cancels_knows(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    with db.connect("authenticator") as session:
        session.execute(
            "select set_config('role', 'authenticated', true),"
            " set_config('request.jwt.claims', jsonb_build_object('sub', %s::text)::text, true)",
            (alice,),
        )
        session.execute("select public.cancel_analysis(%s)", (audio_id,))
    assert db.file(audio_id)["error_code"] == "cancelled"
    assert told(db, alice) == []


def test_a_backfill_is_no_news(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    db.complete(db.claim()[0])
    db.rows("delete from public.notifications")
    version = db.file(audio_id)["object_version"]
    db.rows("select soundscape.enqueue(%s, %s, 'soundscape_backfill', 'test-2')", audio_id, version)
    db.complete(db.claim()[0])
    assert db.states(audio_id) == ["succeeded", "succeeded"]
    assert told(db, alice) == []


def test_a_user_may_be_deleted_while_a_job_of_theirs_ends(db: Database, alice: str) -> None:
    """Whichever comes first, neither ends for a deadlock."""
    db.recording(alice)
    (held,) = db.claim()
    with db.connect("postgres") as ending, ThreadPoolExecutor(1) as others:
        ending.execute("select soundscape.lock_held_job(%s, %s)", (held.job_id, held.token))
        deletion = others.submit(db.rows, "delete from auth.users where id = %s", alice)
        while not db_waits(ending):
            assert not deletion.done()
        whole = RESULT | {"waveform": {"path": held.picture}}
        ending.execute("select public.complete_job(%s, %s, %s)", (held.job_id, held.token, json.dumps(whole)))
        ending.commit()
        deletion.result(timeout=LIMIT_S)
    assert db.rows("select 1 from public.notifications where user_id = %s", alice) == []


def db_waits(session: psycopg.Connection[Row]) -> bool:
    """Whether somebody waits for what this session holds."""
    return bool(
        session.execute(
            "select from pg_stat_activity a where pg_backend_pid() = any (pg_blocking_pids(a.pid))"
        ).fetchall()
    )


def test_they_go_with_the_recording_and_with_age(db: Database, alice: str) -> None:
    for _ in range(3):
        db.recording(alice)
        db.complete(db.claim()[0])
    ids = [row["id"] for row in told(db, alice)]
    db.rows(
        "delete from public.audio_files f using public.notifications n where n.audio_id = f.id and n.id = %s",
        ids[0],
    )
    db.rows(
        "update public.notifications set created_at = now() - interval '91 days' where id = %s",
        ids[1],
    )
    db.reconcile()
    assert [row["id"] for row in told(db, alice)] == ids[2:]


def test_a_kind_is_a_row_of_the_registry(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    notify = "select soundscape.notify(%s, 'recording_praised', %s, null, 'trace')"
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        db.rows(notify, alice, audio_id)
    with db.connection.transaction(force_rollback=True):
        db.rows("insert into soundscape.notification_kinds values ('recording_praised', 'Praise.')")
        db.rows(notify, alice, audio_id)
        assert db.value("select kind from public.notifications where user_id = %s", alice) == (
            "recording_praised"
        )


def test_every_notification_is_written_by_notify(db: Database) -> None:
    writers = db.rows(
        "select proname as name from pg_proc where prosrc ~* 'insert into public\\.notifications\\y'"
    )
    assert writers == [{"name": "notify"}]
