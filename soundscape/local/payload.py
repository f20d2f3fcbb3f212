"""The body of a request: its bytes up to a limit, and the JSON in them."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic_core import from_json
from starlette.requests import Request

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
    """JSON that Postgres can hold too: without NUL. Raises ValueError."""
    value = parse(text)
    if _NUL.search(json.dumps(value)):
        raise ValueError("\\u0000 cannot be stored")
    return value
