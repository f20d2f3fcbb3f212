"""From a request to the work it means, and from what the database says of it to HTTP's words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from starlette.responses import Response

from soundscape.local.rest.calls import plan_call
from soundscape.local.rest.errors import nearest, refusal
from soundscape.local.rest.plan import Planner
from soundscape.local.rest.request import Request
from soundscape.local.rest.schema_cache import SchemaCache
from soundscape.local.rest.sql import Statement
from soundscape.local.rest.statements import Shape, count_statement, read_statement, write_statement
from soundscape.local.rest.syntax import Query
from soundscape.local.rest.writes import plan_write
from soundscape.local.stack import Connection

ESTIMATE_CEILING = 1000
"""Estimates are exact up to `max_rows`, or to this where no such limit is set."""


class Result(NamedTuple):
    """The one row of a statement."""

    body: str
    rows: int
    total: int | None
    inserted: int | None
    headers: str | None
    status: str | None
    schema_version: int


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
        result = Result(*await _row(connection, self.statement))
        total = result.total
        if self.planned is not None and (self.ceiling is None or (total or 0) > self.ceiling):
            plan = (await _row(connection, self.planned))[0]
            total = max(total or 0, int(plan[0]["Plan"]["Plan Rows"]))
        if request.media.single and result.rows != 1 and (request.is_read or result.body):
            raise refusal("PGRST116", details=f"The result contains {result.rows} rows")
        most = request.max_affected
        if most is not None and result.rows > most and request.method in ("PATCH", "DELETE"):
            raise refusal("PGRST124", details=f"The query affects {result.rows} rows")
        if request.is_read or request.is_call:
            status, window = self._read(result.rows, total)
        else:
            status, window = self._written(result)
        response = Response(result.body, status, {"Content-Range": window})
        if status != 204 and (result.body or request.method == "HEAD"):
            response.headers["Content-Type"] = request.media.content_type
        if request.preferences:
            applied = (f"{name}={value}" for name, value in request.preferences.items())
            response.headers["Preference-Applied"] = ", ".join(applied)
        _override(response, result)
        return response

    def _read(self, rows: int, total: int | None) -> tuple[int, str]:
        """Status and `Content-Range`."""
        if total is not None and self.offset > total:
            asked = f"An offset of {self.offset} was requested, but there are only {total} rows."
            raise refusal("PGRST103", details=asked)
        window = f"{self.offset}-{self.offset + rows - 1}" if rows and total != 0 else "*"
        status = 206 if total is not None and rows < total else 200
        return 204 if self.nothing else status, f"{window}/{'*' if total is None else total}"

    def _written(self, result: Result) -> tuple[int, str]:
        status, window = 200 if self.request.shows_rows else 204, "*"
        if self.request.method == "POST":
            # An upsert counts the rows it made.
            status = 201 if result.inserted is None or result.inserted > 0 else 200
        elif self.request.method == "PATCH" and result.rows:
            window = f"0-{result.rows - 1}"
        return status, f"{window}/{result.rows if self.request.preferences.get('count') else '*'}"


def plan_request(request: Request, cache: SchemaCache, version: int, max_rows: int | None) -> Work:
    """Resolve a request. Nothing has been asked of the database when this raises."""
    query = request.query()
    planner = Planner(cache, max_rows if request.is_read or request.is_call else None)
    if request.is_call:
        return _plan_call(request, query, cache, planner, version)
    table = cache.tables.get((request.schema, request.name))
    if table is None:
        names = [name for schema, name in cache.tables if schema == request.schema]
        hint = nearest(request.name, names, f"Perhaps you meant the table '{request.schema}.")
        raise refusal("PGRST205", request.schema, request.name, hint=hint)
    read, count = planner.read(table, query), request.preferences.get("count")
    empty = request.method == "HEAD" if request.is_read else not request.shows_rows
    shape = Shape(request.media, read.names, empty, version)
    if not request.is_read:
        return Work(request, write_statement(plan_write(request, query, read), shape), read_only=False)
    ceiling = max_rows or ESTIMATE_CEILING if count == "estimated" else None
    counted = count in ("exact", "estimated")
    statement = read_statement(read, shape, counted=counted, ceiling=ceiling)
    planned = count_statement(read) if count in ("planned", "estimated") else None
    return Work(request, statement, planned=planned, ceiling=ceiling, offset=read.offset)


def _plan_call(request: Request, query: Query, cache: SchemaCache, planner: Planner, version: int) -> Work:
    if request.method not in ("GET", "HEAD", "POST"):
        raise refusal("PGRST101", request.method)
    call = plan_call(cache, request, query)
    function, preferences = call.function, request.preferences
    if request.max_affected is not None and not function.returns_set:
        raise refusal("PGRST128")
    read = planner.read(cache.tables.get(function.rows.key, function.rows), query)
    # supabase-js asks for a HEAD whose arguments do not fit a URL as a POST that returns nothing.
    nothing = function.returns_nothing or preferences.get("return") == "minimal"
    shape = Shape(request.media, read.names, nothing or request.method == "HEAD", version, call)
    statement = read_statement(read, shape, counted="count" in preferences)
    read_only = request.is_read or not function.volatile
    return Work(request, statement, read_only, offset=read.offset, nothing=nothing)


async def _row(connection: Connection, statement: Statement) -> tuple[Any, ...]:
    row = await (await connection.execute(statement.query, statement.parameters)).fetchone()
    assert row is not None, "every statement aggregates to one row"
    return row


def _override(response: Response, result: Result) -> None:
    """What a function or trigger set in `response.status` and `response.headers`."""
    if result.status is not None:
        if not (result.status.isdecimal() and 200 <= int(result.status) <= 599):
            raise refusal("PGRST112")
        response.status_code = int(result.status)
    try:
        for entry in json.loads(result.headers or "[]"):
            ((name, value),) = entry.items()
            if not str(value).isprintable():
                raise ValueError("control characters in a header")
            response.headers[name] = str(value)
    except (ValueError, AttributeError, TypeError) as error:
        raise refusal("PGRST111") from error
