"""The body of a write or a call: kept as it came for Postgres to read, looked into for its keys."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import Any, NoReturn

from soundscape.local.rest.errors import invalid_body


@dataclass(frozen=True, slots=True)
class Payload:
    text: str
    """A JSON object, or an array of objects."""
    is_array: bool
    rows: tuple[dict[str, Any], ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that occurs, in the order of first occurrence."""
        return tuple(dict.fromkeys(key for row in self.rows for key in row))

    @property
    def is_uniform(self) -> bool:
        return all(row.keys() == self.rows[0].keys() for row in self.rows)


def parse_payload(body: bytes, content_type: str) -> Payload:
    """Rows to write. Raises PGRST102 for what is neither JSON rows nor CSV."""
    media = content_type.partition(";")[0].strip().lower()
    if media == "text/csv":
        return _from_csv(body)
    # A browser's fetch labels a string as text/plain; PostgREST's clients always say JSON.
    if media not in ("", "application/json", "application/vnd.pgrst.object+json", "text/plain"):
        raise invalid_body(f"Content-Type not acceptable: {media}")
    value = read_json(body)
    rows = value if isinstance(value, list) else [value]
    if not all(isinstance(row, dict) for row in rows):
        raise invalid_body(
            "All object keys must match" if isinstance(value, list) else "Empty or invalid json"
        )
    return Payload(_text(body), isinstance(value, list), tuple(rows))


def read_json(body: bytes) -> Any:
    """Strict JSON: no NaN, no bottomless nesting."""
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise invalid_body("Empty or invalid json") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise invalid_body("Empty or invalid json") from error


def _from_csv(body: bytes) -> Payload:
    lines = list(csv.reader(io.StringIO(_text(body))))
    if not lines:
        raise invalid_body("Empty or invalid csv")
    header, *records = lines
    if any(len(record) != len(header) for record in records):
        raise invalid_body("All lines must have same number of fields")
    rows = tuple(
        {key: None if value == "NULL" else value for key, value in zip(header, record, strict=True)}
        for record in records
    )
    return Payload(json.dumps(rows), is_array=True, rows=rows)
