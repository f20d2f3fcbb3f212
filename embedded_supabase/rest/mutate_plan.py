"""The plan of an insert, upsert, update or delete: which columns, which rows, what is returned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from embedded_supabase.rest.errors import nearest, refusal
from embedded_supabase.rest.read_plan import ReadPlan
from embedded_supabase.rest.request import Request
from embedded_supabase.rest.schema_cache import Table
from embedded_supabase.rest.syntax import Query


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows of the body that have the same columns."""

    columns: tuple[str, ...]
    numbers: tuple[int, ...] | None = None
    """The rows' numbers in the body, from 1; None for all of them."""


@dataclass(frozen=True, slots=True)
class MutatePlan:
    method: str
    target: ReadPlan
    """The table, and the conditions of an update or delete."""
    shown: ReadPlan
    """What the response shows."""
    returning: tuple[str, ...]
    text: str = "[]"
    """A JSON array of objects."""
    groups: tuple[RowGroup, ...] = ()
    """One for an update."""
    conflict: tuple[str, ...] = ()
    """The columns of `on conflict`; none for a plain insert."""
    merge: bool = False


def plan_mutation(request: Request, query: Query, read: ReadPlan) -> MutatePlan:
    """Plan a write. `read` has the conditions, and what the response shows of the written rows."""
    method, table, preferences = request.method, read.table, request.preferences
    if method not in ("POST", "PATCH", "DELETE"):
        raise refusal("PGRST117", method)
    if method != "POST" and not read.where:
        # Hosted projects load pg-safeupdate into the API's sessions; this is its error.
        raise refusal("21000", "UPDATE" if method == "PATCH" else "DELETE")
    shown = replace(read, where=[], limit=None, offset=0)
    returning = _find_returning(shown) if request.shows_rows else ()
    if method == "DELETE":
        return MutatePlan(method, read, shown, returning)
    text, rows = _parse_rows(request)
    uneven = query.columns is None and any(row.keys() != rows[0].keys() for row in rows)
    if len(rows) != 1 if method == "PATCH" else uneven:
        raise refusal("PGRST102", "All object keys must match")
    columns = _check_columns(table, query.columns or (key for row in rows for key in row))
    groups: tuple[RowGroup, ...] = (RowGroup(columns),)
    if preferences.get("missing") == "default":
        if method == "PATCH":
            raise refusal("PGRST127", details="missing=default applies to inserts here, not to updates.")
        groups = _group_by_columns(rows, columns) or groups
    resolution, conflict = preferences.get("resolution"), tuple[str, ...]()
    if resolution is not None and method == "POST":
        conflict = _check_columns(table, query.on_conflict or table.primary_key)
    return MutatePlan(
        method, read, shown, returning, text, groups, conflict, resolution == "merge-duplicates"
    )


def _parse_rows(request: Request) -> tuple[str, list[dict[str, Any]]]:
    """The body as a JSON array and as its objects. Raises PGRST102 for anything else."""
    text, value = request.json()
    if isinstance(value, dict):
        return f"[{text}]", [value]
    if not isinstance(value, list):
        raise refusal("PGRST102", "Empty or invalid json")
    if not all(isinstance(row, dict) for row in value):
        raise refusal("PGRST102", "All object keys must match")
    return text, value


def _find_returning(shown: ReadPlan) -> tuple[str, ...]:
    """The columns that the response needs. Each needs the SELECT privilege, so no others."""
    names: list[str] = []
    for item, _ in shown.selected:
        names += shown.table.columns if item.field.name == "*" else [item.field.name]
    names += [term.field.name for term in shown.order if term.relation is None]
    for embed in shown.embeds:
        names += [here for here, _ in embed.relationship.near]
    return tuple(dict.fromkeys(names))


def _check_columns(table: Table, columns: Iterable[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(columns))
    for name in names:
        if name not in table.columns:
            hint = nearest(name, table.columns, "Perhaps you meant the column '")
            raise refusal("PGRST204", name, table.name, hint=hint)
    return names


def _group_by_columns(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> tuple[RowGroup, ...]:
    """One group for each set of columns, so that Postgres sets the default of the others."""
    numbers: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, row in enumerate(rows, start=1):
        numbers[tuple(column for column in columns if column in row)].append(number)
    return tuple(
        RowGroup(given, tuple(found) if len(numbers) > 1 else None) for given, found in numbers.items()
    )
