"""Previews: a second job behind the analyses. It never changes the status of its recording."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from .conftest import RESULT, Database, Held, Row

SOURCE: Row = RESULT["source"] | {"playable": False, "preview": True}
UNPLAYABLE = RESULT | {"source": SOURCE}


def claim(db: Database, worker: str = "p", most: int = 1) -> list[Held]:
    return [
        Held(
            row["job_id"],
            row["token"],
            row["attempt"],
            str(row["audio_id"]),
            row["object_version"],
            row["object_name"],
        )
        for row in db.rows("select * from public.claim_previews(%s, %s, 60)", worker, most)
    ]


def path_of(held: Held) -> str:
    return f"{held.audio_id}/preview-1/{held.object_version}/{held.job_id}-{held.attempt}/preview.mp3"


def complete(db: Database, held: Held, size_bytes: int = 7) -> str:
    path = path_of(held)
    db.store(path, owner=None, bucket="waveforms")
    db.rows("select public.complete_preview(%s, %s, %s, %s)", held.job_id, held.token, path, size_bytes)
    return path


def analysed(db: Database, owner: str, result: Row = UNPLAYABLE) -> str:
    """A recording whose analysis is done; its id."""
    audio_id = db.recording(owner)
    (held,) = db.claim()
    db.store(held.picture, owner=None, bucket="waveforms")
    db.complete(held, result)
    return audio_id


def test_it_comes_after_the_analysis_and_changes_only_the_preview(db: Database) -> None:
    owner = db.sign_up()
    audio_id = analysed(db, owner)
    before = db.file(audio_id)
    assert (before["status"], before["playable"], before["preview_path"]) == ("ready", False, None)
    notes = db.value("select count(*) from public.notifications")
    (held,) = claim(db)
    assert held.audio_id == audio_id
    assert db.file(audio_id)["status"] == "ready"
    path = complete(db, held)
    after = db.file(audio_id)
    assert (after["preview_path"], after["preview_size_bytes"]) == (path, 7)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"preview_path", "preview_size_bytes", "updated_at"}
    assert db.value("select count(*) from public.notifications") == notes
    assert db.deletions() == set()
    assert claim(db) == []
    assert db.value("select count(*) from pgmq.q_soundscape_previews") == 0


@pytest.mark.parametrize("source", [SOURCE | {"playable": True, "preview": False}, RESULT["source"]])
def test_none_is_made_of_what_browsers_play(db: Database, source: Row) -> None:
    audio_id = analysed(db, db.sign_up(), RESULT | {"source": source})
    assert db.states(audio_id) == ["succeeded"]
    assert db.file(audio_id)["playable"] is source.get("playable")


@pytest.mark.parametrize("queue", ["soundscape_uploads", "soundscape_backfill"])
def test_none_is_claimed_while_any_analysis_waits(db: Database, queue: str) -> None:
    owner = db.sign_up()
    analysed(db, owner)
    later = db.recording(db.sign_up())
    db.rows("update soundscape.jobs set queue = %s where audio_id = %s and state = 'queued'", queue, later)
    if queue == "soundscape_backfill":
        db.rows("select soundscape.enqueue(%s, %s, %s)", later, db.file(later)["object_version"], queue)
    assert claim(db) == []
    (held,) = db.claim()
    assert held.audio_id == later
    assert len(claim(db)) == 1, "an analysis that runs is no reason to wait"


def test_none_is_claimed_while_an_owners_line_is_not_empty(db: Database) -> None:
    owner = db.sign_up()
    analysed(db, owner)
    waiting = [db.recording(owner) for _ in range(4)]
    for _ in waiting:
        assert claim(db) == []
        assert len(db.claim()) == 1
    assert len(claim(db)) == 1


@pytest.mark.parametrize("every", [2, 10])
def test_a_long_import_leaves_previews_their_share(db: Database, every: int) -> None:
    """Analyses wait all the time. Every so many claims one preview is handed out, to the next owner."""
    db.rows("select public.set_queue(preview_every => %s)", every)
    listeners = [db.sign_up(), db.sign_up()]
    wanted = {analysed(db, listener) for listener in listeners}
    importer = db.sign_up()
    for _ in range(20):
        db.recording(importer)
    answered = []
    made: set[str] = set()
    for round_ in range(3 * every):
        held = claim(db, most=5)
        answered.append(len(held))
        assert len(held) <= 1, round_
        for each in held:
            made.add(each.audio_id)
            complete(db, each)
    assert made == wanted
    assert sum(answered) == 2
    first, second = (index for index, count in enumerate(answered) if count)
    assert second - first == every
    assert db.value("select count(*) from public.audio_files where status = 'queued'") == 20


def test_a_preview_of_the_importer_does_not_take_the_turn_of_others(db: Database) -> None:
    db.rows("select public.set_queue(preview_every => 2)")
    importer, listener = db.sign_up(), db.sign_up()
    for _ in range(9):
        analysed(db, importer)
    wanted = analysed(db, listener)
    db.recording(importer)
    turns = []
    for _ in range(2 * 10):
        for held in claim(db):
            turns.append(held.audio_id)
            complete(db, held)
    assert turns.index(wanted) <= db.value("select in_flight_per_owner from soundscape.queue_settings")


def test_a_paused_queue_hands_out_none(db: Database) -> None:
    analysed(db, db.sign_up())
    db.rows("select public.set_queue(paused => true)")
    assert claim(db) == []


def test_a_claim_never_answers_with_an_analysis_nor_an_analysis_with_a_preview(db: Database) -> None:
    analysed(db, db.sign_up())
    assert db.claim() == []
    assert db.value("select public.next_message_s()") is None


def test_a_killed_worker_leaves_it_to_the_next(db: Database) -> None:
    audio_id = analysed(db, db.sign_up())
    (first,) = claim(db, "killed")
    db.expire_leases()
    (second,) = claim(db, "next")
    assert second.audio_id == audio_id
    with pytest.raises(psycopg.Error, match="lease_lost"):
        complete(db, first)
    path = complete(db, second)
    assert db.file(audio_id)["preview_path"] == path
    assert db.deletions() == {("waveforms", path_of(first))}


def test_a_claim_that_was_not_answered_is_given_again(db: Database) -> None:
    analysed(db, db.sign_up())
    (lost,) = claim(db)
    (held,) = claim(db)
    assert (held.job_id, held.attempt) == (lost.job_id, lost.attempt + 1)


@pytest.mark.parametrize("kind", ["failed", "crashed"])
def test_one_that_cannot_be_made_leaves_the_recording_ready(db: Database, kind: str) -> None:
    audio_id = analysed(db, db.sign_up())
    while held := claim(db):
        db.fail(held[0], kind)
        db.expire_leases()
    row = db.file(audio_id)
    assert (row["status"], row["error_code"], row["preview_path"]) == ("ready", None, None)
    assert db.states(audio_id)[-1] == {"failed": "refused", "crashed": "dead"}[kind]
    assert db.value("select count(*) from public.audio_features") == 1


def as_owner(db: Database, owner: str, function: str, audio_id: str) -> str:
    with db.acting("authenticated", owner) as session:
        row = session.execute(f"select public.{function}(%s) as status".encode(), (audio_id,)).fetchone()
        session.commit()
        assert row is not None
        return str(row["status"])


def test_its_owner_cancels_it_and_asks_for_it_again(db: Database) -> None:
    owner = db.sign_up()
    audio_id = analysed(db, owner)
    (held,) = claim(db)
    assert as_owner(db, owner, "cancel_analysis", audio_id) == "ready"
    with pytest.raises(psycopg.Error, match="lease_lost"):
        complete(db, held)
    assert claim(db) == []
    assert as_owner(db, owner, "retry_analysis", audio_id) == "ready"
    assert as_owner(db, owner, "retry_analysis", audio_id) == "ready"
    (again,) = claim(db)
    complete(db, again)
    assert as_owner(db, owner, "retry_analysis", audio_id) == "ready"
    assert claim(db) == []


def test_an_operator_retries_a_dead_one(db: Database) -> None:
    audio_id = analysed(db, db.sign_up())
    (held,) = claim(db)
    db.fail(held, "failed")
    retried = db.value("select public.retry_jobs(%s)", [held.job_id])
    assert len(retried) == 1
    (again,) = claim(db)
    assert (again.audio_id, db.file(audio_id)["status"]) == (audio_id, "ready")


def test_new_bytes_supersede_it_and_take_the_former_preview_along(db: Database) -> None:
    owner = db.sign_up()
    audio_id = analysed(db, owner)
    (held,) = claim(db)
    former = complete(db, held)
    db.store(held.object_name, owner=owner)
    assert db.file(audio_id)["preview_path"] == former, "as the results do, until there are new ones"
    (newer,) = db.claim()
    db.store(newer.picture, owner=None, bucket="waveforms")
    db.complete(newer, UNPLAYABLE | {"source": SOURCE | {"sha256": "1" * 64}})
    assert db.file(audio_id)["preview_path"] is None
    assert ("waveforms", former) in db.deletions()
    (again,) = claim(db)
    latest = complete(db, again)
    assert db.file(audio_id)["preview_path"] == latest


def test_bytes_that_come_while_it_is_made_refuse_it(db: Database) -> None:
    owner = db.sign_up()
    audio_id = analysed(db, owner)
    (held,) = claim(db)
    db.store(held.object_name, owner=owner)
    assert db.file(audio_id)["status"] == "queued"
    with pytest.raises(psycopg.Error, match="lease_lost"):
        complete(db, held)
    assert db.file(audio_id)["preview_path"] is None


def test_another_analysis_of_the_same_bytes_keeps_it(db: Database) -> None:
    owner = db.sign_up()
    audio_id = analysed(db, owner)
    (held,) = claim(db)
    path = complete(db, held)
    found = db.value("select public.reanalyze('test-2')")
    assert found["enqueued"] == 1
    (again,) = db.claim()
    db.store(again.picture, owner=None, bucket="waveforms")
    db.complete(again, UNPLAYABLE)
    assert db.file(audio_id)["preview_path"] == path
    assert ("waveforms", path) not in db.deletions()
    assert claim(db) == []


def test_another_analysis_supersedes_one_that_waits_and_asks_for_it_again(db: Database) -> None:
    audio_id = analysed(db, db.sign_up())
    assert db.value("select public.reanalyze('test-2')")["enqueued"] == 1
    assert db.states(audio_id) == ["succeeded", "superseded", "queued"]
    (again,) = db.claim()
    assert again.audio_id == audio_id
    db.store(again.picture, owner=None, bucket="waveforms")
    db.complete(again, UNPLAYABLE)
    assert len(claim(db)) == 1


@pytest.mark.parametrize("what", ["the object", "the recording", "the account"])
def test_nothing_is_left_of_what_is_deleted(db: Database, what: str) -> None:
    owner = db.sign_up()
    audio_id = analysed(db, owner)
    (held,) = claim(db)
    path = complete(db, held)
    if what == "the object":
        db.remove(held.object_name)
        assert (db.file(audio_id)["preview_path"], db.file(audio_id)["playable"]) == (None, None)
    elif what == "the recording":
        db.rows("delete from public.audio_files where id = %s", audio_id)
    else:
        db.rows("delete from auth.users where id = %s", owner)
    assert ("waveforms", path) in db.deletions()


@pytest.mark.parametrize("lost", ["message", "trigger"])
def test_the_sweep_finds_a_lost_one_and_keeps_the_one_that_is_shown(db: Database, lost: str) -> None:
    owner = db.sign_up()
    audio_id = analysed(db, owner)
    if lost == "message":
        db.rows("delete from pgmq.q_soundscape_previews")
        db.reconcile()
    (held,) = claim(db)
    path = complete(db, held)
    stray = path.replace(f"{held.job_id}-{held.attempt}", "0-1")
    db.store(stray, owner=None, bucket="waveforms")
    db.rows("update storage.objects set created_at = now() - interval '2 hours'")
    db.reconcile()
    assert db.deletions() == {("waveforms", stray)}
    assert db.file(audio_id)["preview_path"] == path


@pytest.mark.parametrize("path", ["{id}/a1-0/x/1-1/waveform.dat", "other/preview-1/x", ""])
def test_it_publishes_nothing_but_a_preview_of_its_recording(db: Database, path: str) -> None:
    audio_id = analysed(db, db.sign_up())
    (held,) = claim(db)
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        db.rows(
            "select public.complete_preview(%s, %s, %s, 7)",
            held.job_id,
            held.token,
            path.replace("{id}", audio_id),
        )


def test_an_analysis_is_not_completed_as_a_preview(db: Database) -> None:
    db.recording(db.sign_up())
    (held,) = db.claim()
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        db.rows("select public.complete_preview(%s, %s, %s, 7)", held.job_id, held.token, path_of(held))


def test_owners_take_turns(db: Database) -> None:
    first, second = db.sign_up(), db.sign_up()
    for _ in range(4):
        analysed(db, first)
    other = analysed(db, second)
    claimed = [held.audio_id for _ in range(3) for held in claim(db, f"w{_}")]
    assert other in claimed, "a new owner waits behind two of another's at most"


def test_the_operator_sees_it(db: Database) -> None:
    audio_id = analysed(db, db.sign_up())
    stats: Any = db.value("select public.queue_stats()")
    assert stats["queues"]["soundscape_previews"]["standing"] == 1
    (job,) = [job for job in db.jobs(audio_id) if job["state"] == "queued"]
    shown = db.value("select public.show_job(%s)", job["id"])
    assert shown["visible_at"] is not None
    assert json.loads(json.dumps(shown))["queue"] == "soundscape_previews"
