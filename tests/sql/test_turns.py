"""Whose turn it is: a bulk import delays others by a place or two, and backfills come to theirs."""

from __future__ import annotations

import threading
import time
from collections import Counter

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.waiting import LIMIT_S, until

from .conftest import QUEUES, Database


@pytest.fixture
def standing(db: Database) -> int:
    return int(db.value("select soundscape.max_ready_per_owner()"))


def limit(db: Database, in_flight: int) -> None:
    db.rows("select public.set_queue(in_flight_per_owner => %s)", in_flight)


def waiting(db: Database) -> int:
    return int(db.value("select count(*) from soundscape.jobs where state = 'queued' and msg_id is null"))


def test_few_of_an_owners_jobs_stand_in_the_queue(db: Database, alice: str, standing: int) -> None:
    for _ in range(10):
        db.recording(alice)
    assert (db.messages(), waiting(db)) == (standing, 10 - standing)


def test_a_newcomer_has_two_of_a_bulk_import_before_it(
    db: Database, alice: str, bob: str, standing: int
) -> None:
    for _ in range(50):
        db.recording(alice)
    newcomer = db.recording(bob)
    order = [db.claim()[0].audio_id for _ in range(standing + 1)]
    assert order.index(newcomer) == standing


@pytest.mark.parametrize("at_once", [1, 6])
def test_owners_take_turns(db: Database, at_once: int) -> None:
    """Three bulk imports, one after the other, are worked off side by side and each in its own order."""
    owners = [db.sign_up() for _ in range(3)]
    whose = {db.recording(owner): owner for owner in owners for _ in range(12)}
    claimed = []
    while helds := db.claim(at_once):
        for held in helds:
            claimed.append(held.audio_id)
            db.complete(held)
    assert len(claimed) == len(whose)
    for turn in range(6, 30, 6):
        shares = Counter(whose[audio_id] for audio_id in claimed[:turn])
        assert max(shares.values()) - min(shares.get(owner, 0) for owner in owners) <= 3
    for owner in owners:
        mine = [audio_id for audio_id in claimed if whose[audio_id] == owner]
        assert mine == [audio_id for audio_id in whose if whose[audio_id] == owner]


@pytest.mark.parametrize("at_once", [1, 100])
def test_no_owner_has_more_than_its_share_in_flight(db: Database, alice: str, bob: str, at_once: int) -> None:
    limit(db, 5)
    for _ in range(12):
        db.recording(alice)
    held = [job for _ in range(8) for job in db.claim(at_once)]
    assert len(held) == 5
    newcomer = db.recording(bob)
    assert [job.audio_id for job in db.claim(at_once)] == [newcomer], "there is room for others"
    db.complete(held[0])
    assert len(db.claim(at_once)) == 1, "each that ends makes room for one"
    db.fail(held[1], "failed")
    assert len(db.claim(at_once)) == 1
    limit(db, 7)
    assert len([job for _ in range(3) for job in db.claim(at_once)]) == 2


def test_one_that_waits_to_be_tried_again_keeps_its_place_but_stands_in_nobodys_way(
    db: Database, alice: str
) -> None:
    """While Storage is down an owner's few in flight go on trying; the rest keeps its attempts."""
    limit(db, 3)
    ids = [db.recording(alice) for _ in range(6)]
    for _ in range(3):
        (held,) = db.claim()
        db.fail(held, "passing")
    assert db.claim(9) == []
    assert [db.jobs(audio_id)[0]["attempt"] for audio_id in ids] == [1, 1, 1, 0, 0, 0]
    db.expire_leases()
    assert [held.audio_id for held in db.claim(9)] == ids[:3]


def test_objects_that_are_stuck_do_not_hold_up_their_owners_others(db: Database, alice: str) -> None:
    limit(db, 4)
    stuck = [db.recording(alice) for _ in range(4)]
    healthy = [db.recording(alice) for _ in range(3)]
    done: list[str] = []
    for _ in range(5):
        db.expire_leases()
        for held in (held for _ in range(4) for held in db.claim(9)):
            if held.audio_id in stuck:
                assert db.fail(held, "passing") == "queued"
            else:
                db.complete(held)
                done.append(held.audio_id)
    assert sorted(done) == sorted(healthy)
    # They wait out their time in the line too, and come to their turn again.
    assert db.claim(9) == []
    db.expire_leases()
    assert {held.audio_id for _ in range(4) for held in db.claim(9)} == set(stuck)


def test_a_job_that_is_only_ever_given_back_ends(db: Database, alice: str) -> None:
    db.recording(alice)
    endings = []
    while helds := db.claim():
        endings.append(db.fail(helds[0], "released"))
    assert endings == ["queued"] * (db.value("select soundscape.max_excused_failures()") - 1) + ["dead"]


