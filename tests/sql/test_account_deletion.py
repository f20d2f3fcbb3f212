"""An account that is deleted is closed at once, and emptied in batches that may be interrupted."""

from __future__ import annotations

import json
from functools import partial

import psycopg
import psycopg.sql
import pytest

from .conftest import Database
from .library import fill
from .sounds import heard
from .test_fingerprints import candidates, make_entry, make_stored_keys, ready, result
from .test_fingerprints import heard as peaks

SEEN = (
    ("public.users", "id"),
    ("public.audio_files", "user_id"),
    ("public.audio_features", "user_id"),
    ("public.audio_tags", "user_id"),
    ("public.audio_embeddings", "user_id"),
    ("public.playlists", "user_id"),
)


def ask(db: Database, user_id: str, *, session_id: str = "") -> None:
    """Call `delete_my_account` as the Data API does."""
    with psycopg.connect(db.dsn("authenticator")) as connection:
        claims = {"sub": user_id, "role": "authenticated", "session_id": session_id}
        connection.execute(
            "select set_config('role', 'authenticated', true), set_config('request.jwt.claims', %s, true)",
            (json.dumps(claims),),
        )
        connection.execute("select public.delete_my_account()")


def count_seen(db: Database, role: str, viewer: str, owner: str) -> dict[str, int]:
    found = {}
    with db.acting(role, viewer) as connection:
        for table, column in SEEN:
            row = connection.execute(
                f"select count(*) as seen from {table} where {column} = %s".encode(), (owner,)
            ).fetchone()
            assert row is not None
            found[table] = row["seen"]
        row = connection.execute(
            "select count(*) as seen from storage.objects where bucket_id = 'audio-files'"
        ).fetchone()
        assert row is not None
        found["objects"] = row["seen"]
    return found


def count_left(db: Database, owner: str) -> dict[str, int]:
    """What the database still holds of somebody, whoever may see it."""
    tables = db.rows(
        "select c.conrelid::regclass::text as name, a.attname as owner from pg_constraint c "
        "join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1] "
        "where c.contype = 'f' and c.confrelid = 'public.users'::regclass"
    )
    # Features, tags and embeddings repeat the owner, and jobs name them.
    more = [
        *SEEN,
        ("soundscape.jobs", "user_id"),
        ("soundscape.fingerprints", "user_id"),
        ("auth.users", "id"),
    ]
    named = {(table["name"], table["owner"]) for table in tables} | set(more)
    return {
        name: count
        for name, column in named
        if (count := db.value(f"select count(*) from {name} where {column} = %s", owner))
    }


def furnish(db: Database, owner: str, other: str, recordings: int = 3) -> None:
    """Something of every sort."""
    for number in range(recordings):
        audio_id = heard(db, owner, heard={"Rain": 0.5}, at=(1.0, number))
        db.rows("insert into public.likes (user_id, audio_id) values (%s, %s)", other, audio_id)
        db.rows("insert into public.listening_events (user_id, audio_id) values (%s, %s)", owner, audio_id)
    made = db.value(
        "insert into public.playlists (user_id, title, is_public) values (%s, 'A list', true) returning id",
        owner,
    )
    db.rows("insert into public.playlist_items (playlist_id, audio_id) values (%s, %s)", made, audio_id)
    db.store(f"{owner}/undescribed.wav", owner=owner)
    db.store(f"{owner}/me.png", owner=owner, bucket="profile-images")
    db.rows("insert into auth.sessions (id, user_id) values (gen_random_uuid(), %s)", owner)


