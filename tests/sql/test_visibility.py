"""What hangs on a recording goes where it goes: to the public and back, hidden and shown, into nothing."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from .conftest import RESULT, Database

Row = dict[str, Any]
HANGING = ("audio_features", "audio_tags", "audio_embeddings")
HEARD: Row = RESULT | {
    "tags": [
        {"label": "Speech", "confidence": 0.9, "start_s": 0, "end_s": 1},
        {"label": "Speech", "confidence": 0.5, "start_s": 1, "end_s": 1.5},
    ],
    "embedding": {"space": "yamnet-128-v3", "values": [0.5] * 128},
}


def ready(db: Database, owner: str, result: Row = HEARD) -> str:
    audio_id = db.recording(owner)
    (held,) = db.claim()
    db.complete(held, result)
    return audio_id


def seen(db: Database, audio_id: str, role: str = "anon", user_id: str = "") -> Row:
    """How many rows of each table about this recording somebody sees."""
    with db.acting(role, user_id) as connection:
        counts = {"audio_files": "id"} | dict.fromkeys(HANGING, "audio_id")
        found = {}
        for table, column in counts.items():
            query = psycopg.sql.SQL("select count(*) as n from public.{} where {} = %s").format(
                psycopg.sql.Identifier(table), psycopg.sql.Identifier(column)
            )
            row = connection.execute(query, (audio_id,)).fetchone()
            assert row is not None
            found[table] = row["n"]
        return found


ALL = {"audio_files": 1, "audio_features": 1, "audio_tags": 2, "audio_embeddings": 1}
NOTHING = dict.fromkeys(ALL, 0)


def test_completion_writes_tags_and_embedding(db: Database, alice: str) -> None:
    audio_id = ready(db, alice)
    assert seen(db, audio_id, "authenticated", alice) == ALL
    assert db.row("select space, embedding::text as e from public.audio_embeddings") == {
        "space": "yamnet-128-v3",
        "e": "[" + ",".join(["0.5"] * 128) + "]",
    }


@pytest.mark.parametrize("skipped", [{}, {"tags": None, "embedding": None}], ids=["absent", "null"])
def test_a_skipped_stage_leaves_no_tags_of_former_bytes(db: Database, alice: str, skipped: Row) -> None:
    audio_id = ready(db, alice)
    db.store(db.file(audio_id)["file_path"], owner=alice)
    (held,) = db.claim()
    db.complete(held, RESULT | skipped)
    assert seen(db, audio_id, "authenticated", alice) == ALL | {"audio_tags": 0, "audio_embeddings": 0}


@pytest.mark.parametrize(
    "broken",
    [
        {"tags": [{"label": "Speech", "confidence": 2, "start_s": 0, "end_s": 1}]},
        {"tags": [{"label": "Speech", "confidence": 1, "start_s": 2, "end_s": 1}]},
        {"embedding": {"space": "s", "values": [0.5] * 127}},
    ],
    ids=["confidence", "span", "dimensions"],
)
def test_a_wrong_result_writes_nothing_at_all(db: Database, alice: str, broken: Row) -> None:
    audio_id = db.recording(alice)
    (held,) = db.claim()
    with pytest.raises(psycopg.Error):
        db.complete(held, HEARD | broken)
    assert seen(db, audio_id, "authenticated", alice) == NOTHING | {"audio_files": 1}
    assert db.file(audio_id)["status"] == "analyzing"


def test_public_and_back_with_everything(db: Database, alice: str, bob: str) -> None:
    audio_id = ready(db, alice)
    for is_public, expected in ((True, ALL), (False, NOTHING)):
        db.rows("update public.audio_files set is_public = %s where id = %s", is_public, audio_id)
        assert seen(db, audio_id) == seen(db, audio_id, "authenticated", bob) == expected
        assert seen(db, audio_id, "authenticated", alice) == ALL


def test_new_owner_and_visibility_cannot_be_made_up(db: Database, alice: str, bob: str) -> None:
    audio_id = ready(db, alice)
    for table in HANGING:
        change = psycopg.sql.SQL("update public.{} set is_listed = true where audio_id = %s")
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            db.connection.execute(change.format(psycopg.sql.Identifier(table)), (audio_id,))


@pytest.mark.parametrize("gone", ["public.audio_files", "auth.users", "storage.objects"])
def test_nothing_is_left_behind(db: Database, alice: str, bob: str, gone: str) -> None:
    audio_id, _ = ready(db, alice), ready(db, bob)
    db.rows("update public.audio_files set is_public = true")
    # RESULT's hash is everybody's.
    assert db.value("select count(*) from public.audio_matches") == 1
    if gone == "storage.objects":
        db.remove(db.file(audio_id)["file_path"])
    else:
        db.rows("insert into public.likes (user_id, audio_id) values (%s, %s)", bob, audio_id)
        db.rows("insert into public.listening_events (user_id, audio_id) values (%s, %s)", bob, audio_id)
        db.rows(
            "insert into public.reports (audio_id, reporter_id, reason) values (%s, %s, 'spam')",
            audio_id,
            bob,
        )
        db.rows("select soundscape.enqueue(%s, 'again')", audio_id)
        if gone == "auth.users":
            db.rows("delete from auth.users where id = %s", alice)
        else:
            db.rows("delete from public.audio_files where id = %s", audio_id)
    left = {
        table: db.value(f"select count(*) from public.{table}")
        for table in (*HANGING, "audio_matches", "likes", "listening_events", "reports")
    }
    assert left == {"audio_features": 1, "audio_tags": 2, "audio_embeddings": 1} | dict.fromkeys(
        ("audio_matches", "likes", "listening_events", "reports"), 0
    )
    assert db.messages() == 0


def test_the_key_of_a_tag_tells_of_no_other_recording(db: Database) -> None:
    """A number that is counted up would show that somebody's private recording was analysed in between."""
    counted = db.rows(
        "select attrelid::regclass::text, attname from pg_attribute "
        "where attrelid = any (array['public.audio_tags', 'public.audio_features', "
        "'public.audio_embeddings', 'public.audio_matches', 'public.audio_files']::regclass[]) "
        "and (attidentity <> '' or pg_get_serial_sequence(attrelid::regclass::text, attname) is not null)"
    )
    assert counted == []
