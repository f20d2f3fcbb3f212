"""Every check that a person can fail says in a sentence what is wrong, and what to do."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from .conftest import Database

# Of each constraint, a statement that fails it: as alice, or, where it is a function, as the moderator bob.
LONG = "repeat('x', {})"
PROFILE = "update public.users set {} = {} where id = %(alice)s"
SETTINGS = "update public.user_preferences set {} = {} where user_id = %(alice)s"
FILE = "update public.audio_files set {} = {} where user_id = %(alice)s"
NEW_FILE = "insert into public.audio_files (user_id, title, file_path) values (%(alice)s, 't', {})"
NEW_LIST = "insert into public.playlists (title, description) values ({}, {})"
HEARD = "insert into public.listening_events (audio_id, {}) values (%(theirs)s, {})"
REPORT = "insert into public.reports (audio_id, {}) values (%(theirs)s, {})"
BROKEN = {
    "users_username_check": PROFILE.format("username", "'Alice!'"),
    "users_display_name_check": PROFILE.format("display_name", LONG.format(81)),
    "users_bio_check": PROFILE.format("bio", LONG.format(1001)),
    "users_avatar_path_check": PROFILE.format("avatar_path", "'../..'"),
    "user_preferences_locale_check": SETTINGS.format("locale", "'english please'"),
    "user_preferences_theme_check": SETTINGS.format("theme", "'pink'"),
    "user_preferences_settings_check": SETTINGS.format("settings", "'[]'"),
    "user_preferences_favourite_labels_check": SETTINGS.format("favourite_labels", "'{null}'"),
    "user_preferences_time_zone_check": SETTINGS.format("time_zone", "'Mars/Olympus'"),
    "user_preferences_quiet_hours_check": SETTINGS.format("quiet_from", "'22:00'"),
    "notification_preferences_channel_check": "insert into public.notification_preferences"
    " (kind, channel, enabled) values ('recording_ready', 'pigeon', true)",
    "audio_files_title_check": FILE.format("title", "' '"),
    "audio_files_description_check": FILE.format("description", LONG.format(5001)),
    "audio_files_file_path_check": NEW_FILE.format("'elsewhere/x.wav'"),
    "audio_files_file_path_is_canonical": NEW_FILE.format("'public//x.wav'"),
    "audio_files_tags_check": FILE.format("tags", "array_fill('x'::text, array[51])"),
    "audio_files_attribution_check": FILE.format("attribution", LONG.format(1001)),
    "audio_files_latitude_check": FILE.format("longitude = 0, latitude", "91"),
    "audio_files_longitude_check": FILE.format("latitude = 0, longitude", "181"),
    "audio_files_location_precision_check": FILE.format("location_precision_m", "5"),
    "audio_files_location_check": FILE.format("latitude", "1"),
    "audio_files_duration_check": "insert into public.audio_files (title, file_path, duration)"
    " values ('t', 'public/x.wav', -1)",
    "audio_files_hidden_reason_check": "select public.hide_recording(%(alices)s, ' ')",
    "playlists_title_check": NEW_LIST.format("' '", "null"),
    "playlists_description_check": NEW_LIST.format("'t'", LONG.format(5001)),
    "listening_events_started_at_check": HEARD.format("started_at", "now() + interval '1 hour'"),
    "listening_events_listened_s_check": HEARD.format("listened_s", "-1"),
    "listening_events_context_check": HEARD.format("context", "''"),
    "reports_reason_check": REPORT.format("reason", "'because'"),
    "reports_details_check": REPORT.format("reason, details", f"'spam', {LONG.format(5001)}"),
    "reports_resolution_check": "select public.resolve_report(%(report)s, 'burnt', 'r')",
    "reports_resolution_reason_check": "select public.resolve_report(%(report)s, 'dismissed', '')",
}
# Columns that no grant names, and that functions for people write from their arguments.
WRITTEN_BY_FUNCTIONS = {"audio_files.hidden_reason", "reports.resolution", "reports.resolution_reason"}
OF_PEOPLE = """
select c.conname as name from pg_constraint c
where c.contype = 'c' and c.connamespace = 'public'::regnamespace and exists (
    select from unnest(c.conkey) as k join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k
    where has_column_privilege('authenticated', c.conrelid, a.attname, 'insert, update')
       or format('%%s.%%s', c.conrelid::regclass, a.attname) = any (%s))
-- Both columns of a pair are written together.
  and c.conname not in ('audio_files_check3', 'reports_check', 'reports_check1')