def test_an_account_is_closed_at_once_for_everybody(db: Database, alice: str, bob: str) -> None:
    moderator = db.sign_up()
    db.rows("insert into public.user_roles (user_id, role) values (%s, 'moderator')", moderator)
    furnish(db, alice, bob)
    viewers = [("anon", ""), ("authenticated", bob), ("authenticated", moderator), ("authenticated", alice)]
    for role, viewer in viewers:
        assert all(count_seen(db, role, viewer, alice).values()), (role, viewer)
    ask(db, alice)
    for role, viewer in viewers:
        seen = count_seen(db, role, viewer, alice)
        assert not any(count for table, count in seen.items() if table != "objects"), (role, viewer)
        # The undescribed object is the owner's alone, and Storage asks for the session's scope.
        assert seen["objects"] == 0
    assert ("profile-images", f"{alice}/me.png") in db.deletions()
    assert db.value("select count(*) from auth.sessions where user_id = %s", alice) == 0
    assert db.value("select banned_until > now() + interval '99 years' from auth.users where id = %s", alice)
    for role, viewer in viewers:
        with db.acting(role, viewer) as connection:
            for call in ("search_audio('sound')", "search_audio()", "mood_mix('nature')"):
                rows = connection.execute(f"select * from public.{call}".encode()).fetchall()
                assert alice not in str(rows)


def test_a_closed_account_is_found_by_no_fingerprint(db: Database, alice: str, bob: str) -> None:
    keys = make_stored_keys(peaks(1))
    ready(db, alice, result(1), public=True)
    mine = ready(db, bob, result(2) | {"index": make_entry(peaks(1))})
    found = {
        "a listener": partial(candidates, db, keys, viewer=bob),
        "a claim": partial(candidates, db, keys, everybody=True, besides=mine),
    }
    assert {name: len({audio_id for audio_id, _, _ in look()}) for name, look in found.items()} == {
        "a listener": 2,
        "a claim": 1,
    }
    ask(db, alice)
    for name, look in found.items():
        assert {audio_id for audio_id, _, _ in look()} <= {mine}, name


def test_neither_a_stranger_nor_an_api_key_closes_an_account(db: Database, alice: str) -> None:
    session = "00000000-0000-4000-8000-000000000081"
    db.rows(
        "insert into soundscape.api_key_sessions (session_id, expires_at) "
        "values (%s, now() + interval '1 hour')",
        session,
    )
    for role, claims in (
        ("anon", {"role": "anon"}),
        ("authenticated", {"role": "authenticated", "sub": alice, "session_id": session}),
    ):
        with psycopg.connect(db.dsn("authenticator")) as connection:
            connection.execute(
                "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)",
                (role, json.dumps(claims)),
            )
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("select public.delete_my_account()")
    assert db.rows("select * from soundscape.account_deletions") == []


@pytest.mark.parametrize("is_small", [True, False])
def test_the_token_of_a_user_who_is_gone_is_of_no_use(
    db: Database, alice: str, bob: str, is_small: bool
) -> None:
    """It lives an hour longer than the user, also once nothing is left of the account."""
    if not is_small:
        fill(db, alice, first=1, last=300)
    db.rows("delete from auth.users where id = %s", alice)
    assert bool(db.rows("select user_id from soundscape.account_deletions")) is not is_small
    with db.acting("authenticated", alice) as connection, pytest.raises(psycopg.Error, match="is closed"):
        connection.execute("select soundscape.check_request()")
    for role, user in (("authenticated", bob), ("anon", ""), ("service_role", "")):
        with db.acting(role, user) as connection:
            connection.execute("select soundscape.check_request()")


def test_a_closed_account_writes_nothing_more(db: Database, alice: str) -> None:
    ask(db, alice)
    # The Data API asks this before each request.
    with db.acting("authenticated", alice) as connection, pytest.raises(psycopg.Error, match="is closed"):
        connection.execute("select soundscape.check_request()")
    with db.acting("authenticated", alice) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(
            "insert into storage.objects (bucket_id, name, owner_id, version) "
            "values ('audio-files', %s, %s, '1')",
            (f"{alice}/more.wav", alice),
        )


