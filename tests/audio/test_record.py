"""The record's wire form and its schema."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

from soundscape.audio import record
from soundscape.audio.schema import make_schema


def test_the_names_that_outsiders_rely_on() -> None:
    assert [field.name for field in fields(record.Record)] == [
        *("source", "capture", "loudness", "rhythm", "tonality", "spectral", "tags", "embedding"),
        *("fingerprint", "waveform", "pictures", "stages", "analysis_version"),
    ]


def test_every_field_is_described() -> None:
    schema = make_schema()
    definitions = [schema, *schema["$defs"].values()]
    bare = {
        name
        for definition in definitions
        for name, property_ in definition["properties"].items()
        if "description" not in property_ and "$ref" not in json.dumps(property_)
    }
    # The five numbers of a summary explain themselves.
    assert bare == {"mean", "std", "min", "max", "median"}


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        (0.1 + 0.2, 0.3),
        (21_599.987654321, 21_599.9877),
        (1e-12, 1e-12),
        (7, 7),
        (True, True),
    ],
)
def test_numbers_are_fit_for_json(value: float, plain: float | None) -> None:
    assert record._plain([value, {"x": (value,)}]) == [plain, {"x": [plain]}]
