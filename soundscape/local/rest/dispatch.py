"""From a request to the work it means: a read, a write or a call, every name looked up."""

from __future__ import annotations

from soundscape.local.rest.answers import Work
from soundscape.local.rest.calls import plan_call
from soundscape.local.rest.errors import nearest, refusal
from soundscape.local.rest.parameters import parse_query
from soundscape.local.rest.plan import Planner
from soundscape.local.rest.request import Request
from soundscape.local.rest.schema_cache import SchemaCache
from soundscape.local.rest.statements import Shape, count_statement, read_statement, write_statement
from soundscape.local.rest.syntax import Query
from soundscape.local.rest.writes import plan_write

ESTIMATE_CEILING = 1000
"""Estimates are exact up to `max_rows`, or to this where no such limit is set."""


def plan_request(request: Request, cache: SchemaCache, version: int, max_rows: int | None) -> Work:
    """Resolve a request. Nothing has been asked of the database when this raises."""
    query = parse_query(request.pairs, is_call=request.is_call and request.is_read)
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
