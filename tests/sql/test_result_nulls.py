"""The frontend's types say of each result whether it may be null: what is said never to be, is not."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.deploy.type_corrections import NEVER_NULL

from .conftest import Database, Row
from .sounds import SPACE, ask, heard, place

CALLS: dict[str, dict[str, Any]] = {
    "accepted_uploads": {},
    "create_api_key": {"name": "A key"},
    "describe_audio": {},
    "flags": {},
    "mood_mix": {"mood": "nature"},
    "my_audio_stats": {"from": "2026-11-01", "to": "2026-11-30"},
    "nearby_audio": {"latitude": 52.5, "longitude": 13.4},
    "notification_channels": {},
    "notification_settings": {},
    "radio": {},
    "recommended_audio": {},
    "search_audio": {},
    "search_facets": {},
    "similar_audio": {},
    "similar_to_embedding": {"space": SPACE, "embedding": place(1.0)},
}
NULL_SOMEWHERE = {
    "describe_audio": {"id", "status", "code", "message"},
    "my_audio_stats": {"listened_s", "from_search"},
    "recommended_audio": {"because_of"},
}
"""Results that are null in these answers. Not all that may be null are."""


@pytest.fixture
def library(db: Database, alice: str, bob: str) -> Row:
    """Bob's recordings, some with little measured, and what alice likes of them."""
    ids = [
        heard(
            db, bob, title=f"Sound {number}", tags=["bird"], license="CC0-1.0",
            heard={"Bird": 0.9, "Nature": 0.9},
            at=(math.cos(number), math.sin(number)), tempo_bpm=100.0 + number if number % 2 else None,
            key="A" if number % 2 else None, mode="minor" if number % 2 else None,
        )
        for number in range(12)
    ]  # fmt: skip
    db.rows("update public.audio_files set latitude = 52.5, longitude = 13.4")
    db.rows("insert into public.likes (user_id, audio_id) values (%s, %s)", alice, ids[0])
    db.rows(
        "insert into public.audio_stats_daily (audio_id, day, user_id, downloads)"
        " values (%s, '2026-11-05', %s, 1)",
        *(ids[0], alice),
    )
    return {"alice": alice, "first": ids[0]}


def arguments(name: str, library: Row) -> dict[str, Any]:
    if name in ("similar_audio", "radio"):
        return {"audio_id": library["first"]}
    if name == "describe_audio":
        rows = [
            {"file_path": f"{library['alice']}/new.wav", "title": "New"},
            {"file_path": "elsewhere/x.wav", "title": "New"},
            {"title": "Nowhere"},
        ]
        return {"rows": json.dumps(rows)}
    return CALLS[name]


def test_every_function_that_returns_a_table_is_called(db: Database) -> None:
    found = db.rows(
        "select distinct proname from pg_proc where pronamespace = 'public'::regnamespace"
        " and 't' = any (proargmodes)"
        " and (has_function_privilege('anon', oid, 'execute')"
        "      or has_function_privilege('authenticated', oid, 'execute'))"
    )
    assert {row["proname"] for row in found} == set(CALLS) == set(NEVER_NULL)


@pytest.mark.parametrize("name", CALLS)
def test_what_is_never_null(db: Database, library: Row, name: str) -> None:
    rows = ask(db, name, library["alice"], **arguments(name, library))
    assert rows
    nulls = {column for row in rows for column, value in row.items() if value is None}
    assert not nulls & NEVER_NULL[name]
    assert set(rows[0]) >= NEVER_NULL[name]
    assert nulls >= NULL_SOMEWHERE.get(name, set())
