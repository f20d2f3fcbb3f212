"""JSON that Postgres can hold too: no NaN, no infinities, no NUL, no half of a surrogate pair, no abyss."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


def parse(raw: bytes | str) -> Any:
    """The value of a JSON text. Raises ValueError."""
    try:
        value = json.loads(raw, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    check(value)
    return value


def check(value: Any) -> None:
    """Raises ValueError for text that Postgres cannot hold."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if "\x00" in item:
                raise ValueError("\\u0000 cannot be stored")
            item.encode()
        elif isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            waiting += item


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is out of range")
    return value
