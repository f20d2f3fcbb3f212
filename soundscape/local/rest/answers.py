"""From a request to its answer: plan it, run it in one transaction, say what happened in HTTP's words."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from psycopg import AsyncConnection

from soundscape.local.rest import calls
from soundscape.local.rest.errors import (
    RestError,
    invalid_body,
    not_single,
    out_of_range,
    unknown_table,
)
from soundscape.local.rest.parameters import parse_query
from soundscape.local.rest.payload import parse_payload, read_json
from soundscape.local.rest.plan import Planner, Read
from soundscape.local.rest.preferences import Media, Preferences
from soundscape.local.rest.schema_cache import SchemaCache, Table
from soundscape.local.rest.sql import output_names
from soundscape.local.rest.statements import (
    Shape,
    Statement,
    call_statement,
    count_statement,
    read_statement,
    write_statement,
)
from soundscape.local.rest.syntax import Query
from soundscape.local.rest.writes import plan_delete, plan_insert, plan_update

ESTIMATE_CEILING = 1000
"""Estimates are exact up to `max_rows`, or to this where no such limit is set."""

Connection = AsyncConnection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    name: str
    schema: str
    query_string: str
    pairs: list[tuple[str, str]]
    preferences: Preferences
    media: Media
    body: bytes = b""
    content_type: str = ""
    range: str = ""

    @property
    def is_read(self) -> bool:
        return self.method in ("GET", "HEAD")


@dataclass(slots=True)
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """The one row of a statement."""

    body: str
    rows: int
    total: int | None
    inserted: int | None
    location: dict[str, Any] | None
    headers: str | None
    status: str | None
    schema_version: int


@dataclass(frozen=True, slots=True)
class Work:
    """A request, planned: what is left is to run it."""

    request: Request
    read_only: bool
    statement: Statement
    planned: Statement | None = None
    """Asks the planner for the count."""
    ceiling: int | None = None
    """Up to this many rows are counted before the planner is asked."""
    offset: int = 0
    kind: str = "read"
    nothing: bool = False
    """Whether the call answers without a body."""

    async def run(self, connection: Connection) -> Answer:
        result = Result(*await _row(connection, self.statement))
        total = result.total
        if self.planned is not None and (self.ceiling is None or (total or 0) > self.ceiling):
            plan = (await _row(connection, self.planned))[0]
            total = max(total or 0, int(plan[0]["Plan"]["Plan Rows"]))
        preferences = self.request.preferences
        if self.request.media.single and result.rows != 1 and not (self.kind != "read" and not result.body):
            raise not_single(result.rows)
        if preferences.max_affected is not None and self.kind in ("PATCH", "DELETE", "call"):
            _check_affected(result.rows, preferences.max_affected)
        if preferences.rollback:
            await connection.rollback()
        if self.kind in ("read", "call"):
            answer = self._read_answer(result, total)
        else:
            answer = self._write_answer(result)
        return _overridden(answer, result)

    def _read_answer(self, result: Result, total: int | None) -> Answer:
        if total is not None and self.offset > total:
            raise out_of_range(f"An offset of {self.offset} was requested, but there are only {total} rows.")
        last = self.offset + result.rows - 1
        window = f"{self.offset}-{last}" if result.rows and total != 0 else "*"
        headers = {
            "Content-Type": self.request.media.content_type,
            "Content-Range": f"{window}/{'*' if total is None else total}",
        }
        status = 206 if total is not None and result.rows < total else 200
        if self.kind == "read":
            query = self.request.query_string
            headers["Content-Location"] = f"/{self.request.name}" + (f"?{query}" if query else "")
        self._say_applied(headers, "count", "tx", "handling", "timezone", "max-affected")
        if self.nothing:
            del headers["Content-Type"]
            return Answer(204, b"", headers)
        body = b"" if self.request.method == "HEAD" else result.body.encode()
        return Answer(status, body, headers)

    def _write_answer(self, result: Result) -> Answer:
        preferences = self.request.preferences
        total = str(result.rows) if preferences.count else "*"
        window = f"0-{result.rows - 1}" if self.kind == "PATCH" and result.rows else "*"
        headers = {"Content-Range": f"{window}/{total}"}
        names = ["missing", "return", "count", "tx", "handling", "timezone", "max-affected"]
        if self.kind == "POST":
            names.append("resolution")
        self._say_applied(headers, *names)
        shown = preferences.returned == "representation"
        if shown:
            headers["Content-Type"] = self.request.media.content_type
        if self.kind == "POST":
            merged = preferences.resolution == "merge-duplicates" and (result.inserted or 0) <= 0
            status = 200 if merged and result.inserted is not None else 201
            if result.location:
                pairs = {
                    key: "is.null" if value is None else f"eq.{value}"
                    for key, value in result.location.items()
                }
                headers["Location"] = f"/{self.request.name}?{urlencode(pairs)}"
        else:
            status = 200 if shown else 204
        return Answer(status, result.body.encode() if shown else b"", headers)

    def _say_applied(self, headers: dict[str, str], *names: str) -> None:
        applied = self.request.preferences.applied(*names)
        if applied:
            headers["Preference-Applied"] = applied


def plan_request(
    request: Request, cache: SchemaCache, version: int, max_rows: int | None, *, call: bool
) -> Work:
    """Resolve a request. Nothing has been asked of the database when this raises."""
    planner = Planner(cache, max_rows)
    if call:
        return _plan_call(request, cache, planner, version)
    table = cache.tables.get((request.schema, request.name))
    if table is None:
        raise unknown_table(request.schema, request.name, cache.table_names(request.schema))
    if request.is_read:
        return _plan_read(request, table, planner, version, max_rows)
    return _plan_write(request, table, planner, version)


def _plan_read(request: Request, table: Table, planner: Planner, version: int, max_rows: int | None) -> Work:
    query = _query(request)
    read = planner.read(table, query)
    shape = Shape(request.media, tuple(output_names(read)), empty=request.method == "HEAD")
    count = request.preferences.count
    ceiling = (max_rows or ESTIMATE_CEILING) if count == "estimated" else None
    return Work(
        request,
        read_only=True,
        statement=read_statement(
            read,
            shape,
            counted=count in ("exact", "estimated"),
            version=version,
            ceiling=None if ceiling is None else ceiling + 1,
        ),
        planned=count_statement(read) if count in ("planned", "estimated") else None,
        ceiling=ceiling,
        offset=read.offset,
    )


def _plan_write(request: Request, table: Table, planner: Planner, version: int) -> Work:
    query, preferences = _query(request), request.preferences
    shown = planner.read(table, query, keeps_root_conditions=False)
    shown.limit, shown.offset = None, 0
    if request.method == "POST":
        payload = parse_payload(request.body, request.content_type)
        write: Any = plan_insert(table, query, payload, preferences, shown)
    elif request.method == "PATCH":
        payload = parse_payload(request.body, request.content_type)
        write = plan_update(table, query, payload, preferences, shown, planner)
    elif request.method == "DELETE":
        write = plan_delete(table, query, preferences, shown, planner)
    else:
        raise RestError(405, "PGRST117", f"Unsupported HTTP method: {request.method}")
    shape = Shape(request.media, tuple(output_names(shown)), empty=preferences.returned != "representation")
    locate = request.method == "POST" and preferences.returned == "headers-only"
    statement = write_statement(write, shown, shape, version=version, locate=locate)
    return Work(request, read_only=False, statement=statement, kind=request.method)


def _plan_call(request: Request, cache: SchemaCache, planner: Planner, version: int) -> Work:
    if request.method not in ("GET", "HEAD", "POST"):
        raise RestError(405, "PGRST101", f"Cannot use the {request.method} method on RPC")
    if request.is_read:
        query = _query(request, is_call=True)
        names = {name for name, _ in query.arguments}
        function = calls.choose(cache, request.schema, request.name, names)
        call = calls.with_texts(function, query.arguments)
    else:
        query = _query(request)
        call = _posted(request, cache)
        function = call.function
    if request.preferences.max_affected is not None and not function.returns_set:
        raise RestError(
            400,
            "PGRST128",
            "Function must return SETOF or TABLE when max-affected preference is used with handling=strict",
        )
    read: Read = planner.read(function.rows, query)
    # supabase-js asks for a HEAD whose arguments do not fit a URL as a POST that returns nothing.
    nothing = function.returns_nothing or request.preferences.returned == "minimal"
    shape = Shape(
        request.media,
        tuple(output_names(read)),
        scalar=function.is_scalar,
        only=not function.returns_set,
        empty=request.method == "HEAD" or nothing,
    )
    counted = request.preferences.count is not None
    return Work(
        request,
        read_only=request.is_read or not function.volatile,
        statement=call_statement(call, read, shape, counted=counted, version=version),
        offset=read.offset,
        kind="call",
        nothing=nothing,
    )


def _posted(request: Request, cache: SchemaCache) -> calls.Call:
    """A call's arguments from its body: named in a JSON object, or the whole body at once."""
    media = request.content_type.partition(";")[0].strip().lower() or "application/json"
    if media not in ("application/json", "text/plain", "text/xml", "application/octet-stream"):
        raise invalid_body(f"Content-Type not acceptable: {media}")
    named = media == "application/json"
    value = read_json(request.body) if named and request.body else {}
    names = value if isinstance(value, dict) and named else {}
    function = calls.choose(cache, request.schema, request.name, names, media=media)
    if calls.takes_body(function, media):
        raw = request.body if media == "application/octet-stream" else _utf8(request.body or b"{}")
        return calls.Call(function, raw=raw)
    if not isinstance(value, dict):
        raise invalid_body("All object keys must match")
    return calls.Call(function, json_text=_utf8(request.body or b"{}"), given=frozenset(names))