"""

# What triggers refuse, as constraints do.
BROKEN_FOR_TRIGGERS = {
    "audio_files.license": FILE.format("license", "'mine'"),
    "audio_files.sources": FILE.format("sources", "'{}'"),
    "user_preferences.default_license": SETTINGS.format("default_license", "'mine'"),
}


@pytest.fixture
def known(db: Database, alice: str, bob: str) -> dict[str, str]:
    """The ids that the statements name; bob is a moderator."""
    ids = {"alice": alice, "bob": bob}
    for name, owner in (("alices", alice), ("theirs", bob)):
        ids[name] = db.describe(f"{owner}/x.wav", owner=owner)
    db.rows("update public.audio_files set is_public = true")
    db.rows("insert into public.user_roles (user_id, role) values (%s, 'moderator')", bob)
    third = db.sign_up()
    ids["report"] = str(
        db.value(
            "insert into public.reports (audio_id, reporter_id, reason) values (%s, %s, 'spam') returning id",
            ids["alices"],
            third,
        )
    )
    return ids


def test_every_constraint_that_people_can_fail_is_tried(db: Database) -> None:
    found = {row["name"] for row in db.rows(OF_PEOPLE, list(WRITTEN_BY_FUNCTIONS))}
    assert found == set(BROKEN)


@pytest.mark.parametrize("constraint", [*BROKEN, *BROKEN_FOR_TRIGGERS])
def test_a_refusal_is_a_sentence_with_a_code_and_a_remedy(
    db: Database, known: dict[str, str], constraint: str
) -> None:
    statement: Any = (BROKEN | BROKEN_FOR_TRIGGERS)[constraint]
    with (
        db.acting("authenticated", known["bob" if "select public." in statement else "alice"]) as session,
        pytest.raises(psycopg.errors.CheckViolation) as refused,
    ):
        session.execute(statement, known)
    told = refused.value.diag
    message, code, remedy = str(told.message_primary), str(told.message_detail), str(told.message_hint)
    assert message.endswith("."), message
    assert "constraint" not in message
    assert code.replace("_", "").isalpha(), code
    assert remedy.endswith("."), remedy


def test_the_data_api_hands_all_three_on(db: Database, alice: str) -> None:
    """The code as details, the remedy as hint: what PostgREST makes of an error of Postgres."""
    with (
        db.acting("authenticated", alice) as session,
        pytest.raises(psycopg.Error) as refused,
    ):
        session.execute("update public.users set username = 'A' where id = %s", [alice])
    told = refused.value.diag
    assert (told.sqlstate, told.message_detail) == ("23514", "username_format")


# -- names of people ----------------------------------------------------------------------------------


def rename(db: Database, user_id: str, column: str, value: str) -> str | None:
    """Update a profile as its user; the refusal's code, or None. Taken back."""
    with db.acting("authenticated", user_id) as session:
        try:
            session.execute(f"update public.users set {column} = %s where id = %s".encode(), [value, user_id])
        except psycopg.Error as refused:
            return refused.diag.message_detail if refused.diag.message_hint else "no remedy"
    return None


RESERVED = [
    "admin", "adm1n", "admln", "4dmin", "a_d_m_i_n", "admin_", "_admin", "admin1", "admin2024", "adrnin",
    "root", "r00t", "moderator", "m0d3rat0r", "rnoderator", "soundscape", "s0undscape_support",
    "soundscape_team", "official_soundscape", "5upp0rt", "null",
]  # fmt: skip
FREE = [
    "alice",
    "badminton",
    "mood",
    "modest",
    "administer_x",
    "rooty",
    "sound_lover",
    "al1ce",
    "support_me_not",
]


@pytest.mark.parametrize("name", RESERVED)
def test_a_reserved_username_and_its_look_alikes_are_refused(db: Database, alice: str, name: str) -> None:
    assert rename(db, alice, "username", name) == "username_reserved"


@pytest.mark.parametrize("name", FREE)
def test_other_usernames_are_free(db: Database, alice: str, name: str) -> None:
    assert rename(db, alice, "username", name) is None


def test_a_username_that_is_taken_is_said_to_be(db: Database, alice: str, bob: str) -> None:
    db.rows("update public.users set username = 'nightingale' where id = %s", bob)
    assert rename(db, alice, "username", "nightingale") == "username_taken"
    assert rename(db, bob, "username", "nightingale") is None


def test_the_operator_may_give_a_reserved_name(db: Database, alice: str) -> None:
    with db.acting("service_role") as session:
        session.execute(
            "update public.users set username = 'support', display_name = 'Support' where id = %s", [alice]
        )
    db.rows("update public.users set username = 'support' where id = %s", alice)
    with db.acting("authenticated", alice) as session:
        session.execute(
            "update public.users set bio = 'We help.', username = 'support' where id = %s", [alice]
        )


