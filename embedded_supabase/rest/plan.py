"""The plan of a request: its statement, and what the response needs to know besides."""

from __future__ import annotations

from dataclasses import dataclass

from embedded_supabase.rest.call_plan import plan_call
from embedded_supabase.rest.errors import nearest, refusal
from embedded_supabase.rest.mutate_plan import plan_mutation
from embedded_supabase.rest.read_plan import Planner
from embedded_supabase.rest.request import Request
from embedded_supabase.rest.schema_cache import SchemaCache, Table
from embedded_supabase.rest.sql import Statement
from embedded_supabase.rest.statements import Shape, compose_estimate, compose_mutation, compose_read

ESTIMATE_CEILING = 1000
"""Estimates are exact up to `max_rows`, or up to this many rows without such a limit."""


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """What is left to do of a request: run the statement, and shape the response."""

    request: Request
    statement: Statement
    read_only: bool = True
    estimate: Statement | None = None
    """Asks Postgres's planner for the count."""
    ceiling: int | None = None
    """Up to this many rows are counted exactly."""
    offset: int = 0
    has_no_body: bool = False
    """Whether the response to a call has no body."""


def plan_request(request: Request, cache: SchemaCache, version: int, max_rows: int | None) -> RequestPlan:
    """Plan a request. Reads the schema cache only, never the database. Raises `RestError`."""
    query, count = request.query(), request.preferences.get("count")
    call = plan_call(cache, request, query) if request.is_call else None
    rows = call and call.function.rows
    table = cache.tables.get(rows.key, rows) if rows else _find_table(cache, request)
    read = Planner(cache, max_rows if request.is_read or call else None).plan_read(table, query)
    # supabase-js asks for a HEAD whose arguments do not fit a URL as a POST that returns nothing.
    is_minimal = request.preferences.get("return") == "minimal"
    nothing = call is not None and (call.function.returns_nothing or is_minimal)
    is_write = not request.is_read and call is None
    empty = nothing or request.method == "HEAD" or (is_write and not request.shows_rows)
    shape = Shape(request.media, read.names, empty, version, call)
    if is_write:
        return RequestPlan(
            request, compose_mutation(plan_mutation(request, query, read), shape), read_only=False
        )
    if call is not None:
        statement = compose_read(read, shape, counted=count is not None)
        read_only = request.is_read or not call.function.volatile
        return RequestPlan(request, statement, read_only, offset=read.offset, has_no_body=nothing)
    ceiling = max_rows or ESTIMATE_CEILING if count == "estimated" else None
    statement = compose_read(read, shape, counted=count in ("exact", "estimated"), ceiling=ceiling)
    estimate = compose_estimate(read) if count in ("planned", "estimated") else None
    return RequestPlan(request, statement, estimate=estimate, ceiling=ceiling, offset=read.offset)


def _find_table(cache: SchemaCache, request: Request) -> Table:
    """The table that the request names. Raises PGRST205."""
    found = cache.tables.get((request.schema, request.name))
    if found is None:
        names = [name for schema, name in cache.tables if schema == request.schema]
        hint = nearest(request.name, names, f"Perhaps you meant the table '{request.schema}.")
        raise refusal("PGRST205", request.schema, request.name, hint=hint)
    return found
