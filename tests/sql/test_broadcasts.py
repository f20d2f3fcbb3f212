"""What the database tells the topics of Realtime: changes to a library, and how far analyses are."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from .conftest import Database, Row

SHOWN = {"audio_files", "playlists", "playlist_items", "likes", "notifications"}
"""Tables whose changes a library hears."""
NOT_SHOWN = {
    "api_keys": "changed by the user's own settings page",
    "audio_features": "arrives with the recording's status",
    "audio_tags": "arrives with the recording's status",
    "audio_embeddings": "arrives with the recording's status",
    "audio_captions": "arrives some time after the recording, and is read with it",
    "audio_stats": "changes every ten minutes",
    "audio_stats_daily": "changes every ten minutes",
    "audio_matches": "found between recordings, and listed on demand",
    "exports": "asked for now and then, by the page that shows it",
    "feature_flags": "told to everybody by postgres_changes",
    "impressions": "what was recommended, never listed live",
    "license_history": "arrives with the recording",
    "licenses": "changed by deployments",
    "listening_events": "written many times a minute by the page itself",
    "mood_rules": "changed by deployments",
    "notification_preferences": "changed by the user's own settings page",
    "push_subscriptions": "changed by the browser that it is about",
    "report_assignments": "for moderators",
    "reports": "for moderators",
    "role_permissions": "changed by deployments",
    "user_preferences": "changed by the user's own settings page",
    "user_roles": "arrives with the next token",
    "users": "changed by the user's own settings page",
}


def told(db: Database, topic: str) -> list[Row]:
    """The messages of a topic, oldest first, and none of them a second time."""
    return db.rows(
        "with told as (delete from realtime.messages where topic = %s"
        " returning event, payload, private, extension, inserted_at)"
        " select * from told order by inserted_at",
        topic,
    )


def heard(db: Database, user: str) -> list[tuple[str, str, list[Any]]]:
    """(operation, table, rows) of what a user's library heard since last asked."""
    messages = told(db, f"library:{user}")
    for message in messages:
        payload = message["payload"]
        assert (message["private"], message["extension"]) == (True, "broadcast")
        assert (payload["schema"], payload["operation"]) == ("public", message["event"])
    return [(m["event"], m["payload"]["table"], m["payload"]["rows"]) for m in messages]


@pytest.fixture(autouse=True)
def _silence(db: Database) -> None:
    db.rows("delete from realtime.messages")


def test_every_table_is_told_or_has_a_reason(db: Database) -> None:
    tables = {
        row["relname"]: set(row["operations"])
        for row in db.rows(
            "select c.relname, array_remove(array_agg(t.tgname::text), null) as operations from pg_class c"
            " left join pg_trigger t on t.tgrelid = c.oid"
            "  and t.tgfoid = 'soundscape.broadcast_library_change'::regproc"
            " where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' group by c.relname"
        )
    }
    assert {name for name, operations in tables.items() if operations} == SHOWN
    assert set(tables) - SHOWN == set(NOT_SHOWN)
    for name in SHOWN:
        may_change = name != "likes"
        expected = {"broadcast_insert", "broadcast_delete"} | ({"broadcast_update"} if may_change else set())
        assert tables[name] == expected, name


