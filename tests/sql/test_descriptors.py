"""The database holds every descriptor of the registry: its column, and its filters in both searches."""

from __future__ import annotations

import json
from typing import Any

import pytest

from soundscape.audio.descriptors import list_columns, list_descriptors, list_filters
from soundscape.audio.record import Record

from .conftest import RESULT, Database

DESCRIPTORS = list_descriptors(Record)
SQL_TYPES = {True: {"real", "double precision"}, False: {"text"}}


def test_every_column_is_there_with_its_type(db: Database) -> None:
    rows = db.rows(
        "select column_name, data_type from information_schema.columns"
        " where table_schema = 'public' and table_name = 'audio_features'"
    )
    kinds = {row["column_name"]: row["data_type"] for row in rows}
    for entry in DESCRIPTORS:
        if entry.descriptor.column is not None:
            assert kinds[entry.descriptor.column] in SQL_TYPES[entry.is_number], entry.name


@pytest.mark.parametrize(
    "function", ["search_audio", "search_facets", "similar_audio", "similar_to_embedding"]
)
def test_every_filter_is_an_argument(db: Database, function: str) -> None:
    rows = db.rows(
        "select p.parameter_name, p.data_type from information_schema.parameters p"
        " join information_schema.routines r using (specific_schema, specific_name)"
        " where r.routine_schema = 'public' and r.routine_name = %s and p.parameter_mode = 'IN'",
        function,
    )
    arguments = {row["parameter_name"]: row["data_type"] for row in rows}
    for name, kind in list_filters(DESCRIPTORS).items():
        assert arguments[name] == kind, name


def test_the_end_of_a_job_fills_every_column(db: Database, alice: str) -> None:
    """Each value of the record arrives in its own column: all values differ."""
    result: dict[str, Any] = json.loads(json.dumps(RESULT))
    texts = {"key": "F#", "mode": "minor"}
    expected: dict[str, Any] = {}
    for number, (column, path) in enumerate(list_columns(DESCRIPTORS).items()):
        value = texts.get(column, (number + 1) / 64)  # a float32 holds it exactly
        expected[column] = value
        section = result
        for name in path[:-1]:
            section = section.setdefault(name, {})
        section[path[-1]] = value
    db.recording(alice)
    (held,) = db.claim()
    db.complete(held, result)
    row = db.row("select * from public.audio_features where audio_id = %s", held.audio_id)
    assert {column: row[column] for column in expected} == expected


def test_the_database_has_the_same_registry(db: Database) -> None:
    rows = db.rows("select column_name, path, unit, filter from soundscape.descriptors")
    assert {row["column_name"]: (tuple(row["path"]), row["unit"], row["filter"]) for row in rows} == {
        entry.descriptor.column: (entry.value_path, entry.descriptor.unit, entry.descriptor.filter)
        for entry in DESCRIPTORS
        if entry.descriptor.column is not None
    }


def test_a_new_descriptor_is_a_column_and_a_row_of_the_registry(db: Database, alice: str) -> None:
    with db.connection.transaction(force_rollback=True):
        db.rows("alter table public.audio_features add column crest_db real")
        db.rows(
            "insert into soundscape.descriptors (column_name, path, unit)"
            " values ('crest_db', '{loudness,crest_db}', 'dB')"
        )
        for crest_db in (12.5, 3.25):
            audio_id = db.recording(alice)
            (held,) = db.claim()
            db.complete(held, RESULT | {"loudness": {"crest_db": crest_db}})
            row = db.row("select crest_db from public.audio_features where audio_id = %s", audio_id)
            assert row == {"crest_db": crest_db}


@pytest.fixture
def measured(db: Database, alice: str) -> str:
    """A recording of alice's with a value for every filter: see `OUTSIDE`."""
    result: dict[str, Any] = json.loads(json.dumps(RESULT))
    for entry in DESCRIPTORS:
        if entry.descriptor.filter is not None:
            section = result
            for name in entry.value_path[:-1]:
                section = section.setdefault(name, {})
            section[entry.value_path[-1]] = {"key": "F#", "mode": "minor"}.get(entry.path[-1], 100)
    result["embedding"] = {"space": "test-1", "values": [1.0] * 128}
    audio_id = db.recording(alice)
    (held,) = db.claim()
    db.complete(held, result)
    return audio_id


WITHIN = {"min": 99, "max": 101, "key": "F#", "mode": "minor"}
OUTSIDE = {"min": 101, "max": 99, "key": "A", "mode": "major"}


@pytest.mark.parametrize("function", ["search_audio", "search_facets", "similar_to_embedding"])
@pytest.mark.parametrize("name", list_filters(DESCRIPTORS))
def test_every_filter_filters(db: Database, alice: str, measured: str, function: str, name: str) -> None:
    space = ", space => 'test-1', embedding => array_fill(1::double precision, array[128])"
    query = (
        f"select count(*) as found from public.{function}({name} => %s"
        + (space if function == "similar_to_embedding" else "")
        + ") as f"
        + (" where facet <> 'all'" if function == "search_facets" else " where id = %s")
    )
    kind = name if name in WITHIN else name[:3]
    values = () if function == "search_facets" else (measured,)
    with db.acting("authenticated", alice) as session:
        found = [
            bool(session.execute(query, (value, *values)).fetchone()["found"])  # type: ignore[index]
            for value in (WITHIN[kind], OUTSIDE[kind])
        ]
    assert found == [True, False]
