"""The ledger and its queue: each recording is analysed once, by one, or somebody can read why not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from tests.waiting import LIMIT_S, until

from .conftest import Connection, Database, Lost

LeaseIsLost = Callable[[Lost], None]

# -- arrival ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["row", "object"])
def test_whichever_comes_second_enqueues(db: Database, alice: str, first: str) -> None:
    name = f"{alice}/x.wav"
    if first == "row":
        audio_id = db.describe(name, owner=alice)
        assert (db.file(audio_id)["status"], db.jobs(audio_id), db.messages()) == ("awaiting_upload", [], 0)
        version = db.store(name, owner=alice)
    else:
        version = db.store(name, owner=alice)
        assert db.messages() == 0
        audio_id = db.describe(name, owner=alice)
    file = db.file(audio_id)
    assert (file["status"], file["object_version"], file["size_bytes"]) == ("queued", version, 1000)
    (job,) = db.jobs(audio_id)
    assert (job["state"], job["object_version"], job["queue"]) == ("queued", version, "soundscape_uploads")
    assert db.messages() == 1


@pytest.mark.parametrize("first", ["row", "object"])
def test_both_at_once_in_two_transactions_give_one_job(db: Database, alice: str, first: str) -> None:
    """Neither transaction sees the other's write until it commits."""
    name = f"{alice}/x.wav"
    one, other = db.connect(), db.connect()
    made: list[str] = []

    def describe(connection: Connection) -> None:
        made.append(db.describe(name, owner=alice, connection=connection))

    def store(connection: Connection) -> None:
        db.store(name, owner=alice, connection=connection)

    def run_later() -> None:
        later(other)
        other.commit()

    earlier, later = (describe, store) if first == "row" else (store, describe)
    earlier(one)
    waiting = threading.Thread(target=run_later)
    waiting.start()
    _await_blocked(db, other)
    one.commit()
    waiting.join(timeout=LIMIT_S)
    assert not waiting.is_alive()
    assert db.states(made[0]) == ["queued"]
    assert (db.file(made[0])["status"], db.messages()) == ("queued", 1)


@pytest.mark.parametrize("first", ["row", "object"])
def test_an_upload_that_describes_itself_beside_a_row_of_its_own(
    db: Database, alice: str, first: str
) -> None:
    """Both want to make the row: one waits for the other, neither is chosen as a deadlock's victim."""
    name = f"{alice}/x.wav"
    one, other = db.connect(), db.connect()
    failures: list[Exception] = []

    def describe(connection: Connection) -> None:
        db.describe(name, owner=alice, title="By hand", connection=connection)

    def store(connection: Connection) -> None:
        db.store(name, owner=alice, user_metadata={"title": "By upload"}, connection=connection)

    def run_later() -> None:
        try:
            later(other)
            other.commit()
        except psycopg.Error as error:
            failures.append(error)

    earlier, later = (describe, store) if first == "row" else (store, describe)
    earlier(one)
    waiting = threading.Thread(target=run_later)
    waiting.start()
    _await_blocked(db, other)
    one.commit()
    waiting.join(timeout=LIMIT_S)
    # The row made by hand after the upload made one is a duplicate, and is told so.
    assert [type(failure) for failure in failures] == (
        [] if first == "row" else [psycopg.errors.UniqueViolation]
    )
    row = db.row("select id, title from public.audio_files where file_path = %s", name)
    assert row["title"] == ("By hand" if first == "row" else "By upload")
    assert db.states(row["id"]) == ["queued"]


def test_a_permission_probe_leaves_nothing(db: Database, alice: str) -> None:
    name = f"{alice}/x.wav"
    audio_id = db.describe(name, owner=alice)
    probe = db.connect()
    db.store(name, owner=alice, connection=probe)
    probe.rollback()
    assert (db.jobs(audio_id), db.messages(), db.file(audio_id)["status"]) == ([], 0, "awaiting_upload")
    assert db.value("select count(*) from net.http_request_queue") == 0


def test_a_write_without_an_etag_is_not_yet_an_object(db: Database, alice: str) -> None:
    audio_id = db.describe(f"{alice}/x.wav", owner=alice)
    db.rows(
        "insert into storage.objects (bucket_id, name, owner_id, version, metadata)"
        " values ('audio-files', %s, %s, 'v', '{}')",
        f"{alice}/x.wav",
        alice,
    )
    assert db.jobs(audio_id) == []


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"title": "  Rain  "}, {"title": "Rain", "tags": [], "is_public": False, "description": None}),
        ({"title": "R" * 300}, {"title": "R" * 200}),
        ({"title": "R", "tags": ["a", "b"], "is_public": True}, {"tags": ["a", "b"], "is_public": True}),
        ({"title": "R", "tags": ["t" * 90] * 90}, {"tags": ["t" * 50] * 50}),
        ({"title": "R", "tags": ["a", None, "b"]}, {"tags": ["a", "b"]}),  # null is no tag
        ({"title": "R", "tags": "not a list", "is_public": "true"}, {"tags": [], "is_public": True}),
        ({"title": "R", "is_public": "yes"}, {"is_public": False}),  # only true is true
        ({"title": "R", "description": "d" * 6000}, {"description": "d" * 5000}),
        ({"title": "R", "license": "l" * 200}, {"license": None}),
    ],
)
def test_an_upload_with_a_title_describes_itself(
    db: Database, alice: str, said: dict[str, Any], expected: dict[str, Any]
) -> None:
    db.store(f"{alice}/x.wav", owner=alice, user_metadata=said)
    row = db.row("select * from public.audio_files where file_path = %s", f"{alice}/x.wav")
    assert {name: row[name] for name in expected} == expected
    assert (str(row["user_id"]), row["status"]) == (alice, "queued")
    assert db.states(row["id"]) == ["queued"]


