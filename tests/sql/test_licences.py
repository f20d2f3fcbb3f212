"""Licences come from a list, whoever changes one is noted, and sources have a form."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from .conftest import Database, Row


def as_user(db: Database, user: str, statement: str, *values: Any) -> None:
    """One committed statement of a signed-in user."""
    with db.connect("authenticator") as session:
        claims = json.dumps({"sub": user, "role": "authenticated"})
        session.execute(
            "select set_config('role', 'authenticated', true), set_config('request.jwt.claims', %s, true)",
            (claims,),
        )
        session.execute(statement, values)
        session.commit()


def history(db: Database, audio_id: str) -> list[Row]:
    return db.rows(
        "select license, attribution, changed_by::text from public.license_history"
        " where audio_id = %s order by changed_at",
        audio_id,
    )


def test_every_licence_has_an_address_but_the_one_that_licenses_nothing(db: Database) -> None:
    licences = db.rows("select id, url from public.licenses")
    assert len(licences) > 30
    assert [row["id"] for row in licences if row["url"] is None] == ["all-rights-reserved"]
    assert {"CC0-1.0", "CC-BY-4.0", "CC-BY-NC-ND-1.0", "CC-BY-SA-2.5"} <= {row["id"] for row in licences}
    urls = [row["url"] for row in licences]
    assert len(set(urls)) == len(urls)


@pytest.mark.parametrize("table", ["audio_files", "user_preferences"])
def test_what_is_none_of_the_list_is_refused(db: Database, alice: str, table: str) -> None:
    db.describe(f"{alice}/a.wav", owner=alice)
    column = "license" if table == "audio_files" else "default_license"
    for licence, is_listed in (
        ("CC-BY-4.0", True),
        (None, True),
        ("CC0", False),
        ("cc-by-4.0", False),
        ("", False),
    ):
        statement = f"update public.{table} set {column} = %s where user_id = %s"
        if is_listed:
            as_user(db, alice, statement, licence, alice)
        else:
            with pytest.raises(psycopg.errors.CheckViolation, match="There is no licence"):
                as_user(db, alice, statement, licence, alice)


@pytest.mark.parametrize(
    ("words", "licence"),
    [
        ("CC-BY-SA-4.0", "CC-BY-SA-4.0"),
        (" cc by-sa 4.0 ", "CC-BY-SA-4.0"),
        ("CC_BY_NC_ND_3.0", "CC-BY-NC-ND-3.0"),
        ("https://creativecommons.org/licenses/by-nc/4.0/", "CC-BY-NC-4.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0", "CC0-1.0"),
        ("cc0", "CC0-1.0"),
        ("All rights reserved", "all-rights-reserved"),
        ("CC-BY", None),
        ("mine", None),
        ("", None),
        (None, None),
    ],
)
def test_what_uploads_say(db: Database, alice: str, words: str | None, licence: str | None) -> None:
    db.store(
        f"{alice}/a.wav",
        owner=alice,
        user_metadata={"title": "A", "license": words, "attribution": "A. Lice"},
    )
    row = db.row("select license, attribution from public.audio_files")
    assert row == {"license": licence, "attribution": "A. Lice"}


def wait_an_hour(db: Database) -> None:
    db.rows("update public.license_history set changed_at = changed_at - interval '61 minutes'")


CHANGE = "update public.audio_files set license = %s, attribution = %s, title = %s where id = %s"


def test_who_changed_it_when(db: Database, alice: str, bob: str) -> None:
    as_user(
        db, alice,
        "insert into public.audio_files (title, file_path, license) values ('A', %s, 'CC0-1.0')",
        f"{alice}/a.wav",
    )  # fmt: skip
    audio_id = str(db.value("select id from public.audio_files"))
    wait_an_hour(db)
    as_user(db, alice, CHANGE, "CC-BY-4.0", None, "B", audio_id)
    as_user(db, alice, CHANGE, "CC-BY-4.0", None, "C", audio_id)
    wait_an_hour(db)
    as_user(db, alice, CHANGE, "CC-BY-4.0", "Alice of Oz", "C", audio_id)
    as_user(db, bob, CHANGE, "CC0-1.0", None, "stolen", audio_id)
    db.rows("update public.audio_files set license = null where id = %s", audio_id)
    assert [tuple(row.values()) for row in history(db, audio_id)] == [
        ("CC0-1.0", None, alice),
        ("CC-BY-4.0", None, alice),
        ("CC-BY-4.0", "Alice of Oz", alice),
        (None, "Alice of Oz", None),
    ]
    db.rows("delete from public.audio_files where id = %s", audio_id)
    assert history(db, audio_id) == []


def test_changing_a_licence_for_ever_adds_one_row_an_hour_and_ends(db: Database, alice: str) -> None:
    audio_id = db.describe(f"{alice}/a.wav", owner=alice)
    for number in range(20):
        as_user(db, alice, CHANGE, "CC0-1.0", str(number), "A", audio_id)
    assert history(db, audio_id) == [{"license": "CC0-1.0", "attribution": "19", "changed_by": alice}]
    db.rows("update soundscape.owner_limits set max_license_changes = 2")
    try:
        wait_an_hour(db)
        as_user(db, alice, CHANGE, "CC0-1.0", "20", "A", audio_id)
        wait_an_hour(db)
        with pytest.raises(psycopg.Error, match="limit of 2 licence changes of a recording"):
            as_user(db, alice, CHANGE, "CC0-1.0", "21", "A", audio_id)
        assert len(history(db, audio_id)) == 2
        db.rows("update public.audio_files set license = null where id = %s", audio_id)
        assert len(history(db, audio_id)) == 3, "the worker has no limit"
    finally:
        db.rows("update soundscape.owner_limits set max_license_changes = default")


def test_an_account_changes_licences_so_often_a_month(db: Database, alice: str) -> None:
    ids = [db.describe(f"{alice}/{name}.wav", owner=alice) for name in "abc"]
    db.rows("update soundscape.owner_limits set max_license_changes_per_month = 2")
    try:
        for audio_id in ids[:2]:
            as_user(db, alice, CHANGE, "CC0-1.0", None, "A", audio_id)
        with pytest.raises(psycopg.Error, match="limit of 2 licence changes a month"):
            as_user(db, alice, CHANGE, "CC0-1.0", None, "A", ids[2])
        # What replaces a change of the same hour adds no row.
        as_user(db, alice, CHANGE, "CC-BY-4.0", None, "A", ids[0])
    finally:
        db.rows("update soundscape.owner_limits set max_license_changes_per_month = default")


def test_without_a_licence_nothing_is_noted(db: Database, alice: str) -> None:
    assert history(db, db.describe(f"{alice}/a.wav", owner=alice)) == []


SOURCE = {"title": "Rain on a roof"}


@pytest.mark.parametrize(
    ("sources", "is_good"),
    [
        ([], True),
        ([SOURCE], True),
        ([SOURCE | {"url": "https://example.com/1", "attribution": "B. Ob", "license": "CC-BY-4.0"}], True),
        ([SOURCE] * 20, True),
        ([SOURCE] * 21, False),
        ([{"title": "x" * 500, "url": "http://example.com"}] * 20, True),
        ([SOURCE | {"attribution": "\N{SNOWMAN}" * 400}] * 20, False),
        ({}, False),
        ("Rain", False),
        (["Rain"], False),
        ([{}], False),
        ([{"title": " "}], False),
        ([{"title": 1}], False),
        ([{"title": "x" * 501}], False),
        ([SOURCE | {"url": "javascript:alert(1)"}], False),
        ([SOURCE | {"url": "https://a b"}], False),
        ([SOURCE | {"license": "mine"}], False),
        ([SOURCE | {"license": None}], False),
        ([SOURCE | {"attribution": "x" * 1001}], False),
        ([SOURCE | {"more": "x"}], False),
        ([SOURCE, {"url": "https://example.com"}], False),
    ],
)
def test_sources_have_a_form(db: Database, alice: str, sources: Any, is_good: bool) -> None:
    audio_id = db.describe(f"{alice}/a.wav", owner=alice)
    update = ("update public.audio_files set sources = %s where id = %s", json.dumps(sources), audio_id)
    if is_good:
        as_user(db, alice, *update)
        assert db.file(audio_id)["sources"] == sources
    else:
        with pytest.raises(psycopg.errors.CheckViolation):
            as_user(db, alice, *update)


def test_search_and_similarity_carry_them(db: Database, alice: str) -> None:
    audio_id = db.describe(f"{alice}/a.wav", owner=alice, title="Nightingale")
    as_user(
        db, alice,
        "update public.audio_files set license = 'CC-BY-4.0', attribution = 'A. Lice', sources = %s"
        " where id = %s",
        json.dumps([SOURCE]), audio_id,
    )  # fmt: skip
    with db.acting("authenticated", alice) as session:
        found = session.execute(
            "select (recording).license, (recording).attribution, (recording).sources"
            " from public.search_audio('nightingale')"
        ).fetchall()
    assert found == [{"license": "CC-BY-4.0", "attribution": "A. Lice", "sources": [SOURCE]}]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"title": "x" * 501}, "A source has a title of 1 to 500 characters that is not blank."),
        (
            SOURCE | {"url": "ftp://example.com"},
            "The url of a source begins with https:// or http://, has no space and at most 2000 characters.",
        ),
        (SOURCE | {"attribution": "x" * 1001}, "The attribution of a source has at most 1000 characters."),
    ],
)
def test_a_refused_source_is_told_what_is_asked(
    db: Database, alice: str, source: dict[str, str], message: str
) -> None:
    audio_id = db.describe(f"{alice}/a.wav", owner=alice)
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        as_user(
            db,
            alice,
            "update public.audio_files set sources = %s where id = %s",
            json.dumps([source]),
            audio_id,
        )
    assert refused.value.diag.message_primary == message