def test_the_ledger_forgets_what_ended_long_ago(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    for _ in range(2):
        db.rows(
            "select soundscape.enqueue(id, object_version) from public.audio_files where id = %s", audio_id
        )
    (held,) = db.claim()
    db.complete(held)
    first, second, last = (job["id"] for job in db.jobs(audio_id))
    for job, days in ((first, 91), (second, 89), (last, 91)):
        db.rows(
            "update soundscape.jobs set finished_at = now() - make_interval(days => %s) where id = %s",
            days,
            job,
        )
    db.reconcile()
    assert [job["id"] for job in db.jobs(audio_id)] == [second, last], "the latest stays"


def test_an_expired_lease_is_taken_over_at_the_limit(db: Database, alice: str) -> None:
    limit(db, 2)
    for _ in range(4):
        db.recording(alice)
    lost = {held.job_id for held in db.claim(9)}
    db.expire_leases()
    assert {held.job_id for held in db.claim(9)} == lost
    assert db.claim(9) == []


def test_too_many_who_stand_are_sent_back_into_the_line(db: Database, alice: str) -> None:
    """Two uploads at once may each see a free place: the claim that counts is exact."""
    limit(db, 1)
    one, other = db.connect(), db.connect()
    ids = [db.describe(f"{alice}/{number}.wav", owner=alice) for number in range(2)]
    for number, connection in enumerate((one, other)):
        db.store(f"{alice}/{number}.wav", owner=alice, connection=connection)
    one.commit()
    other.commit()
    assert db.messages() == 2
    (held,) = db.claim(9)
    assert db.claim(9) == []
    assert (db.messages(), waiting(db)) == (1, 1)
    db.complete(held)
    (next_held,) = db.claim(9)
    assert {held.audio_id, next_held.audio_id} == set(ids)


def test_two_claims_at_once_of_one_owner_keep_the_limit(db: Database, alice: str) -> None:
    limit(db, 1)
    for number in range(2):
        db.describe(f"{alice}/{number}.wav", owner=alice)
    one, other = db.connect(), db.connect()
    for number, connection in enumerate((one, other)):
        db.store(f"{alice}/{number}.wav", owner=alice, connection=connection)
    one.commit()
    other.commit()
    assert db.messages() == 2, "both stand"
    assert len(db.claim(connection=one)) == 1
    claimed: list[int] = []

    def claim_too() -> None:
        with psycopg.connect(db.dsn(), autocommit=True) as connection:
            rows = connection.execute("select * from public.claim_jobs('other', 5, 60)").fetchall()
            claimed.append(len(rows))

    claiming = threading.Thread(target=claim_too)
    claiming.start()
    until(db.somebody_waits)
    assert claiming.is_alive(), "it waits to know how many run"
    one.commit()
    claiming.join(timeout=LIMIT_S)
    assert claimed == [0]


def test_many_claim_and_end_at_once_and_each_job_is_done_once(db: Database) -> None:
    """Several owners' jobs in one call, in any order, beside endings: no deadlock, nothing twice."""
    limit(db, 3)
    owners = [db.sign_up() for _ in range(4)]
    recordings = {db.recording(owner) for _ in range(12) for owner in owners}
    done: list[str] = []
    failures: list[psycopg.Error] = []

    def work(number: int) -> None:
        with psycopg.connect(db.dsn(), autocommit=True, row_factory=dict_row) as connection:
            session = Database(db.postgres, db.name, connection)
            idle = 0
            while idle < 20:
                try:
                    helds = session.claim(1 + number * 2, worker=f"w{number}")
                    idle = 0 if helds else idle + 1
                    for held in helds:
                        session.complete(held)
                        done.append(held.audio_id)
                except psycopg.Error as error:
                    failures.append(error)
                    return
                if not helds:
                    time.sleep(0.05)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=LIMIT_S)
    assert failures == []
    assert Counter(done) == Counter(recordings)
    assert db.messages() == waiting(db) == 0


@pytest.mark.parametrize("lost_by", ["delete", "cancel"])
def test_a_line_nobody_leads_is_found_by_whoever_finds_nothing(
    db: Database, alice: str, standing: int, lost_by: str
) -> None:
    """Those that stood are gone without a word; the next claim, having nothing, looks at the lines."""
    ids = [db.recording(alice) for _ in range(standing + 1)]
    for audio_id in ids[:standing]:
        if lost_by == "delete":
            db.rows("delete from public.audio_files where id = %s", audio_id)
        else:
            db.remove(db.file(audio_id)["file_path"])
    assert [held.audio_id for held in db.claim()] == [ids[-1]]


def test_the_sweep_finds_such_lines_too(db: Database, alice: str, standing: int) -> None:
    ids = [db.recording(alice) for _ in range(standing + 1)]
    db.rows("delete from public.audio_files where id = any(%s::uuid[])", ids[:standing])
    assert db.messages() == 0
    db.reconcile()
    assert db.messages() == 1


def test_every_queue_is_named_once(db: Database) -> None:
    made = {row["queue_name"] for row in db.rows("select queue_name from pgmq.list_queues()")}
    assert set(db.value("select soundscape.queue_names()")) == set(QUEUES) == made


