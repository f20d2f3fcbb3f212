"""The response of a plan: its statement's row becomes status, headers and body."""

from __future__ import annotations

import json
import re

from psycopg.rows import DictRow, dict_row
from starlette.responses import Response

from embedded_supabase.database import Connection
from embedded_supabase.rest.errors import refusal
from embedded_supabase.rest.plan import RequestPlan
from embedded_supabase.rest.request import Request
from embedded_supabase.rest.sql import Statement

_HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_FRAMING = ("content-length", "transfer-encoding")


async def respond(connection: Connection, plan: RequestPlan) -> Response:
    """Run a plan's statement and make the response of its row. Raises `RestError`."""
    request = plan.request
    result = await _fetch_row(connection, plan.statement)
    body, rows, total = result["body"], result["rows"], result["total"]
    if plan.estimate is not None and (plan.ceiling is None or (total or 0) > plan.ceiling):
        explained = await _fetch_row(connection, plan.estimate)
        total = max(total or 0, int(explained["QUERY PLAN"][0]["Plan"]["Plan Rows"]))
    if request.media.single and rows != 1 and (request.is_read or body):
        raise refusal("PGRST116", details=f"The result contains {rows} rows")
    max_affected = request.max_affected
    may_exceed = request.is_call or request.method in ("PATCH", "DELETE")
    if max_affected is not None and rows > max_affected and may_exceed:
        raise refusal("PGRST124", details=f"The query affects {rows} rows")
    if request.is_read or request.is_call:
        status, window = _frame_read(plan, rows, total)
    else:
        status, window = _frame_mutation(request, rows, result["inserted"])
    response = Response(body, status, {"Content-Range": window})
    if status != 204 and (body or request.method == "HEAD"):
        response.headers["Content-Type"] = request.media.content_type
    if request.preferences:
        applied = (f"{name}={value}" for name, value in request.preferences.items())
        response.headers["Preference-Applied"] = ", ".join(applied)
    _override(response, result["status"], result["headers"])
    return response


def _frame_read(plan: RequestPlan, rows: int, total: int | None) -> tuple[int, str]:
    """The status and `Content-Range` of a read or a call."""
    if total is not None and plan.offset > total:
        asked = f"An offset of {plan.offset} was requested, but there are only {total} rows."
        raise refusal("PGRST103", details=asked)
    window = f"{plan.offset}-{plan.offset + rows - 1}" if rows and total != 0 else "*"
    status = 206 if total is not None and rows < total else 200
    return 204 if plan.has_no_body else status, f"{window}/{'*' if total is None else total}"


def _frame_mutation(request: Request, rows: int, inserted: int | None) -> tuple[int, str]:
    status, window = 200 if request.shows_rows else 204, "*"
    if request.method == "POST":
        # An upsert counts the rows it made.
        status = 201 if inserted is None or inserted > 0 else 200
    elif request.method == "PATCH" and rows:
        window = f"0-{rows - 1}"
    return status, f"{window}/{rows if request.preferences.get('count') else '*'}"


async def _fetch_row(connection: Connection, statement: Statement) -> DictRow:
    """The one row of a statement."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement.query, statement.parameters)
        row = await cursor.fetchone()
    assert row is not None, "every statement aggregates to one row"
    return row


def _override(response: Response, status: str | None, headers: str | None) -> None:
    """Apply what a function or trigger has set in `response.status` and `response.headers`."""
    if status is not None:
        if not (status.isdecimal() and 200 <= int(status) <= 599):
            raise refusal("PGRST112")
        response.status_code = int(status)
    try:
        for entry in json.loads(headers or "[]"):
            ((name, value),) = entry.items()
            if not _HEADER_NAME.fullmatch(name) or name.lower() in _FRAMING or not str(value).isprintable():
                raise ValueError("not a header, or one that the server sets")
            response.headers[name] = str(value)
    except (ValueError, AttributeError, TypeError) as error:
        raise refusal("PGRST111") from error
