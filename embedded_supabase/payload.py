"""The body of a request: a size limit, and JSON that everybody can read again."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic_core import from_json
from starlette.requests import Request

MAX_LEVELS = 100
"""Of nested JSON. It is stored inside other JSON, and some parsers end at 200 levels."""
_NESTS = (dict, list)
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


async def read_body(request: Request, max_bytes: int, too_large: Exception) -> bytes:
    """Read the body. Raises `too_large` as soon as it is longer than `max_bytes`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise too_large
    return bytes(body)


def parse(text: bytes | str) -> Any:
    """Parse strict JSON. Raises ValueError for NaN, infinity, half a surrogate pair or over 200 levels."""
    value = from_json(text, allow_inf_nan=False)
    json.dumps(value, allow_nan=False)  # 1e999 was read as infinity
    return value


def parse_storable(text: bytes | str) -> Any:
    """Parse JSON that Postgres can hold. Raises ValueError for NUL and over `MAX_LEVELS` levels too."""
    value = parse(text)
    if _NUL.search(json.dumps(value)):
        raise ValueError("\\u0000 cannot be stored")
    level = [value]
    for _ in range(MAX_LEVELS):
        parts = (list(it.values()) if isinstance(it, dict) else it for it in level if isinstance(it, _NESTS))
        level = [inner for part in parts for inner in part]
    if any(isinstance(it, _NESTS) for it in level):
        raise ValueError("nested too deeply")
    return value
