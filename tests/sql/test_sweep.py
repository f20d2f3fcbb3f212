"""The sweep: its work does not grow with the project, and in its rounds it looks at everything."""

from __future__ import annotations

import psycopg
import pytest

from .conftest import Database
from .library import count_buffers, fill
from .test_jobs import NOTHING, _without_triggers

PAGE = 500


def sweep_round(db: Database) -> dict[str, int]:
    """Sweep until each kind of page has had a whole round; what was repaired, summed up."""
    before = db.value("select jsonb_object_agg(kind, rounds) from soundscape.sweep_pages")
    repaired = dict(NOTHING)
    for _ in range(100):
        for kind, count in db.reconcile().items():
            repaired[kind] += count
        after = db.value("select jsonb_object_agg(kind, rounds) from soundscape.sweep_pages")
        if all(after[kind] >= before[kind] + 2 for kind in before):
            return repaired
    raise AssertionError(f"no round after 100 sweeps: {before} {after}")


def test_a_sweep_with_nothing_to_do_costs_the_same_in_a_larger_library(db: Database, alice: str) -> None:
    fill(db, alice, last=2 * PAGE)
    small = count_buffers(db, "select soundscape.reconcile()", by_index=True)
    fill(db, alice, first=2 * PAGE + 1, last=16 * PAGE)
    large = count_buffers(db, "select soundscape.reconcile()", by_index=True)
    assert large < 1.5 * small
    # A page of each kind, an object or a row takes a few pages each.
    assert large < 60 * PAGE
    assert sweep_round(db) == NOTHING


@pytest.mark.parametrize("triggers", ["on", "off"])
def test_what_was_missed_is_found_within_a_round(db: Database, alice: str, triggers: str) -> None:
    fill(db, alice, last=3 * PAGE)
    sweep_round(db)
    undescribed, described = f"{alice}/zz-1.wav", f"{alice}/zz-2.wav"
    audio_id = db.describe(described, owner=alice)

    def upload() -> None:
        for name in (undescribed, described):
            db.store(name, owner=alice)
        db.rows(
            "update storage.objects set created_at = now() - interval '2 minutes' where name like '%%zz-%%'"
        )

    if triggers == "on":
        upload()
    else:
        _without_triggers(db, upload)
    repaired = sweep_round(db)
    assert repaired == NOTHING | {"drafted": 1, "attached": int(triggers == "off")}
    assert db.states(audio_id) == ["queued"]
    # Both wait: the pages of jobs find the message that is lost, however many recordings there are.
    db.rows("delete from pgmq.q_soundscape_uploads")
    assert sweep_round(db) == NOTHING | {"resent": 2}
    assert sweep_round(db) == NOTHING


def test_an_undescribed_upload_is_drafted_without_waiting_for_its_page(db: Database, alice: str) -> None:
    fill(db, alice, last=3 * PAGE)
    db.reconcile()
    name = f"{alice}/zz.wav"
    db.store(name, owner=alice)
    db.rows("update storage.objects set created_at = now() - interval '2 minutes' where name = %s", name)
    assert db.reconcile()["drafted"] == 0, "a minute is given to describe it"
    db.rows("update soundscape.undescribed_objects set written_at = now() - interval '2 minutes'")
    assert db.reconcile() == NOTHING | {"drafted": 1}
    assert db.rows("select * from soundscape.undescribed_objects") == []


def test_a_round_at_night_may_be_interrupted_and_goes_on(db: Database, alice: str) -> None:
    fill(db, alice, last=3 * PAGE)
    db.rows("update soundscape.sweep_pages set after = null, round_ended_at = null")
    db.store(f"{alice}/zz.wav", owner=alice)
    db.rows("update storage.objects set created_at = now() - interval '2 days'")
    db.rows("delete from soundscape.undescribed_objects")
    # A transaction that is ended takes its page back.
    with db.connect() as connection:
        connection.execute("select soundscape.check_page('recordings')")
        connection.rollback()
    assert db.value("select after from soundscape.sweep_pages where kind = 'recordings'") is None
    assert db.value("select soundscape.check_page('recordings')")["drafted"] == 0
    assert db.value("select soundscape.finish_round(0)") == NOTHING
    assert db.value("select after from soundscape.sweep_pages where kind = 'recordings'") is not None
    assert db.value("select soundscape.finish_round(600)") == NOTHING | {"drafted": 1}
    assert db.value("select count(*) from soundscape.sweep_pages where round_ended_at is null") == 0
    # A round that ended lately is not repeated.
    db.rows("delete from public.audio_files where file_path like '%%zz.wav'")
    db.rows("delete from soundscape.deletions")
    assert db.value("select soundscape.finish_round(600)") == NOTHING


