"""From a request to the work it means: a read, a write or a call, every name resolved."""

from __future__ import annotations

from typing import Any

from soundscape.local.rest import calls
from soundscape.local.rest.answers import Work
from soundscape.local.rest.errors import RestError, invalid_body, unknown_table
from soundscape.local.rest.payload import parse_payload, read_json
from soundscape.local.rest.plan import Planner, Read
from soundscape.local.rest.request import Request
from soundscape.local.rest.schema_cache import SchemaCache, Table
from soundscape.local.rest.sql import output_names
from soundscape.local.rest.statements import (
    Shape,
    call_statement,
    count_statement,
    read_statement,
    write_statement,
)
from soundscape.local.rest.writes import plan_delete, plan_insert, plan_update

ESTIMATE_CEILING = 1000
"""Estimates are exact up to `max_rows`, or to this where no such limit is set."""


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
    query = request.query()
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
    query, preferences = request.query(), request.preferences
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
        query = request.query(is_call=True)
        names = {name for name, _ in query.arguments}
        function = calls.choose(cache, request.schema, request.name, names)
        call = calls.with_texts(function, query.arguments)
    else:
        query = request.query()
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
