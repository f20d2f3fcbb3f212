"""Every refusal of the Data API in PostgREST's shape: `{code, message, details, hint}` and a status.

Source of codes, wording and statuses: PostgREST's documentation, "Errors".
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import psycopg

from soundscape.errors import SoundScapeError

HINT_CUTOFF = 0.6


class RestError(SoundScapeError):
    """A request refused with PostgREST's code or with Postgres's SQLSTATE."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Any = None,
        hint: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message, code=code, remedy=hint or "")
        self.status = status
        self.details = details
        self.hint = hint
        self.headers = headers or {}

    def body(self) -> bytes:
        error = {"code": self.code, "message": self.message, "details": self.details, "hint": self.hint}
        # A lone surrogate out of a request's JSON may be quoted in a message; it has no UTF-8 form.
        return json.dumps(error, ensure_ascii=False).encode("utf-8", "replace")


class UnknownName(RestError):
    """A table, column, function or relationship that the schema cache does not hold."""


def nearest(name: str, candidates: Iterable[str], *, cutoff: float = HINT_CUTOFF) -> str | None:
    """The candidate most like `name`, if any is close."""
    found = get_close_matches(name, sorted(set(candidates)), n=1, cutoff=cutoff)
    return found[0] if found else None


def parse_error(message: str, details: str) -> RestError:
    return RestError(400, "PGRST100", message, details=details)


def invalid_body(message: str) -> RestError:
    return RestError(400, "PGRST102", message)


def not_implemented(what: str) -> RestError:
    return RestError(400, "PGRST127", "Feature not implemented", details=what)


def unknown_table(schema: str, name: str, tables: Iterable[str]) -> UnknownName:
    like = nearest(name, tables)
    return UnknownName(
        404,
        "PGRST205",
        f"Could not find the table '{schema}.{name}' in the schema cache",
        hint=f"Perhaps you meant the table '{schema}.{like}'" if like else None,
    )


def unknown_read_column(table: str, column: str, columns: Iterable[str]) -> UnknownName:
    """PostgREST leaves unknown columns of a read to Postgres; so the code is Postgres's own."""
    like = nearest(column, columns)
    return UnknownName(
        400,
        "42703",
        f"column {table}.{column} does not exist",
        hint=f'Perhaps you meant to reference the column "{table}.{like}".' if like else None,
    )


def unknown_written_column(table: str, column: str, columns: Iterable[str]) -> UnknownName:
    like = nearest(column, columns)
    return UnknownName(
        400,
        "PGRST204",
        f"Could not find the '{column}' column of '{table}' in the schema cache",
        hint=f"Perhaps you meant the column '{like}'" if like else None,
    )


def not_embedded(name: str) -> RestError:
    return RestError(
        400,
        "PGRST108",
        f"'{name}' is not an embedded resource in this request",
        hint=f"Verify that '{name}' is included in the 'select' query parameter.",
    )


def not_single(rows: int) -> RestError:
    return RestError(
        406,
        "PGRST116",
        "Cannot coerce the result to a single JSON object",
        details=f"The result contains {rows} rows",
    )


def out_of_range(details: str) -> RestError:
    return RestError(416, "PGRST103", "Requested range not satisfiable", details=details)


def header_value(value: object) -> str:
    """`value` as a header may carry it. Raises ValueError for line breaks and what Latin-1 lacks."""
    text = str(value)
    text.encode("latin-1")
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("control characters in a header")
    return text


_BY_STATE = {
    "23503": 409, "23505": 409, "25006": 405, "42883": 404, "42P01": 404, "42P17": 500,
    "53400": 500, "57P01": 503, "P0001": 400,
}  # fmt: skip
_BY_CLASS = {
    "08": 503, "09": 500, "0L": 403, "0P": 403, "25": 500, "28": 403, "2D": 500, "38": 500, "39": 500,
    "3B": 500, "40": 500, "53": 503, "54": 500, "55": 500, "57": 500, "58": 500, "F0": 500, "HV": 500,
    "P0": 500, "XX": 500,
}  # fmt: skip


def from_postgres(error: psycopg.Error, *, anonymous: bool) -> RestError:
    """What Postgres refused, with the HTTP status PostgREST gives its SQLSTATE."""
    diagnosis = error.diag
    state = diagnosis.sqlstate
    if state is None:
        if isinstance(error, psycopg.DataError):  # refused by the driver, e.g. a NUL inside text
            return RestError(400, "22P05", str(error))
        return RestError(503, "PGRST001", "Database client error. Retrying the connection.")
    message = diagnosis.message_primary or ""
    if state == "PGRST":
        return _raised(message, diagnosis.message_detail)
    status = _BY_STATE.get(state) or _BY_CLASS.get(state[:2], 400)
    if state == "42501":
        status = 401 if anonymous else 403
    elif state == "21000":
        status = 400 if message.endswith("requires a WHERE clause") else 500
    elif state.startswith("PT"):
        status = int(state[2:]) if state[2:].isdecimal() and 200 <= int(state[2:]) <= 599 else 500
    return RestError(
        status,
        state,
        message,
        details=diagnosis.message_detail,
        hint=diagnosis.message_hint,
        headers={"WWW-Authenticate": "Bearer"} if status == 401 else None,
    )


def _raised(message: str, detail: str | None) -> RestError:
    """`raise sqlstate 'PGRST'`: the function writes the whole response itself."""
    try:
        body = json.loads(message)
        response = json.loads(detail or "")
        return RestError(
            int(response["status"]),
            str(body["code"]),
            str(body["message"]),
            details=body.get("details"),
            hint=body.get("hint"),
            headers={
                header_value(key): header_value(value) for key, value in response.get("headers", {}).items()
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return RestError(
            500,
            "PGRST121",
            "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error",
            details="DETAIL is missing in the RAISE statement" if detail is None else None,
            hint="MESSAGE needs 'code' and 'message', DETAIL needs 'status' and 'headers', as JSON objects.",
        )
