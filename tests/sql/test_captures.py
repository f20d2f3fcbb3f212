"""When and where a recording was made, from its file: only with consent, once, and no finer than wanted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import RESULT, Database, Row

AT = "2024-05-01T07:30:00+00:00"
CAPTURE = {"recorded_at": AT, "latitude": 59.3293, "longitude": 18.0686}
NOTHING = (None, None, None)


def fill(db: Database, owner: str, *, agrees: bool = True) -> None:
    db.rows("update public.user_preferences set fill_from_file = %s where user_id = %s", agrees, owner)


def analyze(db: Database, capture: Row | None = CAPTURE, sha256: str = "a" * 64) -> None:
    (held,) = db.claim()
    source = RESULT["source"] | {"sha256": sha256}
    db.complete(held, RESULT | {"source": source} | ({} if capture is None else {"capture": capture}))


def upload(db: Database, owner: str, **said: Any) -> str:
    audio_id = db.describe(f"{owner}/{db.value('select gen_random_uuid()')}.wav", owner=owner)
    db.store(db.file(audio_id)["file_path"], owner=owner, user_metadata=said or None)
    return audio_id


def found(db: Database, audio_id: str) -> tuple[Any, Any, Any]:
    row = db.file(audio_id)
    at = row["recorded_at"]
    return (None if at is None else at.isoformat(), row["latitude"], row["longitude"])


@pytest.mark.parametrize("setting", [None, False, True])
@pytest.mark.parametrize(
    ("said", "counts_as"),
    [
        (None, None),
        (True, True),
        ("true", True),
        (False, False),
        ("false", False),
        # What is neither true nor false says nothing.
        ("yes", None),
        (1, None),
        ({"x": 1}, None),
    ],
)
def test_an_upload_comes_before_the_setting(
    db: Database, alice: str, setting: bool | None, said: Any, counts_as: bool | None
) -> None:
    if setting is not None:
        fill(db, alice, agrees=setting)
    audio_id = upload(db, alice) if said is None else upload(db, alice, fill_from_file=said)
    analyze(db)
    agrees = bool(setting) if counts_as is None else counts_as
    recorded_at, latitude, longitude = found(db, audio_id)
    assert (recorded_at == AT, latitude is not None, longitude is not None) == (agrees,) * 3


def test_the_place_is_as_coarse_as_the_row_says(db: Database, alice: str) -> None:
    fill(db, alice)
    coarse = upload(db, alice)
    db.rows("update public.audio_files set location_precision_m = 100000 where id = %s", coarse)
    analyze(db)
    _, latitude, longitude = found(db, coarse)
    assert abs(latitude - CAPTURE["latitude"]) > 0.01 or abs(longitude - CAPTURE["longitude"]) > 0.01
    usual = upload(db, alice)
    analyze(db, sha256="b" * 64)
    _, latitude, longitude = found(db, usual)
    assert (latitude, longitude) != (CAPTURE["latitude"], CAPTURE["longitude"])
    assert abs(latitude - CAPTURE["latitude"]) < 0.01


def test_what_the_owner_wrote_stays(db: Database, alice: str) -> None:
    fill(db, alice)
    audio_id = upload(db, alice)
    db.rows(
        "update public.audio_files set recorded_at = '2001-02-03Z', latitude = 1, longitude = 2"
        " where id = %s",
        audio_id,
    )
    before = found(db, audio_id)
    analyze(db)
    assert found(db, audio_id) == before


def test_what_the_owner_emptied_stays_empty(db: Database, alice: str) -> None:
    fill(db, alice)
    audio_id = upload(db, alice)
    analyze(db)
    assert found(db, audio_id)[0] == AT
    db.rows(
        "update public.audio_files set recorded_at = null, latitude = null, longitude = null where id = %s",
        audio_id,
    )
    # The same bytes once more, and another analysis of them.
    db.store(db.file(audio_id)["file_path"], owner=alice)
    analyze(db)
    assert found(db, audio_id) == NOTHING
    # Other bytes are another recording.
    db.store(db.file(audio_id)["file_path"], owner=alice)
    analyze(db, sha256="c" * 64)
    assert found(db, audio_id)[0] == AT


@pytest.mark.parametrize(
    "capture",
    [
        None,
        {},
        {"recorded_at": None, "latitude": None, "longitude": None},
        {"recorded_at": "2099-01-01T00:00:00+00:00", "latitude": 91, "longitude": 18},
        {"latitude": 59.0},
        {"longitude": 18.0},
    ],
)
def test_nonsense_fills_nothing(db: Database, alice: str, capture: Row | None) -> None:
    fill(db, alice)
    audio_id = upload(db, alice)
    analyze(db, capture)
    assert found(db, audio_id) == NOTHING
    assert db.file(audio_id)["status"] == "ready"


@pytest.mark.parametrize(
    ("date", "stored"),
    [
        ("2024-05-01T07:30:00Z", "2024"),
        ("2024", "2024"),
        ("2024-05", "2024"),
        ("20240501", None),
        ("May 2024", None),
    ],
)
@pytest.mark.parametrize("agrees", [False, True])
def test_words_of_the_file_do_not_tell_it_either(
    db: Database, alice: str, date: str, stored: str | None, agrees: bool
) -> None:
    """With consent neither: a comment may hold a place that is finer than the row's."""
    fill(db, alice, agrees=agrees)
    audio_id = upload(db, alice)
    (held,) = db.claim()
    tags = {
        "title": "Bats",
        "comment": "Recorded at 07:30:00 01/05/2024 (UTC) at 59.3293 18.0686",
        "date": date,
    }
    db.complete(held, RESULT | {"source": RESULT["source"] | {"tags": tags}, "capture": CAPTURE})
    kept = db.value(
        "select descriptors #> '{source,tags}' from public.audio_features where audio_id = %s", audio_id
    )
    assert kept == {"title": "Bats"} | ({} if stored is None else {"date": stored})


def test_nobody_else_finds_it(db: Database, alice: str) -> None:
    """Without consent it is in no row of any table, whoever may see the recording."""
    audio_id = upload(db, alice)
    db.rows("update public.audio_files set is_public = true where id = %s", audio_id)
    analyze(db)
    tables = db.rows(
        "select format('%%I.%%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n"
        " on n.oid = c.relnamespace where c.relkind in ('r', 'p')"
        " and n.nspname in ('public', 'soundscape', 'pgmq', 'realtime', 'storage', 'net')"
    )
    for table in tables:
        whole = json.dumps(db.rows(f"select to_jsonb(t)::text as row from {table['name']} t"))
        assert "59.3293" not in whole, table
        assert "2024-05-01" not in whole, table