@pytest.mark.parametrize("way", ["by its user", "by an administrator"])
def test_a_large_account_is_emptied_in_batches_that_may_end_anywhere(
    db: Database, alice: str, bob: str, way: str
) -> None:
    furnish(db, alice, bob)
    furnish(db, bob, alice, recordings=1)
    fill(db, alice, first=1, last=300)
    kept = count_left(db, bob)
    if way == "by its user":
        ask(db, alice)
    else:
        db.rows("delete from auth.users where id = %s", alice)
    left = db.value("select count(*) from public.audio_files where user_id = %s", alice)
    assert left > 200, "one statement does not delete it all"
    assert count_seen(db, "anon", "", alice)["public.audio_files"] == 0
    # A batch that is cut short changes nothing; the next ones go on from there.
    with db.connect() as connection:
        connection.execute("select soundscape.empty_account(%s, 10)", (alice,))
        connection.rollback()
    assert db.value("select count(*) from public.audio_files where user_id = %s", alice) == left
    calls = 0
    while db.value("select public.empty_accounts(0)"):
        calls += 1
    assert calls >= left // 10
    if way == "by its user":
        assert [
            row["emptied_accounts"]
            for row in db.rows("select emptied_accounts::text from public.emptied_accounts()")
        ] == [alice]
        db.rows("delete from auth.users where id = %s", alice)
    assert count_left(db, alice) == {}
    assert db.rows("select * from soundscape.account_deletions") == []
    assert db.rows("select * from public.emptied_accounts()") == []
    assert {row["user_id"] for row in db.rows("select user_id::text from soundscape.jobs")} <= {bob}
    names = [name for _, name in db.deletions()]
    assert sum(name.startswith(alice) for name in names) >= 303
    assert db.value("select count(*) from soundscape.postings") == 0
    likes = kept.pop("public.likes", 0), kept.pop("likes", 0)
    assert any(likes), "bob liked what is gone now"
    assert {name: count for name, count in count_left(db, bob).items() if "likes" not in name} == kept


REFUSE = (
    "create function public.refuse() returns trigger language plpgsql as $$ begin "
    "if old.user_id = %s then {} end if; return old; end $$; "
    "create trigger refuse before delete on public.audio_files for each row execute function public.refuse()"
)


@pytest.mark.parametrize("why", ["raise 'refused'", "return null", "perform pg_sleep(600)"])
def test_an_account_that_cannot_be_emptied_blocks_no_other(
    db: Database, alice: str, bob: str, why: str
) -> None:
    for user in (alice, bob):
        db.recording(user)
    with psycopg.connect(db.dsn("supabase_admin"), autocommit=True) as admin:
        admin.execute(psycopg.sql.SQL(REFUSE.format(f"{why};").replace("%s", "{}")).format(alice))  # type: ignore[arg-type]
        try:
            ask(db, alice)
            ask(db, bob)
            with db.connect(autocommit=True) as connection:
                connection.execute("set statement_timeout = '1s'")
                for _ in range(2):
                    assert connection.execute("select public.empty_accounts(0) as n").fetchone() is not None
            assert [str(row["user_id"]) for row in db.rows("select user_id from public.audio_files")] == [
                alice
            ]
            waits = db.row("select * from soundscape.account_deletions where user_id = %s", alice)
            assert (waits["attempts"], waits["failure"] is not None) == (1, True)
            assert db.value("select public.empty_accounts(0)") == 0, "nothing to do at the moment"
            assert db.row("select * from soundscape.account_deletions where user_id = %s", alice) == waits
        finally:
            admin.execute("drop function public.refuse() cascade")
    db.rows("update soundscape.account_deletions set retry_at = now()")
    assert db.value("select public.empty_accounts(5)") == 0
    assert db.rows("select * from public.audio_files") == []
    assert db.rows("select failure from soundscape.account_deletions where failure is not null") == []


def test_an_account_that_cannot_be_emptied_is_closed_all_the_same(db: Database, alice: str) -> None:
    db.recording(alice)
    with psycopg.connect(db.dsn("supabase_admin"), autocommit=True) as admin:
        admin.execute(psycopg.sql.SQL(REFUSE.format("raise 'no';").replace("%s", "{}")).format(alice))  # type: ignore[arg-type]
        try:
            db.rows("delete from auth.users where id = %s", alice)
        finally:
            admin.execute("drop function public.refuse() cascade")
    assert db.value("select failure from soundscape.account_deletions") == "no"
    db.rows("update soundscape.account_deletions set retry_at = now()")
    db.rows("select public.empty_accounts(5)")
    assert count_left(db, alice) == {}