@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("how", ["deleted", "superseded"])
def test_a_line_moves_on_in_every_queue(
    db: Database, alice: str, standing: int, queue: str, how: str
) -> None:
    """The jobs that stand in the queue go away without an end, which admits nobody."""
    ids = [db.recording(alice) for _ in range(standing + 2)]
    db.rows("update soundscape.jobs set state = 'cancelled', finished_at = now()")
    assert db.claim(9) == [], "it deletes their messages"
    for audio_id in ids:
        db.rows("select soundscape.enqueue(%s, %s, %s)", audio_id, db.file(audio_id)["object_version"], queue)
    if how == "deleted":
        db.rows("delete from public.audio_files where id = any(%s::uuid[])", ids[:standing])
    else:
        db.rows(
            "update soundscape.jobs set state = 'superseded' where audio_id = any(%s::uuid[])", ids[:standing]
        )
    claimed = []
    for audio_id in ids[standing:]:
        ask = "claim_previews(%s, 9, 60)" if queue == "soundscape_previews" else "claim_jobs(%s, 9, 60)"
        claimed += [str(row["audio_id"]) for row in db.rows(f"select * from public.{ask}", audio_id)]
    assert claimed == ids[standing:]


@pytest.mark.parametrize("queue", QUEUES)
def test_an_operator_sees_every_queue_and_a_lost_message_in_it(db: Database, alice: str, queue: str) -> None:
    audio_id = db.recording(alice)
    job = db.value(
        "select soundscape.enqueue(%s, %s, %s)", audio_id, db.file(audio_id)["object_version"], queue
    )
    stats = db.value("select public.queue_stats()")["queues"]
    assert {name: found["standing"] for name, found in stats.items()} == {
        name: int(name == queue) for name in QUEUES
    }
    assert db.value("select public.show_job(%s)", job)["visible_at"] is not None
    assert db.value("select soundscape.has_lost_job(%s)", audio_id) is False
    db.rows(f"delete from pgmq.q_{queue}")
    assert db.value("select public.show_job(%s)", job)["visible_at"] is None
    assert db.value("select soundscape.has_lost_job(%s)", audio_id) is True


def backfill(db: Database, owner: str) -> str:
    audio_id = db.recording(owner)
    db.rows(
        "select soundscape.enqueue(id, object_version, 'soundscape_backfill')"
        " from public.audio_files where id = %s",
        audio_id,
    )
    return audio_id


def test_uploads_go_first_and_one_turn_in_ten_is_a_backfills(db: Database) -> None:
    uploads = {db.recording(db.sign_up()) for _ in range(30)}
    backfills = {backfill(db, db.sign_up()) for _ in range(10)}
    db.rows("select setval('soundscape.claim_rounds', 1)")
    order = [db.claim()[0].audio_id for _ in range(30)]
    assert [place for place, audio_id in enumerate(order, start=2) if audio_id in backfills] == [10, 20, 30]
    while helds := db.claim(20):
        order += [held.audio_id for held in helds]
    assert set(order) == uploads | backfills


def test_a_backfills_turn_goes_to_an_upload_where_there_is_no_backfill(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    db.rows("select setval('soundscape.claim_rounds', 9)")
    assert [held.audio_id for held in db.claim()] == [audio_id]


def test_an_owners_backfills_do_not_hold_up_its_uploads(db: Database, alice: str) -> None:
    limit(db, 2)
    for _ in range(4):
        backfill(db, alice)
    assert len(db.claim(9)) == 2
    upload = db.recording(alice)
    assert [held.audio_id for held in db.claim(9)] == [upload]


def test_a_paused_queue_gives_out_nothing_and_takes_what_is_finished(db: Database, alice: str) -> None:
    db.recording(alice)
    (held,) = db.claim()
    later = db.recording(alice)
    db.rows("select public.set_queue(paused => true)")
    assert db.claim(9) == []
    db.extend(held)
    db.complete(held)
    db.rows("select public.set_queue(in_flight_per_owner => 4)")
    assert db.claim(9) == [], "it stays paused whatever else is set"
    db.rows("select public.set_queue(paused => false)")
    assert [again.audio_id for again in db.claim(9)] == [later]


def test_how_soon_there_may_be_something_to_claim(db: Database, alice: str, bob: str) -> None:
    def next_s() -> float | None:
        found: float | None = db.value("select public.next_message_s()")
        return found

    assert next_s() is None
    db.recording(alice)
    assert next_s() == 0
    (held,) = db.claim(lease_s=30)
    assert 28 < (next_s() or 0) <= 30, "its lease may run out"
    backfill(db, bob)
    db.rows("select pgmq.set_vt('soundscape_backfill', msg_id, 20) from pgmq.q_soundscape_backfill")
    db.rows("delete from pgmq.q_soundscape_uploads where msg_id <> %s", int(held.token.partition(".")[0]))
    assert 18 < (next_s() or 0) <= 20, "a backfill is tried again"
    db.rows("select public.set_queue(paused => true)")
    assert next_s() is None


@pytest.mark.parametrize("wrong", [{"in_flight_per_owner": 0}, {"backfill_every": 1}, {"preview_every": 1}])
def test_settings_that_would_stop_somebody_for_good_are_refused(db: Database, wrong: dict[str, int]) -> None:
    (name, value), *_ = wrong.items()
    with pytest.raises(psycopg.errors.CheckViolation):
        db.rows(f"select public.set_queue({name} => %s)", value)