def test_a_recording(db: Database, alice: str, bob: str) -> None:
    audio_id = db.recording(alice)
    seen = heard(db, alice)
    assert [(operation, table) for operation, table, _ in seen] == [
        ("INSERT", "audio_files"),
        ("UPDATE", "audio_files"),
    ]
    assert [rows[0]["status"] for _, _, rows in seen] == ["awaiting_upload", "queued"]
    assert seen[1][2] == [
        {
            "id": audio_id,
            "title": "A sound",
            "is_public": False,
            "status": "queued",
            "error_code": None,
            "duration": None,
            "hidden_at": None,
        }
    ]
    db.complete(db.claim()[0])
    seen = heard(db, alice)
    statuses = [rows[0]["status"] for _, table, rows in seen if table == "audio_files"]
    assert (statuses[0], statuses[-1]) == ("analyzing", "ready")
    assert [(operation, rows[0]["kind"]) for operation, table, rows in seen if table == "notifications"] == [
        ("INSERT", "recording_ready")
    ]
    # What is not among the told columns is told of all the same: the page queries it again.
    db.rows("update public.audio_files set description = 'Now' where id = %s", audio_id)
    assert [(operation, len(rows)) for operation, _, rows in heard(db, alice)] == [("UPDATE", 1)]
    db.rows("delete from public.audio_files where id = %s", audio_id)
    deleted = {table: (operation, rows) for operation, table, rows in heard(db, alice)}
    assert deleted["audio_files"][0] == "DELETE"
    assert [row["id"] for row in deleted["audio_files"][1]] == [audio_id]
    assert deleted["notifications"][0] == "DELETE"
    assert heard(db, bob) == []


def test_what_changes_nothing_is_no_news(db: Database, alice: str) -> None:
    audio_id = db.describe(f"{alice}/a.wav", owner=alice)
    heard(db, alice)
    db.rows("update public.audio_files set title = title where id = %s", audio_id)
    db.rows("update public.audio_files set title = 'x' where false")
    db.rows("delete from public.audio_files where false")
    assert heard(db, alice) == []


def test_a_playlist_and_its_items(db: Database, alice: str, bob: str) -> None:
    audio_id, other = (db.describe(f"{alice}/{name}.wav", owner=alice) for name in "ab")
    made = db.value("insert into public.playlists (user_id, title) values (%s, 'A list') returning id", bob)
    items = [
        str(row["id"])
        for row in db.rows(
            "insert into public.playlist_items (playlist_id, audio_id) values (%s, %s), (%s, %s)"
            " returning id",
            *(made, audio_id, made, other),
        )
    ]
    seen = heard(db, bob)
    assert [(operation, table, len(rows)) for operation, table, rows in seen if operation == "INSERT"] == [
        ("INSERT", "playlists", 1),
        ("INSERT", "playlist_items", 2),
    ]
    db.rows("select set_config('request.jwt.claims', %s, false)", f'{{"sub": "{bob}"}}')
    db.rows("select public.reorder_playlist(%s, %s::uuid[])", made, items[::-1])
    seen = heard(db, bob)
    assert {table for _, table, _ in seen} == {"playlist_items"}
    last = {row["id"]: row["position"] for _, _, rows in seen for row in rows}
    assert last == {items[1]: 1, items[0]: 2}
    # Somebody else deletes a recording that is in it.
    db.rows("delete from public.audio_files where id = %s", audio_id)
    deleted = [(operation, table) for operation, table, _ in heard(db, bob)]
    assert ("DELETE", "playlist_items") in deleted
    db.rows("delete from public.playlists where id = %s", made)
    assert [(operation, table) for operation, table, _ in heard(db, bob)] == [("DELETE", "playlists")]


def test_a_like_and_the_end_of_what_was_liked(db: Database, alice: str, bob: str) -> None:
    audio_id = db.describe(f"{alice}/a.wav", owner=alice)
    like = "insert into public.likes (user_id, audio_id) values (%s, %s)"
    heard(db, alice)
    db.rows(like, bob, audio_id)
    db.rows("delete from public.likes where user_id = %s", bob)
    db.rows(like, bob, audio_id)
    db.rows("delete from public.audio_files where id = %s", audio_id)
    seen = heard(db, bob)
    assert [(operation, table) for operation, table, _ in seen] == [
        ("INSERT", "likes"),
        ("DELETE", "likes"),
    ] * 2
    assert {rows[0]["audio_id"] for _, _, rows in seen} == {audio_id}
    told = [(operation, table) for operation, table, _ in heard(db, alice)]
    # She is told that somebody likes it, and not who.
    assert sorted(told) == [
        ("DELETE", "audio_files"),
        ("DELETE", "notifications"),
        ("INSERT", "notifications"),
    ]


