"""Captions: who gets one, what a model is told, and what it may cost, whoever asks and however often."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg
import pytest

from tests.waiting import LIMIT_S, until

from .conftest import RESULT, Database, Row

WORKER_SEEN = "update soundscape.caption_workers set seen_at = now()"


@pytest.fixture(autouse=True)
def _with_a_key(db: Database) -> Iterator[None]:
    db.rows(WORKER_SEEN)
    db.rows("delete from soundscape.caption_days")
    yield
    db.rows("update soundscape.caption_workers set seen_at = null")
    db.rows("update public.feature_flags set state = 'on'")


def ready(db: Database, owner: str, *, is_public: bool = True, title: str = "A sound") -> str:
    audio_id = db.recording(owner)
    db.rows(
        "update public.audio_files set is_public = %s, title = %s where id = %s", is_public, title, audio_id
    )
    (held,) = [job for job in db.claim(20) if job.audio_id == audio_id]
    db.complete(held, RESULT)
    return audio_id


def claim(db: Database, **limits: Any) -> Row | None:
    names = ", ".join(f"{name} => %s" for name in limits)
    rows = db.rows(f"select * from public.claim_caption({names})", *limits.values())
    return rows[0] if rows else None


def caption(db: Database, audio_id: str) -> Row:
    return db.row("select * from public.audio_captions where audio_id = %s", audio_id)


def status_of(db: Database, audio_id: str) -> tuple[str, str | None]:
    row = caption(db, audio_id)
    return row["status"], row["error_code"]


def complete(db: Database, job: Row, *, text: str = "Rain.", tokens: int = 700) -> None:
    db.rows(
        "select public.complete_caption(%s, %s, %s, %s, 'grok-test', 1, %s)",
        job["audio_id"], job["token"], text, ["rain"], tokens,
    )  # fmt: skip


def fail(db: Database, job: Row, retry_s: int | None = None) -> str:
    return str(
        db.value("select public.fail_caption(%s, %s, 'c', %s)", job["audio_id"], job["token"], retry_s)
    )


def act(db: Database, user: str, call: str, *values: Any) -> None:
    with db.acting("authenticated", user) as session:
        session.execute(f"select public.{call}".encode(), values)
        session.commit()


def test_a_recording_that_is_ready_gets_a_caption(db: Database, alice: str) -> None:
    audio_id = ready(db, alice, title="On the roof")
    assert status_of(db, audio_id) == ("queued", None)
    job = claim(db)
    assert job is not None
    assert (str(job["audio_id"]), job["title"], job["language"], job["attempt"]) == (
        audio_id,
        "On the roof",
        "en",
        1,
    )
    assert claim(db) is None, "it is claimed"
    complete(db, job)
    row = caption(db, audio_id)
    assert (row["status"], row["caption"], row["keywords"]) == ("ready", "Rain.", ["rain"])
    assert (row["model"], row["version"], row["is_by_owner"]) == ("grok-test", 1, False)
    assert db.file(audio_id)["status"] == "ready"
    found = db.rows(
        "select audio_id from public.audio_captions where search @@ plainto_tsquery('simple', 'rain')"
    )
    assert [str(row["audio_id"]) for row in found] == [audio_id]


def test_nothing_of_others_is_sent(db: Database, alice: str, bob: str) -> None:
    ready(db, bob, title="Of another")
    job = claim(db)
    assert job is not None
    assert set(job) == {
        "audio_id", "token", "attempt", "title", "language", "duration_s", "descriptors", "tags",
    }  # fmt: skip
    db.rows("update public.users set display_name = 'Alice' where id = %s", alice)
    ready(db, alice, title="Mine")
    assert "Of another" not in str(claim(db))


def test_without_a_key_it_is_skipped_and_made_up_for_later(db: Database, alice: str) -> None:
    db.rows("update soundscape.caption_workers set seen_at = now() - interval '1 hour'")
    audio_id = ready(db, alice)
    assert status_of(db, audio_id) == ("skipped", "no_key")
    job = claim(db)
    assert job is not None
    assert status_of(db, audio_id) == ("queued", None)


@pytest.mark.parametrize(
    ("is_public", "account", "recording", "expected"),
    [
        (True, True, None, None), (True, False, None, "switched_off"), (True, False, True, None),
        (True, True, False, "switched_off"), (False, True, None, "private"), (False, False, None, "private"),
        (False, True, True, None), (False, True, False, "switched_off"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("when", ["before", "after"])
def test_who_says_yes_and_no(
    db: Database,
    alice: str,
    is_public: bool,
    account: bool,
    recording: bool | None,
    expected: str | None,
    when: str,
) -> None:
    """The account for public recordings, the owner for each private one; up to the moment of the request."""

    def choose() -> None:
        db.rows("update public.user_preferences set captions = %s where user_id = %s", account, alice)

    if when == "before":
        choose()
    audio_id = ready(db, alice, is_public=is_public)
    if when == "after":
        choose()
    if recording is not None:
        act(db, alice, "set_captions(%s, %s)", audio_id, recording)
    job = claim(db)
    if expected is None:
        assert job is not None
        assert str(job["audio_id"]) == audio_id
    else:
        assert job is None
        assert status_of(db, audio_id) == ("skipped", expected)


def test_the_flag_switches_it_off(db: Database, alice: str) -> None:
    audio_id = ready(db, alice)
    db.rows("update public.feature_flags set state = 'off' where key = 'captions'")
    assert claim(db) is None
    assert status_of(db, audio_id) == ("skipped", "switched_off")


def test_a_no_that_comes_while_the_model_answers_holds(db: Database, alice: str, lease_is_lost: Any) -> None:
    audio_id = ready(db, alice)
    job = claim(db)
    assert job is not None
    act(db, alice, "set_captions(%s, false)", audio_id)
    lease_is_lost(lambda: complete(db, job))
    assert (status_of(db, audio_id), caption(db, audio_id)["caption"]) == (("skipped", "switched_off"), None)
    # By the account, nobody deletes the job.
    act(db, alice, "set_captions(%s, null)", audio_id)
    job = claim(db)
    assert job is not None
    db.rows("update public.user_preferences set captions = false where user_id = %s", alice)
    complete(db, job)
    assert caption(db, audio_id)["caption"] is None


def test_no_deletes_what_a_model_wrote_and_not_what_the_owner_wrote(db: Database, alice: str) -> None:
    audio_id = ready(db, alice)
    job = claim(db)
    assert job is not None
    complete(db, job)
    act(db, alice, "set_captions(%s, false)", audio_id)
    assert caption(db, audio_id)["caption"] is None
    act(db, alice, "replace_caption(%s, 'My rain.', '{rain,roof}')", audio_id)
    act(db, alice, "set_captions(%s, false)", audio_id)
    act(db, alice, "set_captions(%s, true)", audio_id)
    row = caption(db, audio_id)
    assert (row["status"], row["caption"], row["keywords"]) == ("ready", "My rain.", ["rain", "roof"])
    assert (row["is_by_owner"], row["model"]) == (True, None)
    assert claim(db) is None


def test_what_the_owner_writes_while_the_model_answers_stays(
    db: Database, alice: str, lease_is_lost: Any
) -> None:
    audio_id = ready(db, alice)
    job = claim(db)
    assert job is not None
    act(db, alice, "replace_caption(%s, 'Mine.')", audio_id)
    lease_is_lost(lambda: complete(db, job))
    assert caption(db, audio_id)["caption"] == "Mine."


def test_other_bytes_have_another_caption(db: Database, alice: str) -> None:
    audio_id = ready(db, alice)
    job = claim(db)
    assert job is not None
    complete(db, job)
    db.store(db.file(audio_id)["file_path"], owner=alice)
    (held,) = db.claim(20)
    db.complete(held)
    assert status_of(db, audio_id) == ("queued", None)
    assert caption(db, audio_id)["caption"] is None


def test_only_owners_decide(db: Database, alice: str, bob: str) -> None:
    audio_id = ready(db, alice)
    for call in ("set_captions(%s, true)", "replace_caption(%s, 'Bob''s')"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
            act(db, bob, call, audio_id)
        assert refused.value.diag.message_hint == "Only its owner may do this. Sign in as the owner."
    with pytest.raises(psycopg.Error, match="1 to 500"):
        act(db, alice, "replace_caption(%s, repeat('x', 501))", audio_id)
    with pytest.raises(psycopg.Error, match="1 to 500"):
        act(db, alice, "replace_caption(%s, 'x', array[repeat('x', 41)])", audio_id)


def test_a_job_is_tried_five_times_and_later_each_time(db: Database, alice: str, lease_is_lost: Any) -> None:
    audio_id = ready(db, alice)
    pauses = []
    for attempt in range(1, 6):
        job = claim(db)
        assert job is not None
        assert job["attempt"] == attempt
        ending = fail(db, job, 1)
        assert ending == ("queued" if attempt < 5 else "failed")
        lease_is_lost(lambda job=job: complete(db, job))  # type: ignore[misc]
        if attempt < 5:
            pauses.append(
                db.value("select extract(epoch from retry_at - now()) from soundscape.caption_jobs")
            )
            assert claim(db) is None
            db.rows("update soundscape.caption_jobs set retry_at = now()")
    assert pauses == sorted(pauses)
    assert status_of(db, audio_id) == ("failed", "c")
    assert db.value("select count(*) from soundscape.caption_jobs") == 0


def test_a_killed_worker_holds_nothing_up(db: Database, alice: str, lease_is_lost: Any) -> None:
    ready(db, alice)
    lost = claim(db)
    assert lost is not None
    db.rows("update soundscape.caption_jobs set retry_at = now()")
    job = claim(db)
    assert job is not None
    lease_is_lost(lambda: complete(db, lost))
    complete(db, job)


def test_the_budget_of_a_day(db: Database, alice: str) -> None:
    for _ in range(4):
        ready(db, alice)
    first, second = claim(db, max_requests=2), claim(db, max_requests=2)
    assert first is not None
    assert second is not None
    assert claim(db, max_requests=2) is None
    used = db.row("select requests, tokens from soundscape.caption_days")
    assert used == {"requests": 2, "tokens": 8000}, "4000 are reserved for each"
    complete(db, first, tokens=700)
    db.rows("select public.fail_caption(%s, %s, 'c', null, 50)", second["audio_id"], second["token"])
    assert db.value("select tokens from soundscape.caption_days") == 750
    assert claim(db, max_requests=9, max_tokens=4749) is None
    assert claim(db, max_requests=9, max_tokens=4750) is not None
    db.rows("update soundscape.caption_days set day = day - 1")
    assert claim(db, max_requests=1) is not None


def test_workers_at_once_share_the_budget(db: Database, alice: str) -> None:
    for _ in range(8):
        ready(db, alice)
    sessions = [db.connect(autocommit=True) for _ in range(8)]

    def ask(session: Any) -> int:
        return len(session.execute("select * from public.claim_caption(max_requests => 3)").fetchall())

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, sessions)) == 3
    assert db.value("select requests from soundscape.caption_days") == 3


@pytest.mark.parametrize(("max_requests", "share", "expected"), [(40, 0.25, 10), (12, 0.25, 5), (8, 1, 8)])
def test_an_owner_uses_their_share_of_the_day(
    db: Database, alice: str, bob: str, max_requests: int, share: float, expected: int
) -> None:
    """A quarter of the requests, but never less than five; the rest is for whoever comes later."""
    db.rows("update soundscape.owner_limits set max_caption_share = %s", share)
    try:
        mine = {ready(db, alice) for _ in range(12)}
        others = ready(db, bob)
        jobs = []
        while (job := claim(db, max_requests=max_requests)) is not None:
            jobs.append(str(job["audio_id"]))
        assert len(mine & set(jobs)) == expected
        assert (others in jobs) is (expected < max_requests)
        assert {status_of(db, audio_id) for audio_id in mine} == {("queued", None)}, "what is left waits"
        assert claim(db, max_requests=max_requests) is None
        if expected < max_requests:
            waiting = db.rows(
                "select audio_id from soundscape.caption_jobs where retry_at > now() and token is null"
            )
            assert len(waiting) == 12 - expected, "no claim reads them again today"
        db.rows("update soundscape.caption_days set day = day - 1")
        db.rows("update soundscape.caption_jobs set retry_at = now() where token is null")
        assert claim(db, max_requests=max_requests) is not None
    finally:
        db.rows("update soundscape.owner_limits set max_caption_share = default")


def test_an_owner_uses_their_share_of_the_tokens(db: Database, alice: str, bob: str) -> None:
    for _ in range(9):
        ready(db, alice)
    jobs = []
    while (job := claim(db, max_tokens=100_000)) is not None:
        jobs.append(job)
    assert len(jobs) == 6, "a quarter of the tokens, 4,000 for each until its answer is there"
    for job in jobs:
        complete(db, job, tokens=1000)
    db.rows("update soundscape.caption_jobs set retry_at = now()")
    assert claim(db, max_tokens=100_000) is not None, "the answers cost less than what was reserved"
    db.rows("delete from public.users where id = %s", bob)
    assert db.rows("select user_id::text, requests, tokens from soundscape.caption_owners") == [
        {"user_id": alice, "requests": 7, "tokens": 10_000}
    ]


def test_workers_at_once_share_the_share(db: Database, alice: str, bob: str) -> None:
    for owner in (alice, bob, alice, alice, alice, alice, alice, alice):
        ready(db, owner)
    sessions = [db.connect(autocommit=True) for _ in range(8)]

    def ask(session: Any) -> int:
        return len(session.execute("select * from public.claim_caption(max_requests => 8)").fetchall())

    with ThreadPoolExecutor(8) as pool:
        claimed = sum(pool.map(ask, sessions))
    while claim(db, max_requests=8) is not None:
        claimed += 1
    assert claimed == 6, "five of alice's seven, and bob's"
    assert db.value("select requests from soundscape.caption_days") == 6


WORKERS = {
    "claim": "select * from public.claim_caption()",
    "complete": "select public.complete_caption(%(recording)s, %(token)s, 'Rain.', '{rain}', 'm', 1, 700)",
    "retry": "select public.fail_caption(%(recording)s, %(token)s, 'c', 5)",
    "fail": "select public.fail_caption(%(recording)s, %(token)s, 'c')",
}
OWNERS = {
    "switch on": "select public.set_captions(%(recording)s, true)",
    "switch off": "select public.set_captions(%(recording)s, false)",
    "replace": "select public.replace_caption(%(recording)s, 'Mine.')",
    "withdraw": "update public.audio_files set is_public = false where id = %(recording)s",
    "delete": "delete from public.audio_files where id = %(recording)s",
    "close the account": "delete from auth.users where id = %(owner)s",
}
BARRIERS = {
    "the worker first": "update soundscape.caption_days set requests = requests",
    "the owner first": "select from soundscape.caption_jobs where audio_id = %(recording)s for update",
}
"""What a third session holds until both wait: what a worker locks last, and what an owner does."""


@pytest.mark.parametrize("barrier", BARRIERS)
@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize("worker", WORKERS)
def test_workers_and_owners_never_wait_for_one_another(
    db: Database, alice: str, bob: str, worker: str, owner: str, barrier: str
) -> None:
    """Whichever of them comes first waits at the barrier with its locks, until the other has come."""
    spent = ready(db, bob)
    job = claim(db)  # From here on the day has a row.
    assert job is not None
    assert str(job["audio_id"]) == spent
    names = {"recording": ready(db, alice), "owner": alice, "token": None}
    if worker != "claim":
        job = claim(db)
        assert job is not None
        names["token"] = job["token"]
    first, second = ("owner", "worker") if barrier == "the owner first" else ("worker", "owner")
    calls = {"worker": WORKERS[worker], "owner": OWNERS[owner]}
    sessions = {who: db.connect(autocommit=True) for who in calls}
    claims = json.dumps({"sub": alice, "role": "authenticated"})
    sessions["owner"].execute("select set_config('request.jwt.claims', %s, false)", (claims,))
    gate = db.connect()
    gate.execute(BARRIERS[barrier].encode(), names)

    def run(who: str) -> str | None:
        try:
            sessions[who].execute(calls[who].encode(), names)
        except psycopg.Error as error:
            return error.sqlstate
        return None

    def stands(who: str, future: Future[str | None]) -> bool:
        pid = sessions[who].info.backend_pid
        return future.done() or bool(db.value("select pg_blocking_pids(%s) <> '{}'", pid))

    with ThreadPoolExecutor(2) as pool:
        futures = {}
        for who in (first, second):
            futures[who] = pool.submit(run, who)
            until(partial(stands, who, futures[who]))
        gate.rollback()
        ends = {who: future.result(timeout=LIMIT_S) for who, future in futures.items()}
    assert ends["owner"] is None
    # What the owner did first may have ended the work.
    assert ends["worker"] in (None, "PT409")
