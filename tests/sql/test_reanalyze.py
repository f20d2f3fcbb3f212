"""Backfills: each recording is asked for once a version; former results stay until there are new ones."""

# ruff: noqa: E501 - tables are read across
from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from .conftest import RESULT, Database, Row

NEW = RESULT | {"analysis_version": "test-2"}


def reanalyze(
    db: Database,
    *filters: Row,
    version: str = "test-2",
    most: int = 500,
    after: str | None = None,
    plan: bool = False,
) -> Row:
    found: Row = db.value(
        "select public.reanalyze(%s, %s, %s, %s, %s)", version, json.dumps(filters), most, after, plan
    )
    return found


def ready(db: Database, owner: str) -> str:
    audio_id = db.recording(owner)
    (held,) = db.claim()
    assert held.audio_id == audio_id
    db.complete(held)
    return audio_id


def where(column: str, op: str, value: str) -> Row:
    return {"column": column, "op": op, "value": value}


def test_results_stay_until_the_new_ones_are_whole(db: Database, alice: str) -> None:
    audio_id = ready(db, alice)
    old = db.row("select waveform_path, created_at from public.audio_features")
    db.store(old["waveform_path"], owner=None, bucket="waveforms")
    assert reanalyze(db)["enqueued"] == 1
    assert (db.states(audio_id)[-1], db.jobs(audio_id)[-1]["queue"]) == ("queued", "soundscape_backfill")
    for step in ("queued", "running", "retried"):
        assert db.file(audio_id)["status"] == "ready", step
        assert db.row("select waveform_path, created_at from public.audio_features") == old
        db.expire_leases()
        (held,) = db.claim()
        if step == "running":
            db.fail(held, "crashed")
    db.expire_leases()
    (held,) = db.claim()
    assert db.deletions() == set()
    db.rows(
        "select public.complete_job(%s, %s, %s)", held.job_id, held.token,
        json.dumps(NEW | {"waveform": {"path": f"{audio_id}/test-2/{held.object_version}/waveform.dat"}}),
    )  # fmt: skip
    assert (db.file(audio_id)["status"], db.file(audio_id)["analysis_version"]) == ("ready", "test-2")
    assert db.deletions() == {("waveforms", old["waveform_path"])}
    assert reanalyze(db)["found"] == 0


@pytest.mark.parametrize("ending", ["failed", "dead"])
def test_a_backfill_that_comes_to_nothing_takes_nothing_away(db: Database, alice: str, ending: str) -> None:
    audio_id = ready(db, alice)
    reanalyze(db)
    for _ in range(5 if ending == "dead" else 1):
        db.expire_leases()
        (held,) = db.claim()
        db.fail(held, "crashed" if ending == "dead" else "failed")
    file = db.file(audio_id)
    assert (file["status"], file["analysis_version"], file["error_code"]) == ("ready", "test-1", None)
    assert db.value("select count(*) from public.audio_features") == 1
    assert db.jobs(audio_id)[-1]["error_code"] == "flaky", "the ledger says why"
    assert reanalyze(db)["found"] == 0, "nor is it asked for again until somebody retries it"
    (dead,) = db.jobs(audio_id)[-1:]
    assert len(db.value("select public.retry_jobs(%s)", [dead["id"]])) == 1
    assert db.jobs(audio_id)[-1]["analysis_version"] == "test-2"


def test_again_goes_on_where_it_stopped(db: Database, alice: str, bob: str) -> None:
    ids = {ready(db, owner) for owner in (alice, bob, alice, bob, alice)}
    first = reanalyze(db, most=2)
    assert (first["found"], first["enqueued"], first["done"]) == (2, 2, False)
    # Interrupted here; somebody begins again from the start.
    second = reanalyze(db, most=2)
    assert second["enqueued"] == 2
    third = reanalyze(db, most=2, after=second["after"])
    assert (third["enqueued"], third["done"]) == (1, True)
    assert reanalyze(db) == {
        "found": 0, "enqueued": 0, "busy": 0, "after": max(ids), "done": True,
    }  # fmt: skip
    assert all(db.states(audio_id) == ["succeeded", "queued"] for audio_id in ids)


