"""The body of a write or a call: kept as it came for Postgres to read, looked into for its keys."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NoReturn

from soundscape.local.rest.errors import refusal

# A browser's fetch labels a string as text/plain; PostgREST's clients always say JSON.
JSON_TYPES = ("", "application/json", "application/vnd.pgrst.object+json", "text/plain")


@dataclass(frozen=True, slots=True)
class Payload:
    text: str
    """A JSON array of objects."""
    rows: list[dict[str, Any]]

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that occurs, in the order of first occurrence."""
        return tuple(dict.fromkeys(key for row in self.rows for key in row))

    @property
    def is_uniform(self) -> bool:
        return all(row.keys() == self.rows[0].keys() for row in self.rows)


def parse_payload(body: bytes, content_type: str) -> Payload:
    """Rows to write. Raises PGRST102 for what is not JSON rows."""
    text, value = read_json(body, content_type)
    if isinstance(value, dict):
        return Payload(f"[{text}]", [value])
    if not isinstance(value, list):
        raise refusal("PGRST102", "Empty or invalid json")
    if not all(isinstance(row, dict) for row in value):
        raise refusal("PGRST102", "All object keys must match")
    return Payload(text, value)


def read_json(body: bytes, content_type: str) -> tuple[str, Any]:
    """Strict JSON, as text and as a value: no NaN, no bottomless nesting. Raises PGRST102."""
    media = content_type.partition(";")[0].strip().lower()
    if media not in JSON_TYPES:
        raise refusal("PGRST102", f"Content-Type not acceptable: {media}")
    try:
        text = body.decode("utf-8-sig")
        return text, json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise refusal("PGRST102", "Empty or invalid json") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