@pytest.mark.parametrize("said", [None, {}, {"title": "   "}, {"tags": ["a"]}])
def test_an_upload_without_a_title_waits_to_be_described(db: Database, alice: str, said: Any) -> None:
    db.store(f"{alice}/x.wav", owner=alice, user_metadata=said)
    assert db.rows("select * from public.audio_files") == []
    assert db.messages() == 0


def test_a_broken_doorbell_stops_no_upload(db: Database, alice: str) -> None:
    secret = db.row("select id, decrypted_secret from vault.decrypted_secrets where name = %s", SECRET_NAME)
    db.rows("select vault.update_secret(%s, 'whsec_this is not base64!')", secret["id"])
    try:
        audio_id = db.recording(alice)
    finally:
        db.rows("select vault.update_secret(%s, %s)", secret["id"], secret["decrypted_secret"])
    assert db.states(audio_id) == ["queued"]


SECRET_NAME = "soundscape_webhook_secret"


# -- new bytes, the same bytes, other names -----------------------------------------------------------


def test_new_bytes_supersede(db: Database, alice: str, lease_is_lost: LeaseIsLost) -> None:
    audio_id = db.recording(alice)
    (held,) = db.claim()
    newer = db.store(held.object_name, owner=alice)
    assert db.states(audio_id) == ["superseded", "queued"]
    for late in (lambda: db.complete(held), lambda: db.extend(held), lambda: db.fail(held, "failed")):
        lease_is_lost(late)
    assert db.file(audio_id)["status"] == "queued"
    (again,) = db.claim()
    assert (again.object_version, again.attempt) == (newer, 1)
    db.complete(again)
    assert db.file(audio_id)["status"] == "ready"
    db.expire_leases()
    assert (db.claim(10), db.messages()) == ([], 0)


@pytest.mark.parametrize("ending", ["complete", "extend", "fail"])
def test_new_bytes_while_the_worker_writes_make_no_deadlock(
    db: Database, alice: str, ending: str, lease_is_lost: LeaseIsLost
) -> None:
    """The upload holds the recording and wants its job, the worker the other way round: one must wait."""
    audio_id = db.recording(alice)
    (held,) = db.claim()
    upload = db.connect()
    # The first thing an overwrite touches, held open; the rest of it comes while the worker is at work.
    upload.execute("select soundscape.lock_object_name(%s)", (held.object_name,))
    upload.execute("select 1 from public.audio_files where id = %s for update", (audio_id,))
    outcome: list[Any] = []

    def work() -> None:
        with psycopg.connect(db.dsn(), autocommit=True) as worker:
            other = Database(db.postgres, db.name, worker)  # type: ignore[arg-type]
            try:
                getattr(other, ending)(held)
            except psycopg.Error as error:
                outcome.append(error.sqlstate)

    working = threading.Thread(target=work)
    working.start()
    time.sleep(0.1)
    db.store(held.object_name, owner=alice, connection=upload)
    upload.commit()
    working.join(timeout=LIMIT_S)
    assert outcome == ["PT409"]
    assert db.states(audio_id) == ["superseded", "queued"]


@pytest.mark.parametrize("status", ["queued", "analyzing", "ready"])
def test_the_same_bytes_again_are_not_heard_again(db: Database, alice: str, status: str) -> None:
    audio_id = db.recording(alice, etag="same")
    name = db.file(audio_id)["file_path"]
    if status != "queued":
        (held,) = db.claim()
    if status == "ready":
        db.complete(held)
    before = db.states(audio_id)
    version = db.store(name, owner=alice, etag="same")
    assert (db.states(audio_id), db.file(audio_id)["status"]) == (before, status)
    assert db.file(audio_id)["object_version"] == version
    if status == "analyzing":
        db.complete(held)
        features = db.row("select * from public.audio_features where audio_id = %s", audio_id)
        assert features["object_version"] == version


@pytest.mark.parametrize("kind", ["failed", "rejected"])
def test_the_same_bytes_for_a_refused_recording_are_another_try(db: Database, alice: str, kind: str) -> None:
    audio_id = db.recording(alice, etag="same")
    (held,) = db.claim()
    db.fail(held, kind)
    db.store(held.object_name, owner=alice, etag="same")
    assert db.states(audio_id) == ["refused", "queued"]
    assert (db.file(audio_id)["status"], db.file(audio_id)["error_code"]) == ("queued", None)


def test_bytes_that_are_refused_take_the_former_results_with_them(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    (held,) = db.claim()
    db.complete(held)
    picture = held.picture
    db.store(picture, owner=None, bucket="waveforms")
    db.store(held.object_name, owner=alice)
    # Old results stay readable until there is something to say about the new bytes.
    assert db.value("select count(*) from public.audio_features") == 1
    (again,) = db.claim()
    db.fail(again, "failed", code="not_audio")
    file = db.file(audio_id)
    assert (file["status"], file["analysis_version"], file["analyzed_at"]) == ("failed", None, None)
    assert db.value("select count(*) from public.audio_features") == 0
    assert ("waveforms", picture) in db.deletions()


@pytest.mark.parametrize("status", ["queued", "analyzing", "ready", "failed"])
def test_a_moved_object_keeps_its_recording(db: Database, alice: str, status: str) -> None:
    audio_id = db.recording(alice)
    if status != "queued":
        (held,) = db.claim()
    if status == "ready":
        db.complete(held)
    if status == "failed":
        db.fail(held, "failed")
    before = db.states(audio_id)
    db.rows(
        "update storage.objects set name = %s, version = 'moved' where name = %s",
        f"{alice}/moved.wav",
        db.file(audio_id)["file_path"],
    )
    file = db.file(audio_id)
    assert (file["file_path"], file["object_version"], file["status"]) == (
        f"{alice}/moved.wav",
        "moved",
        status,
    )
    assert db.states(audio_id) == before
    if status == "ready":
        assert db.value("select object_version from public.audio_features") == "moved"


def test_an_object_stays_in_its_bucket(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="do not move between"):
        db.rows(
            "update storage.objects set bucket_id = 'profile-images' where name = %s",
            db.file(audio_id)["file_path"],
        )
    assert db.file(audio_id)["status"] == "queued"


# -- whose it is --------------------------------------------------------------------------------------


def test_a_name_described_by_another_is_refused(db: Database, alice: str, bob: str) -> None:
    db.describe("public/x.wav", owner=alice)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="cannot be used"):
        db.store("public/x.wav", owner=bob)
    db.store("public/y.wav", owner=alice)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="cannot be used"):
        db.describe("public/y.wav", owner=bob)


