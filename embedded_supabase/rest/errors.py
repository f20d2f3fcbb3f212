"""Error responses of REST in PostgREST's shape: `{code, message, details, hint}` and a status.

Source of codes, wording and statuses: PostgREST's documentation, "Errors".
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import psycopg

from embedded_supabase.errors import EmbeddedError

REFUSALS = {
    "PGRST001": (503, "Database client error. Retrying the connection."),
    "PGRST003": (504, "Timed out acquiring connection from connection pool."),
    "PGRST100": (400, "{}"),
    "PGRST101": (405, "Cannot use the {} method on RPC"),
    "PGRST102": (400, "{}"),
    "PGRST103": (416, "Requested range not satisfiable"),
    "PGRST106": (406, "Invalid schema: {}"),
    "PGRST107": (406, "None of these media types are available: {}"),
    "PGRST108": (400, "'{}' is not an embedded resource in this request"),
    "PGRST111": (500, "response.headers guc must be a JSON array composed of objects with a single key "
                      "and a string value"),
    "PGRST112": (500, "response.status guc must be a valid status code"),
    "PGRST116": (406, "Cannot coerce the result to a single JSON object"),
    "PGRST117": (405, "Unsupported HTTP method: {}"),
    "PGRST118": (400, "A related order on '{}' is not possible"),
    "PGRST120": (400, "Bad operator on the '{}' embedded resource"),
    "PGRST121": (500, "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error"),
    "PGRST122": (400, "Invalid preferences given with handling=strict"),
    "PGRST123": (400, "Use of aggregate functions is not allowed"),
    "PGRST124": (400, "Query result exceeds max-affected preference constraint"),
    "PGRST125": (404, "Invalid path specified in request URL"),
    "PGRST127": (400, "Feature not implemented"),
    "PGRST128": (400, "Function must return SETOF or TABLE when max-affected preference is used with "
                      "handling=strict"),
    "PGRST200": (400, "Could not find a relationship between '{}' and '{}' in the schema cache"),
    "PGRST201": (300, "Could not embed because more than one relationship was found for '{}' and '{}'"),
    "PGRST202": (404, "Could not find the function {}{} in the schema cache"),
    "PGRST203": (300, "Could not choose the best candidate function between: {}"),
    "PGRST204": (400, "Could not find the '{}' column of '{}' in the schema cache"),
    "PGRST205": (404, "Could not find the table '{}.{}' in the schema cache"),
    "PGRST301": (401, "{}"),
    "PGRST302": (401, "{}"),
    "PGRST303": (401, "JWT expired"),
    "21000": (400, "{} requires a WHERE clause"),
    "42703": (400, "column {}.{} does not exist"),
    "42704": (400, 'type "{}" does not exist'),
}  # fmt: skip
"""Statuses and messages by code. We raise the SQLSTATEs among them before Postgres would."""

UNKNOWN_NAMES = ("PGRST200", "PGRST202", "PGRST204", "PGRST205", "42703", "42704")
"""After these, a reloaded schema cache may have the name."""

_STATUSES = {
    "23503": 409, "23505": 409, "25006": 405, "42883": 404, "42P01": 404, "42P17": 500, "53400": 500,
    "57P01": 503, "P0001": 400,
    "08": 503, "09": 500, "0L": 403, "0P": 403, "25": 500, "28": 403, "2D": 500, "38": 500, "39": 500,
    "3B": 500, "40": 500, "53": 503, "54": 500, "55": 500, "57": 500, "58": 500, "F0": 500, "HV": 500,
    "P0": 500, "XX": 500,
}  # fmt: skip
"""By SQLSTATE, or by its class. All others are 400."""


class RestError(EmbeddedError):
    """A request refused with a code of PostgREST or an SQLSTATE."""

    def __init__(
        self, status: int, code: str, message: str, *, details: Any = None, hint: str | None = None
    ) -> None:
        super().__init__(message, code=code, remedy=hint or "")
        self.status = status
        self.details = details
        self.hint = hint
        self.headers: dict[str, str] = {}

    def body(self) -> bytes:
        error = {"code": self.code, "message": self.message, "details": self.details, "hint": self.hint}
        # A message may quote half a surrogate pair of the request, which has no UTF-8 form.
        return json.dumps(error, ensure_ascii=False).encode("utf-8", "replace")


def refusal(code: str, *words: object, details: Any = None, hint: str | None = None) -> RestError:
    """The error of that code. `words` fill its message."""
    status, message = REFUSALS[code]
    return RestError(status, code, message.format(*words), details=details, hint=hint)


def nearest(
    name: str, candidates: Iterable[str], before: str, after: str = "'", *, cutoff: float = 0.6
) -> str | None:
    """A hint with the candidate that is most like `name`; None where none is close."""
    found = get_close_matches(name, sorted(set(candidates)), n=1, cutoff=cutoff)
    return f"{before}{found[0]}{after}" if found else None


def from_postgres(error: psycopg.Error, *, anonymous: bool) -> RestError:
    """An error of Postgres, with the HTTP status that PostgREST gives its SQLSTATE."""
    state, message = error.diag.sqlstate, error.diag.message_primary or ""
    if state is None:
        if isinstance(error, psycopg.DataError):  # refused by the driver, e.g. a NUL inside text
            return RestError(400, "22P05", str(error))
        return refusal("PGRST001")
    if state == "PGRST":
        return refusal("PGRST121", hint="Responses written by RAISE are not supported here: use PTxyz.")
    status = _STATUSES.get(state) or _STATUSES.get(state[:2], 400)
    if state == "42501":
        status = 401 if anonymous else 403
    elif state == "21000" and not message.endswith("requires a WHERE clause"):
        status = 500
    elif state.startswith("PT"):
        status = int(state[2:]) if state[2:].isdecimal() and 200 <= int(state[2:]) <= 599 else 500
    details, hint = error.diag.message_detail, error.diag.message_hint
    refused = RestError(status, state, message, details=details, hint=hint)
    if status == 401:
        refused.headers["WWW-Authenticate"] = "Bearer"
    return refused