def _utf8(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise invalid_body("The body is not UTF-8") from error


def _query(request: Request, *, is_call: bool = False) -> Query:
    query = parse_query(request.pairs, is_call=is_call)
    unit, _, window = request.range.rpartition("=")
    first, dash, last = window.partition("-")
    if request.is_read and unit in ("", "items") and dash and first.isdecimal() and len(window) < 30:
        query.offset[()] = int(first) + query.offset.get((), 0)
        if last.isdecimal():
            if int(last) < int(first):
                raise out_of_range("The lower boundary must be lower than or equal to the upper boundary.")
            size = int(last) - int(first) + 1
            query.limit[()] = min(size, query.limit.get((), size))
    return query


async def _row(connection: Connection, statement: Statement) -> tuple[Any, ...]:
    row = await (await connection.execute(statement.query, statement.parameters)).fetchone()
    assert row is not None, "every statement aggregates to one row"
    return row


def _check_affected(rows: int, allowed: int) -> None:
    if rows > allowed:
        raise RestError(
            400,
            "PGRST124",
            "Query result exceeds max-affected preference constraint",
            details=f"The query affects {rows} rows",
        )


def _overridden(answer: Answer, result: Result) -> Answer:
    """What a function or trigger set in `response.status` and `response.headers`."""
    if result.status is not None:
        if not (result.status.isdecimal() and 200 <= int(result.status) <= 599):
            raise RestError(500, "PGRST112", "response.status guc must be a valid status code")
        answer.status = int(result.status)
    if result.headers is not None:
        try:
            for entry in json.loads(result.headers):
                ((key, value),) = entry.items()
                known = next((name for name in answer.headers if name.lower() == key.lower()), key)
                answer.headers[known] = str(value)
        except (ValueError, AttributeError, TypeError) as error:
            raise RestError(
                500,
                "PGRST111",
                "response.headers guc must be a JSON array composed of objects with a single key "
                "and a string value",
            ) from error
    return answer
