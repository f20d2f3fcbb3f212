"""JSON from outside, read so that it can always be written again: finite numbers, bounded depth."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

MAX_DEPTH = 128


def load(
    text: str | bytes, *, parse_float: Callable[[str], Any], parse_constant: Callable[[str], Any]
) -> Any:
    """As `json.loads`. Raises `ValueError` for what is no JSON or is nested deeper than `MAX_DEPTH`."""
    try:
        value = json.loads(text, parse_float=parse_float, parse_constant=parse_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    level, depth = [value], 0
    while level := [inner for it in level for inner in _inside(it)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError("nested too deeply")
    return value


def shown(text: str | None) -> Any:
    """JSON that Postgres wrote, as clients may see it: what few readers would follow stays text."""
    try:
        return None if text is None else load(text, parse_float=_number, parse_constant=str)
    except ValueError:
        return text


def _number(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _inside(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
