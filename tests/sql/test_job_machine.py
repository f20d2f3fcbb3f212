"""The life of jobs in any order: what must hold after every step, and at the end nothing is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from .conftest import Database, Held, empty

IN_FLIGHT = 2
OWNERS = 2
PICK = st.integers(min_value=0, max_value=10_000)

# One line a recording that breaks a promise, with the promise.
BROKEN = """
select f.id, f.status, j.states, case
    when j.live > 1 then 'one live job a recording'
    when f.status in ('queued', 'analyzing') and j.live = 0 then 'whoever waits has a job'
    when f.status = 'analyzing' and not 'running' = any(j.states) then 'analyzing is running'
    when f.status = 'queued' and 'running' = any(j.states) then 'running is analyzing'
    when f.status in ('failed', 'rejected', 'awaiting_upload') and j.live > 0 then 'an end is an end'
    when f.status = 'ready' and not exists (select from public.audio_features a where a.audio_id = f.id)
        then 'ready has results'
    when f.status = 'awaiting_upload' and exists (select from public.audio_features a where a.audio_id = f.id)
        then 'no bytes, no results'
end as promise
from public.audio_files f cross join lateral (
    select coalesce(array_agg(j.state), '{}') as states,
           count(*) filter (where j.state in ('queued', 'running')) as live
    from soundscape.jobs j where j.audio_id = f.id) j
"""

IN_FLIGHT_OF_OWNERS = """
select coalesce(max(running), 0) from (
    select count(*) as running from soundscape.jobs where state = 'running' and msg_id is not null
    group by user_id, queue) owners
