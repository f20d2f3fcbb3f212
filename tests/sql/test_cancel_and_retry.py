"""An owner ends the analysis of a recording, or asks for another; nobody else does."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from .conftest import Connection, Database, Lost


def ask(
    db: Database, function: str, audio_id: str, user_id: str, connection: Connection | None = None
) -> Any:
    """Call as that signed-in user; committed."""
    session = connection or db.connect("authenticator")
    session.execute(
        "select set_config('role', 'authenticated', true),"
        " set_config('request.jwt.claims', jsonb_build_object('sub', %s::text)::text, true)",
        (user_id,),
    )
    row = session.execute(f"select public.{function}(%s) as status", (audio_id,)).fetchone()  # type: ignore[arg-type]
    session.commit()
    assert row is not None
    return row["status"]


@pytest.mark.parametrize("running", [False, True])
def test_cancelled_while_it_waits_or_runs(
    db: Database, alice: str, lease_is_lost: Any, running: bool
) -> None:
    audio_id = db.recording(alice)
    held = db.claim() if running else []
    assert ask(db, "cancel_analysis", audio_id, alice) == "failed"
    file = db.file(audio_id)
    assert (file["status"], file["error_code"]) == ("failed", "cancelled")
    assert "retry_analysis" in file["error_message"]
    assert (db.states(audio_id), db.messages(), db.claim()) == (["cancelled"], 0, [])
    calls: list[Lost] = [
        call
        for job in held
        for call in (lambda j=job: db.complete(j), lambda j=job: db.extend(j), lambda j=job: db.fail(j))  # type: ignore[misc]
    ]
    for call in calls:
        lease_is_lost(call)
    assert db.reconcile()["resent"] == 0


def test_a_cancelled_recording_is_tried_again(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    ask(db, "cancel_analysis", audio_id, alice)
    assert ask(db, "retry_analysis", audio_id, alice) == "queued"
    (held,) = db.claim()
    db.complete(held)
    assert db.states(audio_id) == ["cancelled", "succeeded"]
    file = db.file(audio_id)
    assert (file["status"], file["error_code"], file["error_message"]) == ("ready", None, None)


@pytest.mark.parametrize("kind", ["failed", "rejected", "dead"])
def test_retry_after_each_bad_end(db: Database, alice: str, kind: str) -> None:
    audio_id = db.recording(alice)
    for _ in range(5 if kind == "dead" else 1):
        db.expire_leases()
        (held,) = db.claim()
        db.fail(held, "crashed" if kind == "dead" else kind)
    assert ask(db, "retry_analysis", audio_id, alice) == "queued"
    (again,) = db.claim()
    assert again.attempt == 1, "it begins anew"


@pytest.mark.parametrize("status", ["awaiting_upload", "queued", "analyzing", "ready"])
@pytest.mark.parametrize("function", ["retry_analysis", "cancel_analysis"])
def test_where_there_is_nothing_to_do_nothing_is_done(
    db: Database, alice: str, function: str, status: str
) -> None:
    if function == "cancel_analysis" and status in ("queued", "analyzing"):
        pytest.skip("there is something to cancel")
    audio_id = db.describe(f"{alice}/x.wav", owner=alice)
    if status != "awaiting_upload":
        db.store(f"{alice}/x.wav", owner=alice)
    if status in ("analyzing", "ready"):
        (held,) = db.claim()
    if status == "ready":
        db.complete(held)
    before = db.jobs(audio_id)
    assert ask(db, function, audio_id, alice) == status
    assert db.jobs(audio_id) == before


@pytest.mark.parametrize("function", ["retry_analysis", "cancel_analysis"])
def test_strangers_and_inventions_get_the_same_answer(
    db: Database, alice: str, bob: str, function: str
) -> None:
    """So that nobody learns which ids exist."""
    audio_id = db.recording(alice)
    said = []
    for asked in (audio_id, "00000000-0000-4000-8000-000000000000"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
            ask(db, function, asked, bob)
        said.append(str(refused.value.diag.message_primary).replace(asked, "…"))
    assert said[0] == said[1]
    assert db.states(audio_id) == ["queued"]


def test_cancelling_new_bytes_takes_the_former_results_with_them(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    (held,) = db.claim()
    db.complete(held)
    db.store(held.object_name, owner=alice)
    assert ask(db, "cancel_analysis", audio_id, alice) == "failed"
    assert db.value("select count(*) from public.audio_features") == 0


def test_cancelling_a_backfill_leaves_what_was_found(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    (held,) = db.claim()
    db.complete(held)
    db.rows("select public.reanalyze('test-2')")
    assert ask(db, "cancel_analysis", audio_id, alice) == "ready"
    assert db.states(audio_id) == ["succeeded", "cancelled"]
    assert db.value("select count(*) from public.audio_features") == 1


@pytest.mark.parametrize("last_word", ["complete", "fail", "extend"])
def test_cancelled_beside_the_holders_last_word(db: Database, alice: str, last_word: str) -> None:
    """Whoever comes first has it; the other is told, and nobody waits for ever."""
    audio_id = db.recording(alice)
    (held,) = db.claim()
    holder = db.connect()
    getattr(Database(db.postgres, db.name, holder), last_word)(held)
    owner = db.connect("authenticator")
    owner.execute("set lock_timeout = '300ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        ask(db, "cancel_analysis", audio_id, alice, owner)
    owner.rollback()
    holder.commit()
    expected = "ready" if last_word == "complete" else "failed"
    assert ask(db, "cancel_analysis", audio_id, alice) == expected


def test_two_retries_at_once_ask_once(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    ask(db, "cancel_analysis", audio_id, alice)
    for _ in range(2):
        assert ask(db, "retry_analysis", audio_id, alice) == "queued"
    assert db.states(audio_id) == ["cancelled", "queued"]
