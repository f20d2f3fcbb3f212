"""A column's text form turned into the JSON value that clients see, as `to_jsonb` would write it."""

from __future__ import annotations

import math
import re
from typing import Any

from soundscape.local.realtime import json_text

_INTEGERS = frozenset({"int2", "int4", "int8"})
_NUMBERS = frozenset({"float4", "float8", "numeric"})
_SHORT_OFFSET = re.compile(r"([+-]\d\d)$")


def json_value(text: str | None, type_name: str) -> Any:
    """The JSON value of a cell.

    `type_name` is the catalogue's name (`int4`, `timestamptz`, `_text`); a domain is given by its base
    type. Numbers that JSON cannot hold (NaN, Infinity) stay strings; types without a JSON form of their
    own (uuid, interval, ranges, vectors, bytea) are their text.
    """
    if text is None:
        return None
    if type_name.startswith("_"):
        return [_element(element, type_name[1:]) for element in parse_array(text)]
    if type_name in _INTEGERS:
        return int(text)
    if type_name in _NUMBERS:
        return _number(text)
    match type_name:
        case "bool":
            return text == "t"
        case "json" | "jsonb":
            return _json(text)
        case "timestamp":
            return text.replace(" ", "T", 1)
        case "timestamptz":
            return _SHORT_OFFSET.sub(r"\1:00", text.replace(" ", "T", 1))
    return text


def _json(text: str) -> Any:
    try:
        return json_text.load(text, parse_float=_number, parse_constant=str)
    except ValueError:
        return text  # nested deeper than other readers would follow


def _number(text: str) -> int | float | str:
    if text.lstrip("-").isdigit():
        return int(text)
    value = float(text)
    return value if math.isfinite(value) else text


def _element(element: Any, type_name: str) -> Any:
    if isinstance(element, list):
        return [_element(inner, type_name) for inner in element]
    return json_value(element, type_name)


def parse_array(text: str) -> list[Any]:
    """Postgres' array syntax, `{1,"two, three",NULL,{…}}`, as nested lists of strings and None.

    Raises `ValueError` when it is none.
    """
    body = text[text.index("{") :]  # an array whose bounds do not start at 1 is written `[0:2]={…}`
    found, end = _array(body, 1)
    if end != len(body):
        raise ValueError(f"text after the array: {body[end:]!r}")
    return found


def _array(text: str, at: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    while True:
        if at >= len(text):
            raise ValueError("unterminated array")
        match text[at]:
            case "}":
                return items, at + 1
            case ",":
                at += 1
            case "{":
                inner, at = _array(text, at + 1)
                items.append(inner)
            case '"':
                value, at = _quoted(text, at + 1)
                items.append(value)
            case _:
                end = at
                while end < len(text) and text[end] not in ",}":
                    end += 2 if text[end] == "\\" else 1
                raw = text[at:end]
                items.append(None if raw.upper() == "NULL" else re.sub(r"\\(.)", r"\1", raw))
                at = end


def _quoted(text: str, at: int) -> tuple[str, int]:
    letters: list[str] = []
    while text[at : at + 1] != '"':
        if at >= len(text):
            raise ValueError("unterminated string")
        at += text[at] == "\\"
        letters.append(text[at : at + 1])
        at += 1
    return "".join(letters), at + 1
