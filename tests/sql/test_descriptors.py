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