def test_many_rows_are_few_messages(db: Database, alice: str, bob: str) -> None:
    """250 recordings of two people in one statement: three messages and one, each row once, in order."""
    db.rows(
        "insert into public.audio_files (user_id, title, file_path)"
        " select case when n <= 230 then %s else %s end::uuid, lpad(n::text, 3, '0'),"
        " format('public/%%s-%%s', %s::text, n) from generate_series(1, 250) as n",
        *(alice, bob, alice),
    )
    mine, theirs = heard(db, alice), heard(db, bob)
    assert [len(rows) for _, _, rows in mine] == [100, 100, 30]
    titles = [row["title"] for _, _, rows in mine for row in rows]
    assert titles == [f"{n:03}" for n in range(1, 231)]
    assert [len(rows) for _, _, rows in theirs] == [20]


def test_the_widest_rows_fit_into_a_message(db: Database, alice: str) -> None:
    db.rows(
        "insert into public.audio_files (user_id, title, file_path)"
        " select %s, repeat('\U0001f600', 200), format('public/%%s-%%s', %s::text, n)"
        " from generate_series(1, 100) as n",
        *(alice, alice),
    )
    size = db.value("select max(octet_length(payload::text)) from realtime.messages")
    assert 0 < size < 256_000


def test_nobody_is_told_of_the_end_of_their_own_account(db: Database, alice: str, bob: str) -> None:
    audio_id = db.recording(alice)
    db.rows("insert into public.likes (user_id, audio_id) values (%s, %s), (%s, %s)",
            *(alice, audio_id, bob, audio_id))  # fmt: skip
    db.rows("delete from realtime.messages")
    db.rows("delete from auth.users where id = %s", alice)
    assert heard(db, alice) == []
    assert [(operation, table) for operation, table, _ in heard(db, bob)] == [("DELETE", "likes")]


def test_what_is_rolled_back_is_not_told(db: Database, alice: str) -> None:
    with db.connection.transaction(force_rollback=True):
        db.describe(f"{alice}/a.wav", owner=alice)
    assert heard(db, alice) == []


@pytest.mark.parametrize("role", ["authenticated", "service_role"])
def test_clients_are_heard_too(db: Database, alice: str, role: str) -> None:
    """The triggers need no rights of who writes: nobody but the database may insert messages."""
    with db.connect("authenticator") as session:
        session.execute(
            "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)",
            (role, f'{{"sub": "{alice}", "role": "{role}"}}'),
        )
        session.execute(
            "insert into public.audio_files (user_id, title, file_path) values (%s, 'A sound', %s)",
            (alice, f"{alice}/a.wav"),
        )
        session.commit()
    assert [operation for operation, _, _ in heard(db, alice)] == ["INSERT"]


def test_a_message_that_cannot_be_sent_undoes_nothing(db: Database, alice: str) -> None:
    with psycopg.connect(db.dsn("supabase_admin"), autocommit=True) as admin:
        admin.execute("alter table realtime.messages add constraint blocked check (false) not valid")
        try:
            audio_id = db.describe(f"{alice}/a.wav", owner=alice)
        finally:
            admin.execute("alter table realtime.messages drop constraint blocked")
    assert db.file(audio_id)["title"] == "A sound"
    assert heard(db, alice) == []


def test_progress_is_told_by_who_holds_the_job(db: Database, alice: str) -> None:
    audio_id = db.recording(alice)
    (held,) = db.claim()
    report = "select public.report_progress(%s, %s, 'analyzing', 0.25)"
    db.rows(report, held.job_id, held.token)
    (message,) = told(db, f"recording:{audio_id}")
    assert (message["event"], message["private"]) == ("progress", True)
    payload = message["payload"]
    assert {key: payload[key] for key in ("audio_id", "stage", "progress")} == {
        "audio_id": audio_id,
        "stage": "analyzing",
        "progress": 0.25,
    }
    db.expire_leases()
    db.claim()
    with pytest.raises(psycopg.Error) as refused:
        db.rows(report, held.job_id, held.token)
    assert refused.value.sqlstate == "PT409"
    assert told(db, f"recording:{audio_id}") == []
