"""Roles, reports, and what a hidden recording's owner and everybody else see."""

from __future__ import annotations

import json
from typing import LiteralString

import psycopg
import pytest

from .conftest import Database


@pytest.fixture
def moderator(db: Database) -> str:
    user_id = db.sign_up()
    db.rows("insert into public.user_roles (user_id, role) values (%s, 'moderator')", user_id)
    return user_id


def report(db: Database, audio_id: str, reporter: str) -> str:
    return str(
        db.value(
            "insert into public.reports (audio_id, reporter_id, reason) values (%s, %s, 'spam') returning id",
            audio_id,
            reporter,
        )
    )


def do(db: Database, user_id: str, query: LiteralString, *values: object) -> None:
    """One committed call of a signed-in user."""
    with psycopg.connect(db.dsn("authenticator")) as connection:
        connection.execute(
            "select set_config('role', 'authenticated', true), set_config('request.jwt.claims', %s, true)",
            (json.dumps({"sub": user_id}),),
        )
        connection.execute(query, values)


def visible(db: Database, user_id: str, audio_id: str) -> list[str | None]:
    with db.acting("authenticated", user_id) as connection:
        rows = connection.execute(
            "select hidden_reason from public.audio_files where id = %s", (audio_id,)
        ).fetchall()
        return [row["hidden_reason"] for row in rows]


def test_from_report_to_hidden_and_back(db: Database, alice: str, bob: str, moderator: str) -> None:
    audio_id = db.recording(alice)
    db.rows("update public.audio_files set is_public = true where id = %s", audio_id)
    reported = report(db, audio_id, bob)
    status = "select status, resolution, resolution_reason from public.reports"
    assert db.row(status)["status"] == "open"
    do(db, moderator, "select public.assign_report(%s, %s)", reported, moderator)
    assert db.row(status)["status"] == "assigned"
    do(db, moderator, "select public.resolve_report(%s, 'hidden', 'Not your music.')", reported)
    assert list(db.row(status).values()) == ["resolved", "hidden", "Not your music."]

    assert visible(db, bob, audio_id) == []
    assert visible(db, alice, audio_id) == visible(db, moderator, audio_id) == ["Not your music."]
    do(db, alice, "update public.audio_files set is_public = true where id = %s", audio_id)
    assert visible(db, bob, audio_id) == [], "the owner cannot undo it"
    do(db, moderator, "select public.restore_recording(%s)", audio_id)
    assert visible(db, bob, audio_id) == [None]


def test_a_dismissed_report_changes_nothing(db: Database, alice: str, bob: str, moderator: str) -> None:
    audio_id = db.recording(alice)
    db.rows("update public.audio_files set is_public = true where id = %s", audio_id)
    reported = report(db, audio_id, bob)
    do(db, moderator, "select public.resolve_report(%s, 'dismissed', 'It is fine.')", reported)
    assert visible(db, bob, audio_id) == [None]
    with pytest.raises(psycopg.Error, match="no such unresolved report"):
        do(db, moderator, "select public.resolve_report(%s, 'hidden', 'After all.')", reported)


def test_nobody_moderates_their_own(db: Database, alice: str, bob: str, moderator: str) -> None:
    audio_id = db.recording(moderator)
    db.rows("update public.audio_files set is_public = true where id = %s", audio_id)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="own recording"):
        do(db, moderator, "select public.hide_recording(%s, 'r')", audio_id)


def test_a_moderator_learns_nothing_of_reports_against_themselves(
    db: Database, bob: str, moderator: str
) -> None:
    audio_id = db.recording(moderator)
    db.rows("update public.audio_files set is_public = true where id = %s", audio_id)
    reported = report(db, audio_id, bob)
    with db.acting("authenticated", moderator) as connection:
        assert connection.execute("select * from public.reports").fetchall() == []
    for call in (
        "select public.assign_report(%s)",
        "select public.resolve_report(%s, 'dismissed', 'r')",
    ):
        with pytest.raises(psycopg.Error, match="no such unresolved report"):
            do(db, moderator, call, reported)
    colleague = db.sign_up()
    db.rows("insert into public.user_roles (user_id, role) values (%s, 'moderator')", colleague)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="own recording"):
        do(db, colleague, "select public.assign_report(%s, %s)", reported, moderator)


