"""Which tables an export has: all that belong to an account, also those that are still to come."""

from __future__ import annotations

import json

import psycopg
import pytest

from .conftest import Database, Row

# Tables of people that an export leaves out, and why.
LEFT_OUT: dict[str, str] = {}


def test_every_table_of_an_account_is_exported(db: Database) -> None:
    owned = {
        row["name"]
        for row in db.rows(
            "select distinct c.relname as name from pg_constraint k join pg_class c on c.oid = k.conrelid"
            " where k.contype = 'f' and c.relnamespace = 'public'::regnamespace and k.confrelid in"
            " ('public.users'::regclass, 'public.audio_files'::regclass, 'public.playlists'::regclass)"
        )
    }
    owned.add("users")
    exported = {row["table_name"] for row in db.rows("select table_name from soundscape.exported_tables")}
    assert owned >= {"audio_files", "playlist_items"}
    assert owned - exported == set(LEFT_OUT)
    assert exported <= owned


def test_every_table_is_found_by_an_index(db: Database) -> None:
    """Of the column that leads to the account."""
    bare = db.rows(
        "select t.table_name from soundscape.exported_tables t where not exists ("
        " select from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]"
        " where i.indrelid = format('public.%%I', t.table_name)::regclass"
        " and a.attname = case t.via when 'claim' then 'matched_audio_id' else t.via end)"
    )
    assert bare == []


def ask(db: Database, owner: str) -> None:
    with db.acting("authenticated", owner) as session:
        session.execute("select public.export_my_data()")
        session.commit()


def read(db: Database, owner: str, table: str) -> list[Row]:
    """What an export of this owner has of a table."""
    ask(db, owner)
    claimed = db.row("select * from public.claim_export()")
    rows = db.rows(
        "select * from public.read_export(%s, %s, %s)", claimed["export_id"], claimed["token"], table
    )
    db.rows("delete from public.exports where id = %s", claimed["export_id"])
    return [row["read_export"] for row in rows]


OTHERS = {
    "private": "select",
    "public": "update public.audio_files set is_public = true where id = %(id)s",
    "hidden": "update public.audio_files set is_public = true, hidden_at = now(), hidden_reason = 'r'"
    " where id = %(id)s",
    "closed": "update public.audio_files set is_public = true where id = %(id)s",
}


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("other", OTHERS)
def test_claims_on_what_the_owner_may_see(
    db: Database, alice: str, bob: str, other: str, is_first: bool
) -> None:
    """From either side, and with nothing about recordings of others that are not listed."""
    mine, too, theirs = (db.recording(owner) for owner in (alice, alice, bob))
    db.connection.execute(OTHERS[other], {"id": theirs})
    for pair in ((mine, theirs) if is_first else (theirs, mine), (mine, too)):
        db.rows(
            "insert into public.audio_matches (audio_id, matched_audio_id, kind, confidence)"
            " values (%s, %s, 'identical', 1)",
            *pair,
        )
    if other == "closed":
        db.rows("insert into soundscape.account_deletions (user_id) values (%s)", bob)
    found = {
        frozenset((row["audio_id"], row["matched_audio_id"])) for row in read(db, alice, "audio_matches")
    }
    assert found == {frozenset((mine, too))} | ({frozenset((mine, theirs))} if other == "public" else set())


@pytest.mark.parametrize("ending", ["it fails", "its owner deletes it", "it is cancelled by its owner"])
def test_so_many_a_day(db: Database, alice: str, ending: str) -> None:
    """However the earlier ones ended."""
    db.rows("update soundscape.owner_limits set max_exports_per_day = 1")
    try:
        ask(db, alice)
        if ending == "it fails":
            db.rows("update public.exports set status = 'failed'")
        else:
            if ending == "its owner deletes it":
                claimed = db.row("select * from public.claim_export()")
                db.rows("select public.complete_export(%s, %s)", claimed["export_id"], claimed["token"])
            with db.acting("authenticated", alice) as session:
                assert session.execute("delete from public.exports").rowcount == 1
                session.commit()
        with pytest.raises(psycopg.Error) as refused:
            ask(db, alice)
        assert refused.value.sqlstate == "PT429"
        # A day later.
        db.rows("update soundscape.export_requests set requested_at = requested_at - interval '1 day'")
        ask(db, alice)
        db.rows("select soundscape.expire_exports()")
        assert db.value("select count(*) from soundscape.export_requests") == 1
    finally:
        db.rows("update soundscape.owner_limits set max_exports_per_day = default")