def test_a_plan_changes_nothing(db: Database, alice: str) -> None:
    audio_id = ready(db, alice)
    assert reanalyze(db, plan=True)["found"] == 1
    assert db.states(audio_id) == ["succeeded"]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("awaiting_upload", []),
        ("queued", ["queued"]),  # whoever takes it does as well by the new version
        ("analyzing", ["superseded", "queued"]),
        ("failed", ["refused", "queued"]),
        ("rejected", ["refused", "queued"]),
    ],
)
def test_what_a_new_version_makes_of_each_state(
    db: Database, alice: str, lease_is_lost: Any, state: str, expected: list[str]
) -> None:
    audio_id = db.describe(f"{alice}/x.wav", owner=alice)
    held = []
    if state != "awaiting_upload":
        db.store(f"{alice}/x.wav", owner=alice)
    if state in ("analyzing", "failed", "rejected"):
        held = db.claim()
    if state in ("failed", "rejected"):
        db.fail(held.pop(), state)
    assert reanalyze(db)["enqueued"] == len(expected[:1])
    assert db.states(audio_id) == expected
    assert db.file(audio_id)["status"] == ("queued" if expected else "awaiting_upload")
    for job in held:
        lease_is_lost(lambda job=job: db.complete(job))  # type: ignore[misc]
    if state in ("queued", "analyzing"):
        assert db.jobs(audio_id)[-1]["queue"] == "soundscape_uploads", "somebody waits for it"
    assert reanalyze(db)["found"] == 0
    assert len(db.claim(9)) == len(expected[:1])


def test_a_worker_with_another_version_does_not_end_the_wish(db: Database, alice: str) -> None:
    """In the middle of an upgrade an old worker takes a backfill: it is asked for once more."""
    ready(db, alice)
    reanalyze(db)
    (held,) = db.claim()
    db.complete(held)
    assert reanalyze(db)["enqueued"] == 1


def test_recordings_somebody_is_busy_with_are_left_for_the_next_run(db: Database, alice: str) -> None:
    audio_id = ready(db, alice)
    editor = db.connect()
    editor.execute("update public.audio_files set title = 'New' where id = %s", (audio_id,))
    db.rows("set lock_timeout = '2s'")
    try:
        found = reanalyze(db)
    finally:
        db.rows("reset lock_timeout")
    assert (found["enqueued"], found["busy"], found["done"]) == (0, 1, True)
    editor.commit()
    assert reanalyze(db)["enqueued"] == 1


@pytest.mark.parametrize(
    ("column", "op", "value", "passes"),
    [
        ("status", "eq", "ready", True), ("status", "eq", "failed", False), ("status", "in", "failed,ready", True),
        ("status", "neq", "ready", False),
        ("owner", "eq", "{alice}", True), ("user_id", "neq", "{alice}", False), ("id", "eq", "{alice}", False),
        ("tags", "cs", "rain", True), ("tags", "cs", "rain,wind", False), ("tags", "ov", "wind,rain", True),
        ("analysis_version", "eq", "test-1", True), ("analysis_version", "is", "null", False),
        ("analysis_version", "is", "notnull", True), ("error_code", "is", "null", True),
        ("error_code", "eq", "x", False), ("is_public", "eq", "false", True),
        ("duration", "lt", "2", True), ("duration", "gte", "1.5", True), ("duration", "gt", "1.5", False),
        ("size_bytes", "lte", "1e3", True), ("channels", "eq", "2", True), ("sample_rate", "is", "null", False),
        ("analyzed_at", "lt", "2999-01-01", True), ("created_at", "gt", "2999-01-01", False),
        ("content_type", "eq", "audio/wav", True),
        # Values are values, whatever they look like.
        ("content_type", "eq", "' or true --", False), ("tags", "cs", "');drop table x;--", False),
    ],
)  # fmt: skip
def test_filters(db: Database, alice: str, column: str, op: str, value: str, passes: bool) -> None:
    audio_id = ready(db, alice)
    db.rows("update public.audio_files set tags = '{rain,night}' where id = %s", audio_id)
    found = reanalyze(db, where("status", "eq", "ready"), where(column, op, value.format(alice=alice)))
    assert found["found"] == int(passes)


@pytest.mark.parametrize(
    "filters",
    [
        {"column": "status"}, "status=eq.ready", None,
        [where("password", "eq", "x")], [where("status", "like", "r%")], [where("tags", "eq", "x")],
        [where("duration", "eq", "long")], [where("duration", "lt", "1; select 1")], [where("created_at", "lt", "soon")],
        [where("status", "is", "true")], [{"column": "status", "op": "eq"}], [{}], ["x"], [where("title or true", "eq", "x")],
    ],
)  # fmt: skip
def test_filters_that_are_none_are_refused(db: Database, alice: str, filters: Any) -> None:
    ready(db, alice)
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        db.rows("select public.reanalyze('test-2', %s)", json.dumps(filters))
    assert db.value("select count(*) from soundscape.jobs where state = 'queued'") == 0


@pytest.mark.parametrize("version", ["", "v" * 65, None])
def test_a_version_that_is_none_is_refused(db: Database, version: str | None) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        db.rows("select public.reanalyze(%s)", version)
