"""What the operator sees of the queue and may do to it."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Database, Row


def listed(db: Database, **asked: Any) -> list[Row]:
    names = ", ".join(f"{name} => %s" for name in asked)
    return [row["job"] for row in db.rows(f"select public.list_jobs({names}) as job", *asked.values())]


def dead(db: Database, owner: str, code: str = "analysis_crashed") -> str:
    audio_id = db.recording(owner)
    for _ in range(5):
        db.expire_leases()
        (held,) = [job for job in db.claim(20) if job.audio_id == audio_id]
        db.fail(held, "crashed", code=code)
    return audio_id


def test_jobs_are_listed_newest_first_and_page_by_page(db: Database, alice: str, bob: str) -> None:
    for owner in (alice, bob, alice):
        db.recording(owner)
    jobs = listed(db)
    assert [job["id"] for job in jobs] == sorted((job["id"] for job in jobs), reverse=True)
    assert [job["user_id"] for job in jobs] == [alice, bob, alice]
    assert (jobs[0]["title"], jobs[0]["status"]) == ("A sound", "queued")
    assert listed(db, max_jobs=1) == jobs[:1]
    assert listed(db, before=jobs[0]["id"], max_jobs=1) == jobs[1:2]


def test_jobs_are_found_by_what_is_asked(db: Database, alice: str, bob: str) -> None:
    buried = dead(db, alice)
    queued = db.recording(bob)
    assert [job["audio_id"] for job in listed(db, states=["dead"])] == [buried]
    assert [job["audio_id"] for job in listed(db, states=["dead", "queued"])] == [queued, buried]
    assert [job["audio_id"] for job in listed(db, owner=bob)] == [queued]
    assert [job["audio_id"] for job in listed(db, recording=buried)] == [buried]
    assert [job["audio_id"] for job in listed(db, code="analysis_crashed")] == [buried]
    assert listed(db, code="other") == []


def test_one_job_with_all_that_belongs_to_it(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    (held,) = db.claim()
    db.store(held.object_name, owner=alice)
    later = db.jobs(audio_id)[-1]
    shown = db.value("select public.show_job(%s)", later["id"])
    assert (shown["state"], shown["file_path"]) == ("queued", held.object_name)
    assert shown["visible_at"] is not None
    assert shown["others"] == [{"id": held.job_id, "state": "superseded"}]
    assert db.value("select public.show_job(-1)") is None


def test_the_queue_in_figures(db: Database, alice: str, bob: str) -> None:
    dead(db, alice)
    for _ in range(4):
        db.recording(alice)
    db.claim()
    retried, *_ = db.claim()
    db.fail(retried, "passing")
    db.complete(db.claim()[0])
    db.rows("select soundscape.enqueue(id, object_version, 'soundscape_backfill') from public.audio_files"
            " where status = 'ready'")  # fmt: skip
    stats = db.value("select public.queue_stats()")
    uploads, backfills = stats["queues"]["soundscape_uploads"], stats["queues"]["soundscape_backfill"]
    assert {name: uploads[name] for name in ("running", "standing", "retrying", "waiting", "owners")} == {
        "running": 1, "standing": 1, "retrying": 1, "waiting": 0, "owners": 1,
    }  # fmt: skip
    assert uploads["oldest_s"] >= 0
    assert (backfills["standing"], backfills["running"]) == (1, 0)
    assert (stats["ended_in_a_day"], stats["dead"]) == ({"succeeded": 1, "dead": 1}, {"analysis_crashed": 1})
    assert stats["settings"]["in_flight_per_owner"] == 8
    db.expire_leases()
    db.rows("update soundscape.jobs set lease_expires_at = now() where state = 'running'")
    assert db.value("select public.queue_stats()")["leases_run_out"] == 1


def test_an_empty_queue_in_figures(db: Database) -> None:
    stats = db.value("select public.queue_stats()")
    assert stats["queues"]["soundscape_uploads"]["running"] == 0
    assert stats["queues"]["soundscape_uploads"]["oldest_s"] is None


def test_the_dead_are_tried_again(db: Database, alice: str) -> None:
    audio_id = dead(db, alice)
    (job,) = db.jobs(audio_id)
    (again,) = db.value("select public.retry_jobs(%s)", [job["id"], -1])
    assert (db.states(audio_id), db.file(audio_id)["status"]) == (["dead", "queued"], "queued")
    assert db.value("select public.retry_jobs(%s)", [job["id"]]) == [], "it is asked for already"
    (held,) = db.claim()
    assert (held.job_id, held.attempt) == (again, 1)


def test_what_came_after_the_dead_holds(db: Database, alice: str) -> None:
    """An owner's cancelling is not undone by the attempt that died before it."""
    audio_id = dead(db, alice)
    (job,) = db.jobs(audio_id)
    (again,) = db.value("select public.retry_jobs(%s)", [job["id"]])
    assert db.value("select public.cancel_jobs(%s)", [again]) == [again]
    assert db.value("select public.retry_jobs(%s)", [job["id"]]) == []
    assert db.states(audio_id) == ["dead", "cancelled"]
    assert len(db.value("select public.retry_jobs(%s)", [again])) == 1


@pytest.mark.parametrize("running", [False, True])
def test_jobs_are_cancelled_all_at_once(db: Database, alice: str, lease_is_lost: Any, running: bool) -> None:
    ids = [db.recording(alice) for _ in range(5)]
    held = db.claim(2) if running else []
    jobs = [db.jobs(audio_id)[0]["id"] for audio_id in ids]
    assert db.value("select public.cancel_jobs(%s)", [*jobs[:4], -1]) == jobs[:4]
    assert [db.file(audio_id)["error_code"] for audio_id in ids] == ["cancelled"] * 4 + [None]
    for job in held:
        lease_is_lost(lambda job=job: db.complete(job))  # type: ignore[misc]
    assert db.value("select public.cancel_jobs(%s)", jobs[:4]) == []
    assert [job.audio_id for job in db.claim(9)] == ids[4:]