@pytest.mark.parametrize("sweep", ["reconcile()", "finish_round(600)"])
def test_a_page_that_fails_holds_up_nobody(db: Database, alice: str, sweep: str) -> None:
    fill(db, alice, last=2 * PAGE)
    db.rows("update soundscape.sweep_pages set after = null, round_ended_at = null")
    # Objects of nobody, on the first page and on the last one.
    for name in ("00000000-0000-4000-8000-000000000000/stuck", "ffffffff-0000-4000-8000-000000000000/x"):
        db.store(name, owner=None, bucket="waveforms")
    db.rows("update storage.objects set created_at = now() - interval '2 days'")
    with psycopg.connect(db.dsn("supabase_admin"), autocommit=True) as admin:
        admin.execute(
            "create function pg_temp.refuse() returns trigger language plpgsql as "
            "'begin raise exception ''refused''; end'"
        )
        admin.execute(
            "create trigger refuse before insert on soundscape.deletions for each row "
            "when (new.name like '%/stuck') execute function pg_temp.refuse()"
        )
        try:
            discarded = sum(db.value(f"select soundscape.{sweep}")["discarded"] for _ in range(4))
        finally:
            admin.execute("drop trigger refuse on soundscape.deletions")
    assert discarded == 1


def test_old_jobs_go_page_by_page_and_the_latest_of_each_recording_stays(db: Database, alice: str) -> None:
    fill(db, alice, last=2 * PAGE)
    fill_again = """
        insert into soundscape.jobs (audio_id, user_id, object_version, queue, state, finished_at)
        select f.id, f.user_id, '1', 'soundscape_uploads', 'succeeded', now() - interval '95 days'
        from public.audio_files f"""
    db.rows(fill_again)
    for _ in range(8):
        db.reconcile()
    assert db.value("select count(*) from soundscape.jobs") == 2 * PAGE
    assert db.value("select count(distinct audio_id) from soundscape.jobs") == 2 * PAGE


def _make_waiting(db: Database, owners: int, *, first: int = 1) -> None:
    """Owners whose eight places are taken, with one more job in line."""
    db.rows(
        """
        with people as (
            insert into auth.users (id, email)
            select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, n || '@example.com'
            from generate_series(%s::integer, %s::integer) n returning id),
        recordings as (
            insert into public.audio_files (user_id, title, file_path)
            select p.id, 'Sound', p.id || '/' || n from people p, generate_series(1, 9) n
            returning id, user_id)
        select count(*) from recordings""",
        first,
        first + owners - 1,
    )
    db.rows(
        """
        insert into soundscape.jobs (audio_id, user_id, object_version, queue, state, msg_id)
        select f.id, f.user_id, '1', 'soundscape_uploads',
               case when f.file_path like '%%/9' then 'queued' else 'running' end,
               case when f.file_path not like '%%/9' then 1 end
        from public.audio_files f where not exists (select from soundscape.jobs j where j.audio_id = f.id)"""
    )
    db.rows("analyze soundscape.jobs")


def test_a_claim_that_finds_nothing_looks_at_a_limited_number_of_lines(db: Database) -> None:
    claim = "select * from soundscape.claim_jobs('w', 1)"
    _make_waiting(db, 120)
    few = count_buffers(db, claim)
    _make_waiting(db, 600, first=1000)
    assert count_buffers(db, claim) < 2.5 * few


def test_each_line_has_its_turn(db: Database) -> None:
    _make_waiting(db, 30)
    db.rows("update soundscape.jobs set state = 'succeeded', finished_at = now() where msg_id is not null")
    for _ in range(200):
        if db.value("select count(*) from soundscape.jobs where msg_id is null and state = 'queued'") == 0:
            return
        db.value("select soundscape.admit_waiting(2)")
    raise AssertionError("a line was passed over two hundred times")


def test_what_waits_for_deletion_does_not_slow_a_job_or_a_batch(db: Database, alice: str) -> None:
    def waits(count: int) -> tuple[int, int]:
        db.rows(
            "insert into soundscape.deletions (bucket_id, name) "
            "select 'waveforms', gen_random_uuid() || '/1/1/1-1/waveform.dat' from generate_series(1, %s)",
            count,
        )
        db.rows("analyze soundscape.deletions")
        former = "select soundscape.delete_former_pictures(%s, %s)"
        return (
            count_buffers(db, former, audio_id, f"{audio_id}/1/1/1-2/", by_index=True),
            count_buffers(db, "select * from soundscape.pending_deletions(10)", by_index=True),
        )

    audio_id = db.recording(alice)
    few, many = waits(200), waits(20_000)
    assert many[0] < 2 * few[0]
    assert many[1] < 2 * few[1]


def test_a_page_that_takes_too_long_is_left_out(db: Database) -> None:
    """As one that fails: the sweep goes on with the next page."""
    sweeping = db.connect()
    sweeping.execute(
        "create or replace function soundscape.check_page(wanted_kind text) returns jsonb"
        " language plpgsql as $$ begin perform pg_sleep(3600); end $$"
    )
    sweeping.execute("set local statement_timeout = '200ms'")
    (found,) = sweeping.execute("select soundscape.try_page('recordings')::text as found").fetchall()
    assert found["found"] == "{}"
    sweeping.rollback()
