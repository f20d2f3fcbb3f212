"""JSON from outside, read so that it can always be written again: finite numbers, bounded depth."""

from __future__ import annotations

import json
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
    brackets = (
        text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")
    )
    if brackets > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise ValueError("nested too deeply")
    return value


def _depth(value: Any) -> int:
    deepest, waiting = 0, [(value, 0)]
    while waiting:
        found, depth = waiting.pop()
        deepest = max(deepest, depth)
        if isinstance(found, dict):
            waiting += [(inner, depth + 1) for inner in found.values()]
        elif isinstance(found, list):
            waiting += [(inner, depth + 1) for inner in found]
    return deepest