"""


@dataclass
class Told:
    """A claim, and whether anything has ended it since, as far as the test knows."""

    held: Held
    stale: bool = False


class Jobs(RuleBasedStateMachine):
    """Owners, workers and the operator, each doing anything at any time."""

    db: Database
    superuser: psycopg.Connection

    def __init__(self) -> None:
        super().__init__()
        empty(self.db, self.superuser)
        self.db.rows("select public.set_queue(in_flight_per_owner => %s)", IN_FLIGHT)
        self.owners = [self.db.sign_up() for _ in range(OWNERS)]
        self.recordings: list[str] = []
        self.claims: list[Told] = []

    def recording(self, pick: int) -> str:
        return self.recordings[pick % len(self.recordings)]

    def end(self, audio_id: str) -> None:
        for told in self.claims:
            told.stale |= told.held.audio_id == audio_id

    def word(self, told: Told, say: Any) -> None:
        """Say it: it is heard if and only if the claim still holds."""
        if told.stale:
            with pytest.raises(psycopg.Error) as refused:
                say(told.held)
            assert refused.value.sqlstate == "PT409"
        else:
            say(told.held)

    # -- owners -----------------------------------------------------------------------------------

    @initialize(each=st.integers(2, 4))
    def import_some(self, each: int) -> None:
        for owner in self.owners * each:
            self.recordings.append(self.db.recording(owner))

    @rule(pick=PICK)
    def upload(self, pick: int) -> None:
        self.recordings.append(self.db.recording(self.owners[pick % OWNERS]))

    @precondition(lambda self: self.recordings)
    @rule(pick=PICK)
    def overwrite(self, pick: int) -> None:
        audio_id = self.recording(pick)
        file = self.db.file(audio_id)
        self.db.store(file["file_path"], owner=str(file["user_id"]))
        self.end(audio_id)

    @precondition(lambda self: self.recordings)
    @rule(pick=PICK)
    def delete_bytes(self, pick: int) -> None:
        audio_id = self.recording(pick)
        self.db.remove(self.db.file(audio_id)["file_path"])
        self.end(audio_id)

    @precondition(lambda self: self.recordings)
    @rule(pick=PICK)
    def delete_recording(self, pick: int) -> None:
        audio_id = self.recording(pick)
        self.db.rows("delete from public.audio_files where id = %s", audio_id)
        self.recordings.remove(audio_id)
        self.end(audio_id)

    @precondition(lambda self: self.recordings)
    @rule(pick=PICK, wish=st.sampled_from(["cancel_analysis", "retry_analysis"]))
    def wish(self, pick: int, wish: str) -> None:
        audio_id = self.recording(pick)
        with self.db.connection.transaction():
            self.db.rows(
                "select set_config('request.jwt.claims', jsonb_build_object('sub', user_id)::text, true)"
                " from public.audio_files where id = %s",
                audio_id,
            )
            self.db.rows(f"select soundscape.{wish}(%s)", audio_id)
        if wish == "cancel_analysis":
            self.end(audio_id)

    # -- workers ----------------------------------------------------------------------------------

    @rule(most=st.integers(1, 5))
    def claim(self, most: int) -> None:
        for held in self.db.claim(most):
            for told in self.claims:
                told.stale |= told.held.job_id == held.job_id
            self.claims.append(Told(held))
        # A claim that comes upon a lease run out for the fifth time ends the job instead.
        dead = {row["id"] for row in self.db.rows("select id from soundscape.jobs where state = 'dead'")}
        for told in self.claims:
            told.stale |= told.held.job_id in dead

    @precondition(lambda self: self.claims)
    @rule(pick=PICK)
    def extend(self, pick: int) -> None:
        self.word(self.claims[pick % len(self.claims)], self.db.extend)

    @precondition(lambda self: self.claims)
    @rule(pick=PICK)
    def complete(self, pick: int) -> None:
        told = self.claims[pick % len(self.claims)]
        self.word(told, self.db.complete)
        told.stale = True

    @precondition(lambda self: self.claims)
    @rule(pick=PICK, kind=st.sampled_from(["failed", "rejected", "crashed", "passing", "released"]))
    def fail(self, pick: int, kind: str) -> None:
        told = self.claims[pick % len(self.claims)]
        self.word(told, lambda held: self.db.fail(held, kind))
        told.stale = True

    @precondition(lambda self: any(not told.stale for told in self.claims))
    @rule(pick=PICK, word=st.sampled_from(["complete", "extend", "fail"]))
    def a_paused_worker_comes_back(self, pick: int, word: str) -> None:
        holding = [told for told in self.claims if not told.stale]
        paused = holding[pick % len(holding)]
        self.db.expire_leases()
        self.claim(5)
        if paused.stale:
            self.word(paused, getattr(self.db, word))

    @rule()
    def time_passes(self) -> None:
        self.db.expire_leases()

    # -- the operator and accidents ---------------------------------------------------------------

    @rule()
    def sweep(self) -> None:
        before = {str(row["id"]) for row in self.live()}
        self.db.reconcile()
        for audio_id in {str(row["audio_id"]) for row in self.live() if str(row["id"]) not in before}:
            self.end(audio_id)

    @rule(version=st.sampled_from(["test-1", "test-2", "test-3"]))
    def reanalyze(self, version: str) -> None:
        before = {str(row["id"]) for row in self.live()}
        self.db.rows("select public.reanalyze(%s)", version)
        for audio_id in {str(row["audio_id"]) for row in self.live() if str(row["id"]) not in before}:
            self.end(audio_id)

    @rule(uploads=st.booleans())
    def lose_messages(self, uploads: bool) -> None:
        self.db.rows(f"delete from pgmq.q_soundscape_{'uploads' if uploads else 'backfill'}")

    # -- what holds -------------------------------------------------------------------------------

    def live(self) -> list[dict[str, Any]]:
        return self.db.rows("select id, audio_id from soundscape.jobs where state in ('queued', 'running')")

    @invariant()
    def promises_are_kept(self) -> None:
        assert [row for row in self.db.rows(BROKEN) if row["promise"]] == []
        assert self.db.value(IN_FLIGHT_OF_OWNERS) <= IN_FLIGHT

    @invariant()
    def nobody_holds_what_another_holds(self) -> None:
        holding = [told.held.audio_id for told in self.claims if not told.stale]
        assert len(holding) == len(set(holding))
        running = {str(row["audio_id"]) for row in self.db.rows(
            "select audio_id from soundscape.jobs where state = 'running'")}  # fmt: skip
        assert running == set(holding)

    def teardown(self) -> None:
        """Workers without fault, and time: everything that has bytes comes to an end."""
        for _ in range(60):
            if not self.live():
                break
            self.db.reconcile()
            self.db.expire_leases()
            for held in self.db.claim(20):
                self.db.complete(held)
        assert self.live() == []
        assert [f["status"] for f in self.db.rows("select status from public.audio_files")
                if f["status"] not in ("ready", "failed", "rejected", "awaiting_upload")] == []  # fmt: skip
        unfinished = self.db.rows(
            "select f.id from public.audio_files f join storage.objects o on o.name = f.file_path"
            " where o.bucket_id = 'audio-files' and f.status = 'awaiting_upload'"
        )
        assert unfinished == []


def test_the_life_of_jobs_in_any_order(db: Database, superuser: psycopg.Connection) -> None:
    Jobs.db, Jobs.superuser = db, superuser
    run_state_machine_as_test(
        Jobs,
        settings=settings(
            max_examples=15,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