DECEIVING = {
    "right-to-left override": "Alice\u202ecod.exe",
    "isolate": "\u2066Alice\u2069",
    "left-to-right mark": "Ali\u200ece",
    "zero-width space": "Al\u200bice",
    "zero-width joiner between Latin letters": "Al\u200dice",
    "zero-width non-joiner at the end": "Alice\u200c",
    "word joiner": "Al\u2060ice",
    "byte order mark": "\ufeffAlice",
    "soft hyphen": "Al\u00adice",
    "Hangul filler": "\u3164",
    "tag characters": "Alice\U000e0041",
    "line break": "Alice\nadmin",
    "C1 control": "Alice\u0085",
    "line separator": "Alice\u2028x",
    "only blanks": " \u00a0 ",
    "Cyrillic in a Latin word": "\u0410lice",
    "Greek in a Latin word": "Alic\u03b5",
    "Armenian in a Latin word": "A\u0585ice",
    "Cherokee in a Latin word": "\u13aalice",
    "Greek and Cyrillic": "\u03b1\u0431",
}
HONEST = {
    "two scripts in two words": "DJ Мария",
    "Japanese with Latin": "山田Taro",
    "Arabic": "عبد الله",
    "Persian with a non-joiner": "می\u200cخواهم",
    "Hindi with a joiner": "क्\u200dष",
    "emoji of several": "Alice 👩\u200d🎤",
    "heart on fire": "❤\ufe0f\u200d🔥",
    "accents": "Zoë Müller-Łódź",
    "decomposed accents": "Zoe\u0308",
    "Hangul": "김민준",
    "eighty": "x" * 80,
}


@pytest.mark.parametrize("kind", DECEIVING)
def test_a_display_name_that_deceives_is_refused(db: Database, alice: str, kind: str) -> None:
    assert rename(db, alice, "display_name", DECEIVING[kind]) == "display_name_characters"


@pytest.mark.parametrize("kind", HONEST)
def test_an_honest_display_name_is_taken(db: Database, alice: str, kind: str) -> None:
    assert rename(db, alice, "display_name", HONEST[kind]) is None


@pytest.mark.parametrize(
    "name", ["Admin", "\u0430dmin", "ＡＤＭＩＮ", "Sound Scape Support", "M0derator", "𝐀𝐝𝐦𝐢𝐧"]
)
def test_a_display_name_does_not_speak_for_the_service(db: Database, alice: str, name: str) -> None:
    assert rename(db, alice, "display_name", name) in ("display_name_reserved", "display_name_characters")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Al\u202eice", "Alice"),
        ("  Alice\n", "Alice"),
        ("Admin", None),
        ("\u0410lice", None),
        ("\u200b", None),
        ("x" * 99, "x" * 80),
        ("Zoë", "Zoë"),
    ],
)
def test_a_sign_up_keeps_of_a_name_what_may_be_shown(db: Database, given: str, kept: str | None) -> None:
    user_id = db.value(
        "insert into auth.users (id, email, raw_user_meta_data)"
        " values (gen_random_uuid(), 'n@example.com', %s) returning id",
        json.dumps({"display_name": given}),
    )
    assert db.value("select display_name from public.users where id = %s", user_id) == kept


# -- avatars and reports ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["../..", "face.png", "{bob}/face.png", "{alice}/../{bob}/face.png", "{alice}/"]
)
def test_an_avatar_is_a_file_of_ones_own(db: Database, alice: str, bob: str, path: str) -> None:
    assert rename(db, alice, "avatar_path", path.format(alice=alice, bob=bob)) == "avatar_path_format"
    assert rename(db, alice, "avatar_path", f"{alice}/face.png") is None


def test_a_reporters_words_go_with_the_reporter(db: Database, alice: str, bob: str) -> None:
    audio_id = db.describe(f"{bob}/x.wav", owner=bob)
    for reporter, details in ((alice, "I am Alice, and he took it from me."), (db.sign_up(), "It is loud.")):
        db.rows(
            "insert into public.reports (audio_id, reporter_id, reason, details) values (%s, %s, 'spam', %s)",
            audio_id,
            reporter,
            details,
        )
    db.rows("delete from auth.users where id = %s", alice)
    rows = db.rows("select reporter_id is null as gone, details, status from public.reports order by details")
    assert [(row["gone"], row["details"], row["status"]) for row in rows] == [
        (False, "It is loud.", "open"),
        (True, None, "open"),
    ]