def test_only_the_newest_zip_is_kept(db: Database, alice: str, bob: str) -> None:
    """Zips do not count as stored bytes: so they must not become many."""
    for owner in (bob, alice, alice):
        ask(db, owner)
        claimed = db.row("select * from public.claim_export()")
        db.store(f"{owner}/{claimed['export_id']}.zip", owner=None, bucket="exports")
        db.rows("select public.complete_export(%s, %s)", claimed["export_id"], claimed["token"])
    assert [row["status"] for row in db.rows("select status from public.exports order by created_at")] == [
        "ready",
        "expired",
        "ready",
    ]
    going = {name for bucket, name in db.deletions() if bucket == "exports"}
    expired = db.row("select user_id, id from public.exports where status = 'expired'")
    assert going == {f"{expired['user_id']}/{expired['id']}.zip"}


STATUSES = {"queued": True, "running": True, "ready": True, "failed": False, "expired": False}


@pytest.mark.parametrize("status", STATUSES)
def test_objects_of_an_export_that_is_over_are_deleted(db: Database, alice: str, status: str) -> None:
    """Also those that a worker stored after the end."""
    path = f"{alice}/x.zip" if status == "ready" else None
    export = db.value(
        "insert into public.exports (user_id, status, file_path) values (%s, %s, %s) returning id",
        alice,
        status,
        path,
    )
    name = f"{alice}/{export}.records"
    db.store(name, owner=None, bucket="exports")
    db.rows("update storage.objects set created_at = now() - interval '2 days' where name = %s", name)
    db.rows("select soundscape.expire_exports()")
    assert (("exports", name) not in db.deletions()) is STATUSES[status]


def test_an_export_that_goes_on_between_failures_does_not_end(db: Database, alice: str) -> None:
    ask(db, alice)

    def fail(stored: int) -> str:
        db.rows("update soundscape.export_jobs set retry_at = now()")
        claimed = db.row("select * from public.claim_export()")
        held = (claimed["export_id"], claimed["token"])
        db.rows("select public.save_export(%s, %s, stored_bytes => %s)", *held, stored)
        db.rows("select public.fail_export(%s, %s, 'c', 'm')", *held)
        return str(db.value("select status from public.exports"))

    assert [fail(stored) for stored in range(1, 8)] == ["running"] * 7
    assert [fail(7) for _ in range(4)] == ["running"] * 3 + ["failed"]


def test_rows_that_are_deleted_between_pages_take_no_other_with_them(db: Database, alice: str) -> None:
    for number in range(6):
        db.rows("insert into public.playlists (user_id, title) values (%s, %s)", alice, str(number))
    ask(db, alice)
    claimed = db.row("select * from public.claim_export()")
    found: list[Row] = []
    while page := db.rows(
        "select read_export as row from public.read_export(%s, %s, 'playlists', %s, 2)",
        claimed["export_id"],
        claimed["token"],
        json.dumps(found[-1]) if found else None,
    ):
        found += [each["row"] for each in page]
        db.rows("delete from public.playlists where id = %s", found[0]["id"])
    assert sorted(row["title"] for row in found) == [*"012345"]


def test_every_table_is_read_by_pages(db: Database, alice: str) -> None:
    """Whatever its primary key is."""
    db.recording(alice)
    ask(db, alice)
    claimed = db.row("select * from public.claim_export()")
    for table in db.rows("select table_name as name from soundscape.exported_tables"):
        rows = db.rows(
            "select to_jsonb(t) as row from (select) as one left join "
            f"(select * from public.{table['name']} limit 1) as t on true"
        )
        after = rows[0]["row"] if rows and rows[0]["row"] else {}
        read = "select read_export as row from public.read_export(%s, %s, %s, %s)"
        held = (claimed["export_id"], claimed["token"], table["name"])
        assert after not in [row["row"] for row in db.rows(read, *held, json.dumps(after))]
