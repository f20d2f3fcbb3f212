"""The body of a request: its bytes up to a limit, and the JSON in them."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic_core import from_json
from starlette.requests import Request

MOST_LEVELS = 100
"""What is kept is written inside other JSON, and read again by parsers that end at 200 levels."""
_NESTS = (dict, list)
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


async def read(request: Request, most_bytes: int, too_large: Exception) -> bytes:
    """The body. Raises `too_large` as soon as it is longer than `most_bytes`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise too_large
    return bytes(body)


def parse(text: bytes | str) -> Any:
    """JSON that all can read again: no NaN, no infinity, no half of a surrogate pair, 200 levels at most.

    Raises ValueError.
    """
    value = from_json(text, allow_inf_nan=False)
    json.dumps(value, allow_nan=False)  # 1e999 is read as an infinity
    return value


def parse_storable(text: bytes | str) -> Any:
    """JSON that Postgres can hold too, without NUL, in `MOST_LEVELS` at most. Raises ValueError."""
    value = parse(text)
    if _NUL.search(json.dumps(value)):
        raise ValueError("\\u0000 cannot be stored")
    level = [value]
    for _ in range(MOST_LEVELS):
        parts = (list(it.values()) if isinstance(it, dict) else it for it in level if isinstance(it, _NESTS))
        level = [inner for part in parts for inner in part]
    if any(isinstance(it, _NESTS) for it in level):
        raise ValueError("nested too deeply")
    return value
