"""The JSON Schema of the record, made from its types.

    python -m soundscape.audio.schema > docs/audio/record.schema.json
    python -m soundscape.audio.schema descriptors > docs/audio/descriptors.md

A test fails where either file is not what this prints.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from soundscape.audio.descriptors import Descriptor, list_descriptors, render_table
from soundscape.audio.record import Record

_PAGE = """# Descriptors

Every value that the analysis measures, for whoever filters, sorts or displays recordings.

* `field` is the path in the [record](record.md).
* `band` is `whole` where a value covers the recording's own band, up to 96 kHz. `narrow` values cover the
  band that `band_hz` or `narrow_band_hz` beside them says. They are null where the sound lies outside it.
  The JSON Schema says the same as `x-band`.
* `column` is the column of `public.audio_features`. Of a series over frames it holds the mean.
* `filter` are the arguments of `search_audio`, `search_facets`, `similar_audio` and `similar_to_embedding`.

`python -m soundscape.audio.schema descriptors` prints this page from `soundscape/audio/measurements.py`.

"""


def make_schema(record: type = Record) -> dict[str, Any]:
    """Make the JSON Schema (draft 2020-12) of what `Record.as_dict()` returns.

    Parameters
    ----------
    record
        The record's type: a dataclass whose fields are described.

    Raises
    ------
    TypeError
        A field has a type that JSON has no word for.
    """
    definitions = {kind.__name__: _object_schema(kind) for kind in _sections(record)}
    root = definitions.pop(record.__name__)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "SoundScape record",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def make_page(record: type = Record) -> str:
    """Make the page docs/audio/descriptors.md of a record's type."""
    return _PAGE + render_table(list_descriptors(record))


def _sections(kind: type) -> Iterator[type]:
    """`kind` and every dataclass reachable from it."""
    yield kind
    for hint in typing.get_type_hints(kind).values():
        for part in _parts(hint):
            if dataclasses.is_dataclass(part):
                yield from _sections(typing.cast(type, part))


def _parts(hint: Any) -> Iterator[Any]:
    yield hint
    for argument in typing.get_args(hint):
        yield from _parts(argument)


def _object_schema(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    properties = {name: _hint_schema(hint) for name, hint in hints.items()}
    return {
        # Pythons differ in how they keep the indentation of a docstring.
        "description": inspect.cleandoc(kind.__doc__ or ""),
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _hint_schema(hint: Any) -> dict[str, Any]:
    plain = {float: "number", int: "integer", str: "string", bool: "boolean", types.NoneType: "null"}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        meaning, shape = arguments[1], _hint_schema(arguments[0])
        if not isinstance(meaning, Descriptor):
            return {"description": meaning, **shape}
        band = {} if meaning.band is None else {"x-band": meaning.band}
        return {"description": meaning.description, **band, **shape}
    if hint in plain:
        return {"type": plain[hint]}
    if dataclasses.is_dataclass(hint):
        return {"$ref": f"#/$defs/{typing.cast(type, hint).__name__}"}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _hint_schema(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _hint_schema(arguments[1])}
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_hint_schema(argument) for argument in arguments]}
    raise TypeError(f"no JSON Schema for {hint!r}")


if __name__ == "__main__":
    if sys.argv[1:] == ["descriptors"]:
        sys.stdout.write(make_page())
    else:
        sys.stdout.write(json.dumps(make_schema(), indent=2) + "\n")