def test_an_upload_with_the_secret_key_belongs_to_the_folder(db: Database, alice: str) -> None:
    db.store(f"{alice}/x.wav", owner=None)
    assert db.states(db.describe(f"{alice}/x.wav", owner=alice)) == ["queued"]


# -- claiming -----------------------------------------------------------------------------------------


def test_a_claim_says_all_the_worker_needs(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    row = db.row("select * from public.claim_jobs('w1', 1, 60)")
    file, (job,) = db.file(audio_id), db.jobs(audio_id)
    assert (row["job_id"], str(row["audio_id"]), str(row["user_id"])) == (job["id"], audio_id, alice)
    assert (row["object_name"], row["object_version"]) == (file["file_path"], file["object_version"])
    assert (row["size_bytes"], row["content_type"], row["attempt"]) == (1000, "audio/wav", 1)
    assert row["object_etag"] == file["object_etag"] is not None
    assert len(row["trace_id"]) == 32
    assert (job["state"], job["worker"], file["status"]) == ("running", "w1", "analyzing")
    assert 55 < (job["lease_expires_at"] - job["started_at"]).total_seconds() < 65


def test_what_a_worker_holds_unknowingly_is_given_back(db: Database, alice: str, lease_is_lost: Any) -> None:
    """The answer to its claim was lost on the way: no attempt is counted against the recording."""
    known, unheard = db.recording(alice), db.recording(alice)
    (held,) = db.claim()
    for _ in range(12):
        (lost,) = db.claim()
        assert lost.audio_id == unheard
        assert db.rows("select * from public.claim_jobs('w', 1, 60, %s)", [held.token]) == []
        (job,) = db.jobs(unheard)
        assert (job["state"], job["attempt"] - job["excused"]) == ("queued", 0)
        lease_is_lost(lambda lost=lost: db.complete(lost))
    assert db.states(known) == ["running"]
    # Somebody else's, and what whoever does not say what they hold has, are left alone.
    (lost,) = db.claim()
    db.rows("select * from public.claim_jobs('another', 0, 60, '{}')")
    assert db.claim() == []
    assert db.states(unheard) == ["running"]
    db.complete(held)
    db.complete(lost)


def test_a_claimed_job_is_nobody_elses(db: Database, alice: str) -> None:
    for _ in range(5):
        db.recording(alice)
    first, second = db.claim(2), db.claim(9)
    assert (len(first), len(second), db.claim(9)) == (2, 3, [])
    assert {held.job_id for held in first}.isdisjoint(held.job_id for held in second)


def test_uploads_come_before_backfills(db: Database, alice: str) -> None:
    old = db.recording(alice)
    db.complete(db.claim()[0])
    db.rows("update public.audio_files set status = 'queued' where id = %s", old)
    db.rows("select soundscape.enqueue(%s, %s, 'soundscape_backfill')", old, db.file(old)["object_version"])
    new = db.recording(alice)
    assert [held.audio_id for held in db.claim(2)] == [new, old]


@pytest.mark.parametrize("most", [0, -1])
def test_nothing_asked_nothing_claimed(db: Database, alice: str, most: int) -> None:
    db.recording(alice)
    assert db.claim(most) == []


def test_two_workers_claim_at_once(db: Database) -> None:
    for _ in range(20):
        db.recording(db.sign_up())
    one, other = db.connect(), db.connect()
    first = db.claim(10, connection=one)
    second = db.claim(10, connection=other)  # does not wait for the first
    one.commit()
    other.commit()
    assert len({held.job_id for held in (*first, *second)}) == 20


def test_a_claim_waits_for_nobody_who_holds_the_recording(db: Database, alice: str) -> None:
    """Somebody edits the title for a while: the claim goes on, the job is there again soon after."""
    audio_id = db.recording(alice)
    editor = db.connect()
    editor.execute("update public.audio_files set title = 'New' where id = %s", (audio_id,))
    db.rows("set lock_timeout = '2s'")
    try:
        assert db.claim() == []
    finally:
        db.rows("reset lock_timeout")
    editor.commit()
    back_in = db.value("select vt - clock_timestamp() from pgmq.q_soundscape_uploads")
    assert back_in.total_seconds() <= 1
    db.expire_leases()
    (held,) = db.claim()
    assert held.attempt == 1, "a claim that found the row locked is no attempt"


# -- leases -------------------------------------------------------------------------------------------


def test_a_worker_that_comes_back_late_writes_nothing(
    db: Database, alice: str, lease_is_lost: LeaseIsLost
) -> None:
    audio_id = db.recording(alice)
    (late,) = db.claim(worker="paused")
    db.expire_leases()
    (present,) = db.claim(worker="present")
    assert (present.job_id, present.attempt) == (late.job_id, 2)
    assert present.token != late.token
    for call in (lambda: db.complete(late), lambda: db.extend(late), lambda: db.fail(late)):
        lease_is_lost(call)
    assert db.value("select count(*) from public.audio_features") == 0
    db.complete(present)
    assert db.file(audio_id)["status"] == "ready"
    for call in (lambda: db.complete(late), lambda: db.complete(present)):
        lease_is_lost(call)


def test_a_late_worker_whom_nobody_replaced_still_completes(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    (held,) = db.claim()
    db.expire_leases()
    db.complete(held)
    assert (db.file(audio_id)["status"], db.claim()) == ("ready", [])


def test_the_heartbeat_holds_the_job(db: Database, alice: str) -> None:
    db.recording(alice)
    (held,) = db.claim(lease_s=1)
    db.extend(held, lease_s=90)
    left = db.value("select vt - clock_timestamp() from pgmq.q_soundscape_uploads").total_seconds()
    assert 80 < left < 91


@pytest.mark.parametrize("ending", ["complete", "extend", "fail"])
def test_a_claim_beside_its_holders_last_word(db: Database, alice: str, ending: str) -> None:
    """The lease ran out, the holder is writing, another claims: no deadlock, and no second holder."""
    audio_id = db.recording(alice)
    (held,) = db.claim()
    db.expire_leases()
    holder = db.connect()
    holder.execute("select soundscape.lock_held_job(%s, %s)", (held.job_id, held.token))
    other = db.connect()
    assert db.claim(connection=other) == []
    other.commit()
    if ending == "complete":
        Database(db.postgres, db.name, holder).complete(held)
    elif ending == "extend":
        Database(db.postgres, db.name, holder).extend(held)
    else:
        Database(db.postgres, db.name, holder).fail(held)
    holder.commit()
    assert db.states(audio_id) == [{"complete": "succeeded", "extend": "running", "fail": "queued"}[ending]]
    assert db.claim() == []


@pytest.mark.parametrize("token", ["", "1", "1.1.1", "0.0", "x", None])
def test_a_made_up_token_holds_nothing(
    db: Database, alice: str, lease_is_lost: LeaseIsLost, token: str | None
) -> None:
    audio_id = db.recording(alice)
    (held,) = db.claim()
    lease_is_lost(lambda: db.rows("select public.extend_lease(%s, %s, 60)", held.job_id, token))
    lease_is_lost(lambda: db.rows("select public.extend_lease(%s, %s, 60)", -1, held.token))
    assert db.states(audio_id) == ["running"]


# -- endings ------------------------------------------------------------------------------------------


def test_completion_is_one_transaction(db: Database, alice: str) -> None:
    """Results that do not fit are refused whole: no features, no state, the lease still held."""
    audio_id = db.recording(alice)
    (held,) = db.claim()
    with pytest.raises(psycopg.Error):
        db.complete(held, {"analysis_version": "test-1", "source": {"duration_s": -1}})
    assert (db.states(audio_id), db.file(audio_id)["status"], db.messages()) == (["running"], "analyzing", 1)
    assert db.value("select count(*) from public.audio_features") == 0
    db.complete(held)
    file = db.file(audio_id)
    assert (file["status"], file["duration"], file["sample_rate"], file["channels"]) == (
        "ready",
        1.5,
        44100,
        2,
    )
    assert (file["analysis_version"], file["analyzed_at"] is not None) == ("test-1", True)
    features = db.row("select * from public.audio_features where audio_id = %s", audio_id)
    assert (features["integrated_lufs"], features["object_version"]) == (-23.0, held.object_version)
    assert (db.messages(), db.value("select count(*) from pgmq.a_soundscape_uploads")) == (0, 0)


def test_pictures_of_an_earlier_version_are_removed(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    (held,) = db.claim()
    ours = held.picture
    old = f"{audio_id}/test-0/earlier/waveform.dat"
    for name in (ours, old):
        db.store(name, owner=None, bucket="waveforms")
    db.complete(held)
    assert db.deletions() == {("waveforms", old)}


def test_pictures_that_are_shown_are_not_to_be_removed(db: Database, alice: str) -> None:
    """Bytes are overwritten; their analysis is cancelled once its pictures lie there, and retried."""
    audio_id = db.recording(alice)
    (held,) = db.claim()
    db.complete(held)
    db.store(held.object_name, owner=alice)
    (cancelled,) = db.claim()
    db.store(cancelled.picture, owner=None, bucket="waveforms")
    for wish in ("cancel", "retry"):
        db.rows(f"select soundscape.{wish}_job(%s)", audio_id)
    (again,) = db.claim()
    db.store(again.picture, owner=None, bucket="waveforms")
    db.complete(again)
    assert db.deletions() == {("waveforms", cancelled.picture)}
    shown = db.value("select waveform_path from public.audio_features where audio_id = %s", audio_id)
    assert ("waveforms", shown) not in db.deletions()


@pytest.mark.parametrize("taken", [False, True])
def test_a_removal_of_what_an_attempt_has_stored(db: Database, alice: str, taken: bool) -> None:
    """The sweep took it for nobody's: it is withdrawn, or the attempt fails for now where it may be gone."""
    audio_id = db.recording(alice)
    (held,) = db.claim()
    db.rows("insert into soundscape.deletions (bucket_id, name) values ('waveforms', %s)", held.picture)
    if taken:
        db.rows("select * from public.pending_deletions()")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            db.complete(held)
    else:
        db.complete(held)
    assert db.deletions() == ({("waveforms", held.picture)} if taken else set())
    assert db.file(audio_id)["status"] == ("analyzing" if taken else "ready")


@pytest.mark.parametrize("ending", ["waiting", "refused", "succeeded"])
def test_a_deleted_recording_leaves_no_message(db: Database, alice: str, ending: str) -> None:
    left = """
        select (select count(*) from pgmq.q_soundscape_uploads)
             + (select count(*) from pgmq.a_soundscape_uploads)
    """
    before = db.value(left)
    audio_id = db.recording(alice)
    if ending != "waiting":
        (held,) = db.claim()
        db.fail(held, "failed", code="not_audio") if ending == "refused" else db.complete(held)
    assert db.value(left) == before + (ending == "waiting")
    db.rows("delete from public.audio_files where id = %s", audio_id)
    assert db.value(left) == before


@pytest.mark.parametrize("kind", ["failed", "rejected"])
def test_a_refusal_is_final_and_says_why(db: Database, alice: str, kind: str) -> None:
    audio_id = db.recording(alice)
    (held,) = db.claim()
    assert db.fail(held, kind, code="not_audio") == "refused"
    file, (job,) = db.file(audio_id), db.jobs(audio_id)
    assert (file["status"], file["error_code"], file["error_message"]) == (
        kind,
        "not_audio",
        "It did not work.",
    )
    assert (job["state"], job["error_code"], db.messages()) == ("refused", "not_audio", 0)


def test_a_kind_nobody_knows_is_an_error(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    (held,) = db.claim()
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        db.fail(held, "perhaps")
    assert db.states(audio_id) == ["running"]


def test_long_reasons_are_cut(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    (held,) = db.claim()
    db.rows(
        "select public.fail_job(%s, %s, 'failed', %s, %s)", held.job_id, held.token, "c" * 100, "m" * 9000
    )
    file = db.file(audio_id)
    assert (len(file["error_code"]), len(file["error_message"])) == (64, 2000)


@pytest.mark.parametrize(
    ("kind", "failures", "max_s"),
    [("crashed", 1, 2), ("crashed", 4, 16), ("passing", 1, 5), ("passing", 4, 40), ("passing", 20, 300)],
)
def test_a_failed_attempt_waits_then_comes_back(
    db: Database, alice: str, lease_is_lost: LeaseIsLost, kind: str, failures: int, max_s: int
) -> None:
    audio_id = db.recording(alice)
    for _ in range(failures):
        db.expire_leases()
        (held,) = db.claim()
        assert db.fail(held, kind) == "queued"
    assert (db.file(audio_id)["status"], db.file(audio_id)["error_code"]) == ("queued", None)
    assert (db.states(audio_id), db.claim()) == (["queued"], [])
    left = db.value("select vt - clock_timestamp() from pgmq.q_soundscape_uploads").total_seconds()
    assert 0.5 < left <= max_s
    lease_is_lost(lambda: db.complete(held))
    db.expire_leases()
    (again,) = db.claim()
    assert again.attempt == failures + 1


@pytest.mark.parametrize(("base_s", "failures", "max_s"), [(2, 1, 2), (2, 4, 16), (5, 5, 80), (5, 99, 300)])
def test_backoff_is_spread_out_over_its_whole_range(
    db: Database, base_s: int, failures: int, max_s: int
) -> None:
    """So that a crowd that failed together does not return as one."""
    waits = [
        row["wait"]
        for row in db.rows(
            "select soundscape.backoff_s(%s, %s) as wait from generate_series(1, 500)", base_s, failures
        )
    ]
    assert min(waits) >= 1
    assert max(waits) <= max_s
    assert max(waits) > max_s * 0.9
    assert len(set(waits)) >= min(max_s, 12)
    assert sum(waits) / len(waits) == pytest.approx(max(max_s / 2, 1.25), rel=0.2)


def test_dead_after_the_last_attempt(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    endings = []
    for _ in range(db.value("select soundscape.max_attempts()")):
        db.expire_leases()
        (held,) = db.claim()
        endings.append(db.fail(held, "crashed", code="analysis_timeout"))
    assert endings == ["queued"] * 4 + ["dead"]
    file, (job,) = db.file(audio_id), db.jobs(audio_id)
    assert (file["status"], file["error_code"], db.messages()) == ("failed", "analysis_timeout", 0)
    assert (job["state"], job["error_message"]) == ("dead", "It did not work.")
    # The owner reads what to do, not what broke inside.
    assert "retry_analysis" in file["error_message"]
    assert "It did not work" not in file["error_message"]


def test_what_the_network_did_counts_against_nobody(db: Database, alice: str) -> None:
    """Fifty passing failures and stopped workers end it; between them five crashes would."""
    audio_id = db.recording(alice)
    endings = []
    for number in range(db.value("select soundscape.max_excused_failures()")):
        db.expire_leases()
        (held,) = db.claim()
        endings.append(db.fail(held, "released" if number == 7 else "passing"))
    assert endings == ["queued"] * 49 + ["dead"]
    assert (db.states(audio_id), db.file(audio_id)["status"]) == (["dead"], "failed")


def test_a_stopped_worker_gives_back_at_once(db: Database, alice: str) -> None:
    db.recording(alice)
    (held,) = db.claim()
    assert db.fail(held, "released") == "queued"
    (again,) = db.claim()
    assert (again.job_id, again.attempt) == (held.job_id, 2)


def test_killed_workers_count_as_attempts(db: Database, alice: str) -> None:
    """Nobody says anything: each lease runs out. The others' jobs go on meanwhile."""
    audio_id = db.recording(alice)
    other = db.recording(alice)
    tokens = set()
    for _ in range(db.value("select soundscape.max_attempts()")):
        held = {found.audio_id: found for found in db.claim(2)}
        if other in held:
            db.complete(held[other])
        tokens.add(held[audio_id].token)
        db.expire_leases()
    assert len(tokens) == 5
    assert db.claim() == []
    file = db.file(audio_id)
    assert (file["status"], file["error_code"]) == ("failed", "analysis_crashed")
    assert (db.states(audio_id), db.file(other)["status"]) == (["dead"], "ready")


# -- deletion -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("running", [False, True])
def test_an_object_that_is_deleted_cancels(
    db: Database, alice: str, lease_is_lost: LeaseIsLost, running: bool
) -> None:
    audio_id = db.recording(alice)
    held = db.claim() if running else []
    db.remove(db.file(audio_id)["file_path"])
    file = db.file(audio_id)
    assert (file["status"], file["object_id"], file["object_version"]) == ("awaiting_upload", None, None)
    assert db.states(audio_id) == ["cancelled"]
    for job in held:
        lease_is_lost(lambda job=job: db.complete(job))  # type: ignore[misc]
    db.expire_leases()
    assert (db.claim(), db.messages()) == ([], 0)


def test_results_go_with_the_object(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    (held,) = db.claim()
    picture = held.picture
    db.store(picture, owner=None, bucket="waveforms")
    db.complete(held)
    db.remove(held.object_name)
    assert (db.file(audio_id)["analysis_version"], db.rows("select * from public.audio_features")) == (
        None,
        [],
    )
    assert db.deletions() == {("waveforms", picture)}


def test_objects_follow_a_deleted_row(db: Database, alice: str, lease_is_lost: LeaseIsLost) -> None:
    audio_id = db.recording(alice)
    (held,) = db.claim()
    picture = f"{audio_id}/test-1/v/waveform.dat"
    db.store(picture, owner=None, bucket="waveforms")
    db.rows("delete from public.audio_files where id = %s", audio_id)
    lease_is_lost(lambda: db.complete(held))
    assert db.deletions() == {("audio-files", held.object_name), ("waveforms", picture)}
    pending = {
        row["bucket_id"]: row["names"] for row in db.rows("select * from public.pending_deletions(100)")
    }
    assert pending == {"audio-files": [held.object_name], "waveforms": [picture]}
    db.rows("select public.confirm_deletions('audio-files', %s)", [held.object_name])
    assert db.deletions() == {("waveforms", picture)}


@pytest.mark.parametrize("again", ["row", "object"])
def test_a_name_taken_again_is_not_removed(db: Database, alice: str, again: str) -> None:
    """Deleted and described, or uploaded, once more before the worker came to remove the bytes."""
    audio_id = db.recording(alice)
    name = db.file(audio_id)["file_path"]
    db.rows("delete from public.audio_files where id = %s", audio_id)
    if again == "row":
        db.describe(name, owner=alice)
    else:
        db.store(name, owner=alice)
    assert db.deletions() == set()


@pytest.mark.parametrize("again", ["row", "object"])
def test_a_name_that_is_being_cleared_is_out_of_use_until_then(db: Database, alice: str, again: str) -> None:
    """The Storage API deletes by name: new bytes under it would go with the old ones."""
    audio_id = db.recording(alice)
    name = db.file(audio_id)["file_path"]
    db.rows("delete from public.audio_files where id = %s", audio_id)
    assert db.rows("select * from public.pending_deletions()") == [
        {"bucket_id": "audio-files", "names": [name]}
    ]
    assert db.rows("select * from public.pending_deletions()") == [], "it has been taken"

    def use() -> None:
        if again == "row":
            db.describe(name, owner=alice)
        else:
            db.store(name, owner=alice)

    with pytest.raises(InsufficientPrivilege, match="is being deleted"):
        use()
    db.remove(name)
    db.rows("select public.confirm_deletions('audio-files', %s)", [name])
    use()


def test_a_removal_whose_worker_died_is_taken_again(db: Database, alice: str) -> None:
    db.rows("delete from public.audio_files where id = %s", db.recording(alice))
    taken = db.rows("select * from public.pending_deletions()")
    db.rows("update soundscape.deletions set taken_at = now() - interval '3 minutes'")
    assert db.rows("select * from public.pending_deletions()") == taken


def test_what_could_not_be_removed_waits_longer_each_time_and_goes_alone(db: Database, alice: str) -> None:
    names = [db.file(db.recording(alice))["file_path"] for _ in range(2)]
    db.rows("delete from public.audio_files")
    pending = "select names from public.pending_deletions(2)"

    def later(minutes: int) -> None:
        db.rows("update soundscape.deletions set taken_at = taken_at - make_interval(mins => %s)", minutes)

    assert [sorted(row["names"]) for row in db.rows(pending)] == [sorted(names)]
    later(3)
    assert sorted(row["names"] for row in db.rows(pending)) == sorted([name] for name in names)
    later(3)
    assert db.rows(pending) == [], "now it is four minutes"
    later(2)
    # Both are due; what is new comes first.
    new = db.file(db.recording(alice))["file_path"]
    db.rows("delete from public.audio_files")
    assert [new] in [row["names"] for row in db.rows(pending)]
    db.rows("update soundscape.deletions set attempts = 1000, taken_at = now()")
    later(17 * 60)
    assert db.rows(pending) == []
    later(10)
    assert len(db.rows(pending)) == 2


def test_two_workers_do_not_take_the_same_removal(db: Database, alice: str) -> None:
    db.rows("delete from public.audio_files where id = %s", db.recording(alice))
    first = db.connect()
    assert first.execute("select * from public.pending_deletions()").fetchall()
    with ThreadPoolExecutor() as pool:
        second = pool.submit(db.connect(autocommit=True).execute, "select * from public.pending_deletions()")
        until(db.somebody_waits)
        first.commit()
        assert second.result(timeout=LIMIT_S).fetchall() == []


def test_a_deleted_user_leaves_nothing(db: Database, alice: str, bob: str) -> None:
    queued, ready = db.recording(alice), db.recording(alice)
    kept = db.recording(bob)
    for held in db.claim(3):
        if held.audio_id == ready:
            db.complete(held)
    names = {db.file(audio_id)["file_path"] for audio_id in (queued, ready)}
    undescribed, portrait = f"{alice}/undescribed.wav", f"{alice}/me.png"
    picture = f"{ready}/test-1/v/waveform.dat"
    db.store(undescribed, owner=alice)
    db.store(portrait, owner=alice, bucket="profile-images")
    db.store(picture, owner=None, bucket="waveforms")
    db.rows("delete from auth.users where id = %s", alice)
    assert [str(row["id"]) for row in db.rows("select id from public.audio_files")] == [kept]
    assert [str(row["audio_id"]) for row in db.rows("select audio_id from soundscape.jobs")] == [kept]
    assert db.rows("select * from public.audio_features") == []
    assert db.deletions() == {
        *(("audio-files", name) for name in (*names, undescribed)),
        ("profile-images", portrait),
        ("waveforms", picture),
    }
    db.expire_leases()
    assert [held.audio_id for held in db.claim(9)] == [kept]


# -- the sweep ----------------------------------------------------------------------------------------

NOTHING = {"attached": 0, "drafted": 0, "resent": 0, "discarded": 0}


def _without_triggers(db: Database, audio_or_object: Callable[[], Any]) -> Any:
    with psycopg.connect(db.dsn("supabase_admin"), autocommit=True) as admin:
        admin.execute("alter table storage.objects disable trigger soundscape_object_written")
        admin.execute("alter table public.audio_files disable trigger audio_files_made")
        try:
            return audio_or_object()
        finally:
            admin.execute("alter table storage.objects enable trigger soundscape_object_written")
            admin.execute("alter table public.audio_files enable trigger audio_files_made")


def test_nothing_to_repair(db: Database, alice: str) -> None:
    for end in (None, "complete", "fail"):
        db.recording(alice)
        if end is not None:
            (held,) = db.claim()
            getattr(db, end)(held)
    db.describe(f"{alice}/awaited.wav", owner=alice)
    before = db.rows("select * from soundscape.jobs order by id")
    assert db.reconcile() == NOTHING
    assert db.rows("select * from soundscape.jobs order by id") == before


def test_a_trigger_that_was_off(db: Database, alice: str) -> None:
    audio_id = db.describe(f"{alice}/x.wav", owner=alice)
    _without_triggers(db, lambda: db.store(f"{alice}/x.wav", owner=alice))
    assert db.jobs(audio_id) == []
    assert db.reconcile() == NOTHING | {"attached": 1}
    assert (db.states(audio_id), db.file(audio_id)["status"]) == (["queued"], "queued")
    assert db.reconcile() == NOTHING


def test_new_bytes_that_a_trigger_missed(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    db.complete(db.claim()[0])
    version = _without_triggers(
        db, lambda: db.store(db.file(audio_id)["file_path"], owner=alice, etag="newer")
    )
    assert db.reconcile() == NOTHING | {"attached": 1}
    assert db.jobs(audio_id)[-1]["object_version"] == version
    assert db.reconcile() == NOTHING


@pytest.mark.parametrize("running", [False, True])
def test_a_message_that_was_lost(db: Database, alice: str, lease_is_lost: LeaseIsLost, running: bool) -> None:
    audio_id = db.recording(alice)
    held = db.claim() if running else []
    db.rows("delete from pgmq.q_soundscape_uploads")
    assert db.reconcile() == NOTHING | {"resent": 1}
    assert (db.states(audio_id), db.messages()) == (["superseded", "queued"], 1)
    for job in held:
        lease_is_lost(lambda job=job: db.complete(job))  # type: ignore[misc]
    assert db.reconcile() == NOTHING
    assert [again.audio_id for again in db.claim()] == [audio_id]


def test_a_recording_without_a_job(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    db.rows("delete from soundscape.jobs where audio_id = %s", audio_id)
    assert db.reconcile() == NOTHING | {"resent": 1}
    assert (db.states(audio_id), db.reconcile()) == (["queued"], NOTHING)


def test_an_object_nobody_described_becomes_a_draft(db: Database, alice: str) -> None:
    db.store(f"{alice}/deep/My song.wav", owner=alice)
    assert db.reconcile() == NOTHING, "a minute is given to describe it"
    db.rows("update storage.objects set created_at = now() - interval '2 minutes'")
    assert db.reconcile() == NOTHING | {"drafted": 1}
    row = db.row("select * from public.audio_files")
    assert (row["title"], row["is_public"], str(row["user_id"])) == ("My song.wav", False, alice)
    assert db.states(row["id"]) == ["queued"]
    assert db.reconcile() == NOTHING


def test_a_draft_is_private_and_has_a_title_whatever_its_upload_said(db: Database, alice: str) -> None:
    """Names that end in white space leave no last segment to take a title from."""
    for name in (f"{alice}/ ", f"{alice}/  ", f"{alice}/x/ "):
        db.store(name, owner=alice, user_metadata={"is_public": True})
    db.rows("update storage.objects set created_at = now() - interval '2 minutes'")
    assert db.reconcile() == NOTHING | {"drafted": 3}
    rows = db.rows("select title, is_public from public.audio_files")
    assert [(row["title"], row["is_public"]) for row in rows] == [("Untitled", False)] * 3


def test_one_object_that_cannot_be_described_holds_up_nobody(db: Database, alice: str, bob: str) -> None:
    db.store(f"{alice}/x.wav", owner=alice, user_metadata={"description": "\u0001", "tags": ["t" * 50] * 60})
    db.rows("alter table public.audio_files add constraint nobodys_x check (file_path not like '%%/x.wav')")
    try:
        db.store(f"{bob}/y.wav", owner=bob)
        db.rows("update storage.objects set created_at = now() - interval '2 minutes'")
        assert db.reconcile() == NOTHING | {"drafted": 1}
        assert [str(row["user_id"]) for row in db.rows("select user_id from public.audio_files")] == [bob]
    finally:
        db.rows("alter table public.audio_files drop constraint nobodys_x")


def test_a_sweep_repairs_some_and_the_next_goes_on(db: Database, alice: str) -> None:
    """Each item holds a lock until the sweep ends, and a server has room for so many."""
    for number in range(501):
        db.store(f"{alice}/{number}.wav", owner=alice)
    db.rows("update storage.objects set created_at = now() - interval '2 minutes'")
    assert db.reconcile() == NOTHING | {"drafted": 500}
    assert db.reconcile() == NOTHING | {"drafted": 1}
    assert db.reconcile() == NOTHING


@pytest.mark.parametrize("name", ["elsewhere/x.wav", "x.wav"])
def test_an_object_in_no_ones_folder_stays_what_it_is(db: Database, alice: str, name: str) -> None:
    db.store(name, owner=alice)
    db.rows("update storage.objects set created_at = now() - interval '2 minutes'")
    assert (db.reconcile(), db.rows("select * from public.audio_files")) == (NOTHING, [])


def test_pictures_and_bytes_of_nobody_are_discarded(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    (held,) = db.claim()
    db.complete(held)
    gone = "00000000-0000-4000-8000-000000000000"
    current = held.picture
    orphans = {
        ("waveforms", f"{gone}/v/waveform.dat"),  # of a recording that is gone
        ("waveforms", f"{audio_id}/test-1/late/waveform.dat"),  # a worker wrote it and lost its lease
        ("audio-files", f"{gone}/left.wav"),  # of a user who is gone
        ("profile-images", f"{gone}/me.png"),
    }
    for bucket, name in (*orphans, ("waveforms", current)):
        db.store(name, owner=None, bucket=bucket)
    assert db.reconcile() == NOTHING, "an hour is given to whoever is at work"
    db.rows("update storage.objects set created_at = now() - interval '2 hours'")
    assert db.reconcile() == NOTHING | {"discarded": 4}
    assert db.deletions() == orphans
    assert db.reconcile() == NOTHING


def test_two_sweeps_at_once_repair_once(db: Database, alice: str) -> None:
    audio_id = db.describe(f"{alice}/x.wav", owner=alice)
    _without_triggers(db, lambda: db.store(f"{alice}/x.wav", owner=alice))
    one, other = db.connect(), db.connect()
    one.execute("select public.reconcile()")

    def sweep_too() -> None:
        other.execute("select public.reconcile()")
        other.commit()

    second = threading.Thread(target=sweep_too)
    second.start()
    time.sleep(0.1)
    one.commit()
    second.join(timeout=LIMIT_S)
    assert db.states(audio_id) == ["queued"]


def test_a_sweep_beside_an_upload_repairs_nothing_twice(db: Database, alice: str) -> None:
    """The sweep saw bytes without a job; before it got to them, their own transaction had enqueued them."""
    audio_id = db.describe(f"{alice}/x.wav", owner=alice)
    _without_triggers(db, lambda: db.store(f"{alice}/x.wav", owner=alice))
    upload = db.connect()
    upload.execute("select soundscape.lock_object_name(%s)", (f"{alice}/x.wav",))
    sweep = db.connect()
    swept: list[Any] = []

    def reconcile() -> None:
        cursor = sweep.execute("select public.reconcile() as found")
        swept.append(cursor.fetchone())
        sweep.commit()

    sweeping = threading.Thread(target=reconcile)
    sweeping.start()
    _await_blocked(db, sweep)
    upload.execute("select soundscape.attach_object(%s)", (audio_id,))
    upload.commit()
    sweeping.join(timeout=LIMIT_S)
    assert swept == [{"found": NOTHING}]
    assert db.states(audio_id) == ["queued"]


# -- the state machine --------------------------------------------------------------------------------

STATES = ("awaiting_upload", "queued", "analyzing", "ready", "failed", "rejected")
LEGAL = {
    ("awaiting_upload", "queued"),
    *(("queued", after) for after in ("analyzing", "failed", "rejected", "awaiting_upload")),
    *(("analyzing", after) for after in ("ready", "failed", "rejected", "queued", "awaiting_upload")),
    *((ended, after) for ended in ("ready", "failed", "rejected") for after in ("queued", "awaiting_upload")),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after"), list(permutations(STATES, 2)))
def test_every_step(db: Database, alice: str, before: str, after: str) -> None:
    audio_id = db.describe(f"{alice}/x.wav", owner=alice)
    values = (
        "update public.audio_files set status = %s, error_code = %s,"
        " analysis_version = 'v' where id = %s returning status"
    )

    def error_code(status: str) -> str | None:
        return "reason" if status in ("failed", "rejected") else None

    with psycopg.connect(db.dsn("supabase_admin"), autocommit=True) as admin:
        admin.execute("alter table public.audio_files disable trigger audio_files_status_step")
        admin.execute(values, (before, error_code(before), audio_id))
        admin.execute("alter table public.audio_files enable trigger audio_files_status_step")
    if (before, after) in LEGAL:
        assert db.value(values, after, error_code(after), audio_id) == after
    else:
        with pytest.raises(psycopg.errors.CheckViolation, match=f"cannot go from {before} to {after}"):
            db.rows(values, after, error_code(after), audio_id)


def _await_blocked(db: Database, connection: Connection) -> None:
    """Wait until that session waits for a lock."""
    query = "select wait_event_type from pg_stat_activity where pid = %s"
    until(
        lambda: db.value(query, connection.info.backend_pid) == "Lock",
        "nobody waited: the two did not meet",
    )
