"""The registry of descriptors: one entry for each value that an analysis measures.

An entry is written where the value's field is declared, in `soundscape.audio.measurements`::

    tempo_bpm: Annotated[
        float | None,
        Descriptor("Tempo", "beats a minute", column="tempo_bpm", filter="tempo_bpm"),
    ]

Everything else is a function of the record's type, or is held to it by a test: the JSON Schema
(`soundscape.audio.schema`), the table in docs/audio/descriptors.md, the columns of `public.audio_features`
that `complete_job` fills, and the filters of `search_audio` and `similar_audio`.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal


@dataclass(frozen=True)
class Summary:
    """A series over frames in five numbers; standard deviation by N."""

    mean: float
    std: float
    min: float
    max: float
    median: float


@dataclass(frozen=True)
class Descriptor:
    """What a field of the record means.

    Attributes
    ----------
    doc
        One line on what it is.
    unit
        Its unit or range; empty where the line says it.
    note
        What null means, or another exception.
    formula
        The standard, paper or librosa function that defines it.
    column
        Column of `public.audio_features` that holds it; of a series, its mean.
    filter
        Name of the filter: a number has the bounds `min_` and `max_`, a text is compared as it is.
    band
        Whether it covers the recording's whole band or a narrower one; None where there is no such thing.
    """

    doc: str
    unit: str = ""
    note: str = ""
    formula: str = ""
    column: str | None = None
    filter: str | None = None
    band: Literal["whole", "narrow"] | None = None

    @property
    def description(self) -> str:
        """The line with its unit and its exception."""
        line = f"{self.doc}, {self.unit}" if self.unit else self.doc
        return f"{line}; {self.note}" if self.note else line


@dataclass(frozen=True)
class Entry:
    """A descriptor and where it stands in the record.

    Attributes
    ----------
    path
        Names of the section and of the field.
    kind
        The field's type without `None`.
    descriptor
        What it means.
    """

    path: tuple[str, ...]
    kind: Any
    descriptor: Descriptor

    @property
    def name(self) -> str:
        """The path as one reads it: `spectral.centroid_hz`."""
        return ".".join(self.path)

    @property
    def value_path(self) -> tuple[str, ...]:
        """The path of the one value that a column holds: of a series, its mean."""
        return (*self.path, "mean") if self.kind is Summary else self.path

    @property
    def is_number(self) -> bool:
        """Whether a column or filter of it is a number."""
        return self.kind in (float, int, Summary)


def list_descriptors(record: type) -> tuple[Entry, ...]:
    """List every descriptor of a record's type, in the order of its fields.

    Parameters
    ----------
    record
        A dataclass whose fields are sections (dataclasses) and descriptors.
    """
    return tuple(_walk(record, ()))


def list_columns(entries: tuple[Entry, ...]) -> dict[str, tuple[str, ...]]:
    """Map each column of `public.audio_features` to the path of its value in the record."""
    return {
        entry.descriptor.column: entry.value_path for entry in entries if entry.descriptor.column is not None
    }


def list_filters(entries: tuple[Entry, ...]) -> dict[str, str]:
    """Map each argument that filters a search to its SQL type."""
    arguments: dict[str, str] = {}
    for entry in entries:
        name = entry.descriptor.filter
        if name is None:
            continue
        if entry.is_number:
            arguments |= {f"min_{name}": "double precision", f"max_{name}": "double precision"}
        else:
            arguments[name] = "text"
    return arguments


def render_table(entries: tuple[Entry, ...]) -> str:
    """Render the descriptors as the Markdown table of docs/audio/descriptors.md."""
    lines = [
        "| field | what it is | defined by | band | column | filter |",
        "|---|---|---|---|---|---|",
    ]
    for entry in entries:
        descriptor = entry.descriptor
        filters = ", ".join(f"`{name}`" for name in list_filters((entry,)))
        column = f"`{descriptor.column}`" if descriptor.column else ""
        cells = (
            f"`{entry.name}`",
            descriptor.description,
            descriptor.formula,
            descriptor.band or "",
            column,
            filters,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _walk(kind: type, path: tuple[str, ...]) -> Iterator[Entry]:
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        is_annotated = typing.get_origin(hint) is Annotated
        plain, *meanings = typing.get_args(hint) if is_annotated else (hint,)
        plain = _without_none(plain)
        found = [meaning for meaning in meanings if isinstance(meaning, Descriptor)]
        if found:
            yield Entry((*path, name), str if typing.get_origin(plain) is Literal else plain, found[0])
        elif dataclasses.is_dataclass(plain):
            yield from _walk(typing.cast(type, plain), (*path, name))


def _without_none(hint: Any) -> Any:
    if typing.get_origin(hint) not in (types.UnionType, typing.Union):
        return hint
    kinds = [kind for kind in typing.get_args(hint) if kind is not types.NoneType]
    return kinds[0] if len(kinds) == 1 else hint
