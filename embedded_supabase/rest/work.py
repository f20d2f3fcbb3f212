"""From a request to the work it means, and from what the database says of it to HTTP's words."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from psycopg.rows import DictRow, dict_row
from starlette.responses import Response

from embedded_supabase.database import Connection
from embedded_supabase.rest.calls import plan_call
from embedded_supabase.rest.errors import nearest, refusal
from embedded_supabase.rest.plan import Planner
from embedded_supabase.rest.request import Request
from embedded_supabase.rest.schema_cache import SchemaCache, Table
from embedded_supabase.rest.sql import Statement
from embedded_supabase.rest.statements import Shape, count_statement, read_statement, write_statement
from embedded_supabase.rest.writes import plan_write

_HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_FRAMING = ("content-length", "transfer-encoding")
ESTIMATE_CEILING = 1000
"""Estimates are exact up to `max_rows`, or to this where no such limit is set."""


@dataclass(frozen=True, slots=True)
class Work:
    """A request, planned: what is left is to run it."""

    request: Request
    statement: Statement
    read_only: bool = True
    planned: Statement | None = None
    """Asks the planner for the count."""
    ceiling: int | None = None
    """Up to this many rows are counted before the planner is asked."""
    offset: int = 0
    nothing: bool = False
    """Whether the call answers without a body."""

    async def run(self, connection: Connection) -> Response:
        request = self.request
        result = await _row(connection, self.statement)
        body, rows, total = result["body"], result["rows"], result["total"]
        if self.planned is not None and (self.ceiling is None or (total or 0) > self.ceiling):
            plan = await _row(connection, self.planned)
            total = max(total or 0, int(plan["QUERY PLAN"][0]["Plan"]["Plan Rows"]))
        if request.media.single and rows != 1 and (request.is_read or body):
            raise refusal("PGRST116", details=f"The result contains {rows} rows")
        most = request.max_affected
        may_exceed = request.is_call or request.method in ("PATCH", "DELETE")
        if most is not None and rows > most and may_exceed:
            raise refusal("PGRST124", details=f"The query affects {rows} rows")
        if request.is_read or request.is_call:
            status, window = self._read(rows, total)
        else:
            status, window = self._written(rows, result["inserted"])
        response = Response(body, status, {"Content-Range": window})
        if status != 204 and (body or request.method == "HEAD"):
            response.headers["Content-Type"] = request.media.content_type
        if request.preferences:
            applied = (f"{name}={value}" for name, value in request.preferences.items())
            response.headers["Preference-Applied"] = ", ".join(applied)
        _override(response, result["status"], result["headers"])
        return response

    def _read(self, rows: int, total: int | None) -> tuple[int, str]:
        """Status and `Content-Range`."""
        if total is not None and self.offset > total:
            asked = f"An offset of {self.offset} was requested, but there are only {total} rows."
            raise refusal("PGRST103", details=asked)
        window = f"{self.offset}-{self.offset + rows - 1}" if rows and total != 0 else "*"
        status = 206 if total is not None and rows < total else 200
        return 204 if self.nothing else status, f"{window}/{'*' if total is None else total}"

    def _written(self, rows: int, inserted: int | None) -> tuple[int, str]:
        status, window = 200 if self.request.shows_rows else 204, "*"
        if self.request.method == "POST":
            # An upsert counts the rows it made.
            status = 201 if inserted is None or inserted > 0 else 200
        elif self.request.method == "PATCH" and rows:
            window = f"0-{rows - 1}"
        return status, f"{window}/{rows if self.request.preferences.get('count') else '*'}"


def plan_request(request: Request, cache: SchemaCache, version: int, max_rows: int | None) -> Work:
    """Resolve a request. Nothing has been asked of the database when this raises."""
    query, count = request.query(), request.preferences.get("count")
    call = plan_call(cache, request, query) if request.is_call else None
    rows = call and call.function.rows
    table = cache.tables.get(rows.key, rows) if rows else _table(cache, request)
    read = Planner(cache, max_rows if request.is_read or call else None).read(table, query)
    # supabase-js asks for a HEAD whose arguments do not fit a URL as a POST that returns nothing.
    is_minimal = request.preferences.get("return") == "minimal"
    nothing = call is not None and (call.function.returns_nothing or is_minimal)
    is_write = not request.is_read and call is None
    empty = nothing or request.method == "HEAD" or (is_write and not request.shows_rows)
    shape = Shape(request.media, read.names, empty, version, call)
    if is_write:
        return Work(request, write_statement(plan_write(request, query, read), shape), read_only=False)
    if call is not None:
        statement = read_statement(read, shape, counted=count is not None)
        read_only = request.is_read or not call.function.volatile
        return Work(request, statement, read_only, offset=read.offset, nothing=nothing)
    ceiling = max_rows or ESTIMATE_CEILING if count == "estimated" else None
    statement = read_statement(read, shape, counted=count in ("exact", "estimated"), ceiling=ceiling)
    planned = count_statement(read) if count in ("planned", "estimated") else None
    return Work(request, statement, planned=planned, ceiling=ceiling, offset=read.offset)


def _table(cache: SchemaCache, request: Request) -> Table:
    """The table that is asked for. Raises PGRST205."""
    found = cache.tables.get((request.schema, request.name))
    if found is None:
        names = [name for schema, name in cache.tables if schema == request.schema]
        hint = nearest(request.name, names, f"Perhaps you meant the table '{request.schema}.")
        raise refusal("PGRST205", request.schema, request.name, hint=hint)
    return found


async def _row(connection: Connection, statement: Statement) -> DictRow:
    """The one row of a statement."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement.query, statement.parameters)
        row = await cursor.fetchone()
    assert row is not None, "every statement aggregates to one row"
    return row


def _override(response: Response, status: str | None, headers: str | None) -> None:
    """What a function or trigger set in `response.status` and `response.headers`."""
    if status is not None:
        if not (status.isdecimal() and 200 <= int(status) <= 599):
            raise refusal("PGRST112")
        response.status_code = int(status)
    try:
        for entry in json.loads(headers or "[]"):
            ((name, value),) = entry.items()
            if not _HEADER_NAME.fullmatch(name) or name.lower() in _FRAMING or not str(value).isprintable():
                raise ValueError("no header, or one that the server itself sets")
            response.headers[name] = str(value)
    except (ValueError, AttributeError, TypeError) as error:
        raise refusal("PGRST111") from error