def test_making_it_private_does_not_escape_a_report(
    db: Database, alice: str, bob: str, moderator: str
) -> None:
    audio_id = db.recording(alice)
    db.rows("update public.audio_files set is_public = true where id = %s", audio_id)
    reported = report(db, audio_id, bob)
    do(db, alice, "update public.audio_files set is_public = false where id = %s", audio_id)
    do(db, moderator, "select public.resolve_report(%s, 'hidden', 'Not yours.')", reported)
    do(db, alice, "update public.audio_files set is_public = true where id = %s", audio_id)
    assert visible(db, bob, audio_id) == []


def test_deleting_the_row_does_not_bring_hidden_bytes_back(db: Database, alice: str, moderator: str) -> None:
    audio_id = db.recording(alice)
    name = db.file(audio_id)["file_path"]
    db.rows("update public.audio_files set is_public = true where id = %s", audio_id)
    do(db, moderator, "select public.hide_recording(%s, 'Not yours.')", audio_id)
    do(db, alice, "delete from public.audio_files where id = %s", audio_id)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="is being deleted"):
        db.describe(name, owner=alice)
    db.rows("select public.confirm_deletions('audio-files', %s)", [name])
    db.describe(name, owner=alice)


def test_private_recordings_are_not_moderated(db: Database, alice: str, moderator: str) -> None:
    with pytest.raises(psycopg.Error, match="no such public recording"):
        do(db, moderator, "select public.hide_recording(%s, 'r')", db.recording(alice))


@pytest.mark.parametrize("reason", [None, "", "   ", "x" * 1001])
def test_hiding_needs_a_reason(db: Database, alice: str, moderator: str, reason: str | None) -> None:
    audio_id = db.recording(alice)
    db.rows("update public.audio_files set is_public = true where id = %s", audio_id)
    with pytest.raises(psycopg.errors.CheckViolation):
        do(db, moderator, "select public.hide_recording(%s, %s)", audio_id, reason)


def test_a_role_that_is_taken_away_is_gone_at_once(db: Database, alice: str, moderator: str) -> None:
    audio_id = db.recording(alice)
    db.rows("update public.audio_files set is_public = true where id = %s", audio_id)
    db.rows("delete from public.user_roles where user_id = %s", moderator)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        do(db, moderator, "select public.hide_recording(%s, 'r')", audio_id)


def test_a_report_outlives_reporter_and_assignee(db: Database, alice: str, bob: str, moderator: str) -> None:
    audio_id = db.recording(alice)
    reported = report(db, audio_id, bob)
    do(db, moderator, "select public.assign_report(%s)", reported)
    db.rows("delete from auth.users where id = any(%s::uuid[])", [bob, moderator])
    assert db.row("select status, reporter_id from public.reports") == {"status": "open", "reporter_id": None}


@pytest.mark.parametrize(
    ("roles", "claim"), [([], "user"), (["moderator"], "moderator"), (["moderator", "admin"], "admin")]
)
def test_the_token_names_the_highest_role(db: Database, alice: str, roles: list[str], claim: str) -> None:
    for role in roles:
        db.rows("insert into public.user_roles (user_id, role) values (%s, %s)", alice, role)
    event = json.dumps({"user_id": alice, "claims": {"sub": alice, "role": "authenticated"}})
    with psycopg.connect(db.dsn("supabase_auth_admin")) as connection:
        row = connection.execute("select public.custom_access_token_hook(%s)", (event,)).fetchone()
    assert row is not None
    assert row[0]["claims"] == {"sub": alice, "role": "authenticated", "user_role": claim}
