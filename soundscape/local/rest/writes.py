"""Plans of insert, upsert, update and delete: which columns, which rows, what comes back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from soundscape.local.rest.errors import nearest, refusal
from soundscape.local.rest.payload import Payload, parse_payload
from soundscape.local.rest.plan import Planner, Read, Where
from soundscape.local.rest.request import Request
from soundscape.local.rest.schema_cache import Table
from soundscape.local.rest.syntax import Query


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that name the same columns."""

    columns: tuple[str, ...]
    numbers: tuple[int, ...] | None = None
    """Which rows of the body, counted from 1; None for all of them."""


@dataclass(frozen=True, slots=True)
class Insert:
    table: Table
    returning: tuple[str, ...]
    payload: Payload
    batches: tuple[Batch, ...]
    conflict: tuple[str, ...]
    """Columns of the unique key to watch; none for a plain insert."""
    merge: bool


@dataclass(frozen=True, slots=True)
class Update:
    table: Table
    returning: tuple[str, ...]
    where: tuple[Where, ...]
    payload: Payload
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Delete:
    table: Table
    returning: tuple[str, ...]
    where: tuple[Where, ...]


Write = Insert | Update | Delete


def plan_write(request: Request, table: Table, query: Query, shown: Read, planner: Planner) -> Write:
    """`shown` is what the answer holds."""
    shows = returning(shown) if request.preferences.shows_rows else ()
    if request.method == "POST":
        return _insert(request, table, query, shows)
    if request.method not in ("PATCH", "DELETE"):
        raise refusal("PGRST117", request.method)
    conditions = [condition for path, condition in query.conditions if not path]
    if not conditions:
        # Hosted projects load pg-safeupdate into the API's sessions; this is its answer.
        raise refusal("21000", "UPDATE" if request.method == "PATCH" else "DELETE")
    where = tuple(planner.where(shown, condition) for condition in conditions)
    if request.method == "DELETE":
        return Delete(table, shows, where)
    payload = parse_payload(request.body, request.content_type)
    if len(payload.rows) != 1:
        raise refusal("PGRST102", "All object keys must match")
    if request.preferences.get("missing") == "default":
        raise refusal("PGRST127", details="missing=default applies to inserts here, not to updates.")
    columns = payload.keys if query.columns is None else query.columns
    return Update(table, shows, where, payload, _known(table, columns))


def _insert(request: Request, table: Table, query: Query, shows: tuple[str, ...]) -> Insert:
    payload, preferences = parse_payload(request.body, request.content_type), request.preferences
    if query.columns is None and not payload.is_uniform:
        raise refusal("PGRST102", "All object keys must match")
    columns = _known(table, payload.keys if query.columns is None else query.columns)
    batches: tuple[Batch, ...] = (Batch(columns),)
    if preferences.get("missing") == "default":
        batches = tuple(_by_columns(payload, columns)) or batches
    conflict: tuple[str, ...] = ()
    if preferences.get("resolution") is not None:
        conflict = _known(table, query.on_conflict or table.primary_key)
    merge = preferences.get("resolution") == "merge-duplicates"
    return Insert(table, shows, payload, batches, conflict, merge)


def returning(shown: Read) -> tuple[str, ...]:
    """The columns the answer needs, and no others: each needs the SELECT privilege."""
    names: list[str] = []
    for item in shown.selected:
        names += shown.table.columns if item.column is None else [item.column.name]
    names += [order.column.name for order in shown.order if order.embed is None]
    for embed in shown.embeds:
        link = embed.relationship
        if link.junction is None:
            names += [here for here, _ in link.columns]
        else:
            names += [here for _, here in link.junction.source_columns]
    return tuple(dict.fromkeys(names))


def _known(table: Table, columns: tuple[str, ...]) -> tuple[str, ...]:
    for column in columns:
        if column not in table.columns:
            hint = nearest(column, table.columns, "Perhaps you meant the column '")
            raise refusal("PGRST204", column, table.name, hint=hint)
    return tuple(dict.fromkeys(columns))


def _by_columns(payload: Payload, columns: tuple[str, ...]) -> Iterator[Batch]:
    """One batch for each set of given columns: what a batch does not name, Postgres defaults."""
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, row in enumerate(payload.rows, start=1):
        groups[tuple(column for column in columns if column in row)].append(number)
    for given, numbers in groups.items():
        yield Batch(given, tuple(numbers) if len(groups) > 1 else None)