def test_fewer_rows_than_asked_for_are_not_the_last(db: Database, alice: str) -> None:
    """A row that another transaction changes at that moment moves, and is not deleted."""
    db.recording(alice)
    db.recording(alice)
    with psycopg.connect(db.dsn("supabase_admin"), autocommit=True) as admin:
        admin.execute(
            "create sequence public.first; grant usage on sequence public.first to public; "
            "create function public.skip_first() returns trigger language plpgsql as $$ begin "
            "return case when nextval('public.first') > 1 then old end; end $$; "
            "create trigger skip_first before delete on public.audio_files "
            "for each row execute function public.skip_first()"
        )
        try:
            ask(db, alice)
            assert db.value("select soundscape.empty_account(%s, 10)", alice) is False
            assert db.value("select emptied_at from soundscape.account_deletions") is None
            assert db.value("select soundscape.empty_account(%s, 10)", alice) is True
        finally:
            admin.execute("drop function public.skip_first() cascade; drop sequence public.first")


def test_a_worker_stops_while_another_empties_the_account(db: Database, alice: str) -> None:
    fill(db, alice, first=1, last=30)
    ask(db, alice)
    one = db.connect()
    one.execute("select public.empty_accounts(0)")
    assert db.value("select public.empty_accounts(0)") == 0
    one.commit()
    assert db.value("select public.empty_accounts(0)") == 1


def test_no_id_of_a_deleted_account_is_kept(db: Database, alice: str, bob: str) -> None:
    """In whatever column."""
    furnish(db, alice, bob)
    db.rows("update public.audio_files set is_public = true, status = 'ready' where user_id = %s", alice)
    assert db.value("select count(*) from soundscape.vocabulary where added_by = %s", alice)
    db.rows("delete from auth.users where id = %s", alice)
    while db.value("select public.empty_accounts(5)"):
        pass
    for bucket, name in db.deletions():
        db.remove(name, bucket=bucket)
    columns = db.rows(
        "select c.oid::regclass::text as name, a.attname as column from pg_class c"
        " join pg_attribute a on a.attrelid = c.oid and a.atttypid = 'uuid'::regtype and not a.attisdropped"
        " where c.relkind = 'r' and c.relnamespace in ('public'::regnamespace, 'soundscape'::regnamespace)"
    )
    assert {
        (each["name"], each["column"])
        for each in columns
        if db.value(f'select count(*) from {each["name"]} where "{each["column"]}" = %s', alice)
    } == set()


def test_two_sessions_empty_two_accounts(db: Database, alice: str, bob: str) -> None:
    for user in (alice, bob):
        db.recording(user)
        ask(db, user)
    one, other = db.connect(), db.connect()
    for connection in (one, other):
        connection.execute("select public.empty_accounts(0)")
    one.commit()
    other.commit()
    assert db.rows("select * from public.audio_files") == []
    assert len(db.rows("select * from public.emptied_accounts()")) == 2


def test_an_account_whose_auth_user_went_unseen_is_found_by_the_sweep(db: Database, alice: str) -> None:
    db.recording(alice)
    with psycopg.connect(db.dsn("supabase_admin"), autocommit=True) as admin:
        admin.execute("alter table auth.users disable trigger soundscape_user_deleted")
        try:
            admin.execute("delete from auth.users where id = %s", (alice,))
        finally:
            admin.execute("alter table auth.users enable trigger soundscape_user_deleted")
    assert count_left(db, alice) != {}
    db.reconcile()
    assert db.value("select public.empty_accounts(5)") == 0
    assert count_left(db, alice) == {}


def test_the_end_of_an_auth_user_is_said_once_it_is_gone(db: Database, alice: str) -> None:
    """The worker deletes the auth user; if it dies before it hears of that, nothing is left to do."""
    ask(db, alice)
    assert db.value("select public.empty_accounts(5)") == 0
    with psycopg.connect(db.dsn("supabase_admin"), autocommit=True) as admin:
        admin.execute("alter table auth.users disable trigger soundscape_user_deleted")
        try:
            admin.execute("delete from auth.users where id = %s", (alice,))
        finally:
            admin.execute("alter table auth.users enable trigger soundscape_user_deleted")
    assert db.rows("select * from public.emptied_accounts()") == []
    db.value("select public.empty_accounts(5)")
    assert count_left(db, alice) == {}
    assert db.rows("select * from soundscape.account_deletions") == []
