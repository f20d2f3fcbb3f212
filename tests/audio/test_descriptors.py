"""The registry of descriptors, and that everything made from it has each of its entries."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import pytest

from soundscape.audio.descriptors import (
    Descriptor,
    Entry,
    Summary,
    list_columns,
    list_descriptors,
    list_filters,
    render_table,
)
from soundscape.audio.measurements import Loudness, Spectral
from soundscape.audio.record import Record
from soundscape.audio.schema import make_page, make_schema

ROOT = Path(__file__).parents[2]
DESCRIPTORS = list_descriptors(Record)


def by_name(entries: tuple[Entry, ...]) -> dict[str, Entry]:
    return {entry.name: entry for entry in entries}


@dataclass(frozen=True)
class LoudnessWithCrest(Loudness):
    """Loudness, and one descriptor that is made up."""

    crest_db: Annotated[float | None, Descriptor("Crest factor", "dB", column="crest_db", filter="crest_db")]


@dataclass(frozen=True)
class SpectralWithMood(Spectral):
    """The spectrum, and two descriptors that are made up."""

    slope_db: Annotated[
        Summary, Descriptor("Spectral slope", "dB an octave", column="slope_db", band="narrow")
    ]
    mood: Annotated[str | None, Descriptor("Mood", note="null: none", column="mood", filter="mood")]


@dataclass(frozen=True)
class RecordWithMore(Record):
    """A record that has them."""

    loudness: LoudnessWithCrest | None
    spectral: SpectralWithMood | None


def test_a_made_up_descriptor_is_everywhere() -> None:
    more = list_descriptors(RecordWithMore)
    added = by_name(more).keys() - by_name(DESCRIPTORS).keys()
    assert added == {"loudness.crest_db", "spectral.slope_db", "spectral.mood"}

    assert "crest_db" in {field.name for field in fields(LoudnessWithCrest)}
    definitions = make_schema(RecordWithMore)["$defs"]
    crest = definitions["LoudnessWithCrest"]["properties"]["crest_db"]
    assert crest == {"description": "Crest factor, dB", "anyOf": [{"type": "number"}, {"type": "null"}]}
    assert definitions["SpectralWithMood"]["properties"]["mood"]["description"] == "Mood; null: none"
    assert definitions["SpectralWithMood"]["properties"]["slope_db"]["x-band"] == "narrow"

    columns, filters = list_columns(more), list_filters(more)
    assert columns["crest_db"] == ("loudness", "crest_db")
    assert columns["slope_db"] == ("spectral", "slope_db", "mean")
    assert columns["mood"] == ("spectral", "mood")
    new_filters = {name: kind for name, kind in filters.items() if name not in list_filters(DESCRIPTORS)}
    assert new_filters == {
        "min_crest_db": "double precision",
        "max_crest_db": "double precision",
        "mood": "text",
    }

    lines = [line for line in make_page(RecordWithMore).splitlines() if line not in make_page().splitlines()]
    assert lines == [
        "| `loudness.crest_db` | Crest factor, dB |  |  | `crest_db` | `min_crest_db`, `max_crest_db` |",
        "| `spectral.slope_db` | Spectral slope, dB an octave |  | narrow | `slope_db` |  |",
        "| `spectral.mood` | Mood; null: none |  |  | `mood` | `mood` |",
    ]


@pytest.mark.parametrize(
    ("file", "made", "command"),
    [
        ("record.schema.json", lambda: json.dumps(make_schema(), indent=2) + "\n", ""),
        ("descriptors.md", make_page, " descriptors"),
    ],
)
def test_the_documented_forms_are_current(file: str, made: Any, command: str) -> None:
    path = ROOT / "docs" / "audio" / file
    assert path.read_text() == made(), (
        f"write it again: python -m soundscape.audio.schema{command} > docs/audio/{file}"
    )


def test_every_measured_field_is_an_entry() -> None:
    """Only the five numbers of a series, the two of the MFCC and what is no measurement are left out."""
    sections = {entry.path[0] for entry in DESCRIPTORS}
    assert sections == {"source", "loudness", "rhythm", "tonality", "spectral"}
    properties = make_schema()["$defs"]
    for section in ("Loudness", "Rhythm", "Tonality", "Spectral"):
        names = {entry.path[1] for entry in DESCRIPTORS if entry.path[0] == section.lower()}
        bands = {"band_hz", "narrow_band_hz"}
        assert names == set(properties[section]["properties"]) - bands, section


def test_columns_and_filters_are_used_once() -> None:
    columns = [entry.descriptor.column for entry in DESCRIPTORS if entry.descriptor.column]
    filters = [entry.descriptor.filter for entry in DESCRIPTORS if entry.descriptor.filter]
    assert len(columns) == len(set(columns)) == len(list_columns(DESCRIPTORS))
    assert len(filters) == len(set(filters))
    assert all(entry.descriptor.column for entry in DESCRIPTORS if entry.descriptor.filter)


def test_the_database_types_have_every_column_and_filter() -> None:
    types = (ROOT / "supabase" / "database.types.ts").read_text()
    row = types.split("      audio_features: {")[1].split("        Row: {")[1].split("        }")[0]
    kinds = dict(re.findall(r"(\w+): (\w+)", row))
    for entry in DESCRIPTORS:
        if entry.descriptor.column is not None:
            kind = kinds[entry.descriptor.column]
            if union := re.search(rf"^export type {kind} =(.*?)(?=\n\S|\Z)", types, re.MULTILINE | re.DOTALL):
                kind = "string" if re.fullmatch(r"[\s|]*('[^']*'[\s|]*)+", union[1]) else kind
            assert kind == ("number" if entry.is_number else "string"), entry.name
    for function in ("search_audio", "search_facets", "similar_audio", "similar_to_embedding"):
        arguments = types.split(f"      {function}: {{")[1].split("Args: {")[1].split("}")[0]
        found = dict(re.findall(r"(\w+)\?: (\w+)", arguments))
        for name, kind in list_filters(DESCRIPTORS).items():
            assert found[name] == ("string" if kind == "text" else "number"), f"{function}({name})"


def test_the_page_has_a_line_for_each() -> None:
    page = (ROOT / "docs" / "audio" / "descriptors.md").read_text()
    assert render_table(DESCRIPTORS) in page
    assert all(f"| `{entry.name}` |" in page for entry in DESCRIPTORS)
