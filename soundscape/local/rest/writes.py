"""Plans of insert, upsert, update and delete: which columns, which rows, what comes back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from soundscape.local.rest.errors import RestError, invalid_body, unknown_written_column
from soundscape.local.rest.payload import Payload
from soundscape.local.rest.plan import Planner, Read, Where
from soundscape.local.rest.preferences import Preferences
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
    payload: Payload
    batches: tuple[Batch, ...]
    conflict: tuple[str, ...]
    """Columns of the unique key to watch; none for a plain insert."""
    merge: bool
    returning: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Update:
    table: Table
    columns: tuple[str, ...]
    defaulted: tuple[str, ...]
    """Columns set back to their default."""
    payload: Payload
    place: str
    where: tuple[Where, ...]
    returning: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Delete:
    table: Table
    place: str
    where: tuple[Where, ...]
    returning: tuple[str, ...]


Write = Insert | Update | Delete


def plan_insert(
    table: Table, query: Query, payload: Payload, preferences: Preferences, shown: Read
) -> Insert:
    if query.columns is None and not payload.is_uniform:
        raise invalid_body("All object keys must match")
    columns = _known(table, payload.keys if query.columns is None else query.columns)
    if query.columns is not None and preferences.missing_default:
        batches = tuple(_by_columns(payload, columns)) or (Batch(columns),)
    else:
        batches = (Batch(columns),)
    conflict: tuple[str, ...] = ()
    if preferences.resolution is not None:
        conflict = _known(table, query.on_conflict or table.primary_key)
    merge = preferences.resolution == "merge-duplicates"
    return Insert(table, payload, batches, conflict, merge, returning(shown, preferences))


def plan_update(
    table: Table, query: Query, payload: Payload, preferences: Preferences, shown: Read, planner: Planner
) -> Update:
    if len(payload.rows) != 1:
        raise invalid_body("All object keys must match")
    row = payload.rows[0]
    columns = _known(table, tuple(row) if query.columns is None else query.columns)
    defaulted: tuple[str, ...] = ()
    if preferences.missing_default:
        defaulted = tuple(column for column in columns if column not in row)
        columns = tuple(column for column in columns if column in row)
    where = _where(query, shown, planner, "UPDATE")
    return Update(table, columns, defaulted, payload, shown.place, where, returning(shown, preferences))


def plan_delete(
    table: Table, query: Query, preferences: Preferences, shown: Read, planner: Planner
) -> Delete:
    where = _where(query, shown, planner, "DELETE")
    return Delete(table, shown.place, where, returning(shown, preferences))


def returning(shown: Read, preferences: Preferences) -> tuple[str, ...]:
    """The columns the answer needs; none when nothing is shown, so that no SELECT privilege is needed."""
    if preferences.returned == "headers-only":
        return shown.table.primary_key
    if preferences.returned != "representation":
        return ()
    names: dict[str, None] = {}
    for item in shown.selected:
        if item.column is None:
            names |= dict.fromkeys(shown.table.columns)
        else:
            names[item.column.name] = None
    names |= {order.column.name: None for order in shown.order if order.embed is None}
    for embed in shown.embeds:
        link = embed.relationship
        pairs = (
            link.columns
            if link.junction is None
            else ((there, here) for here, there in link.junction.source_columns)
        )
        names |= {here: None for here, _ in pairs}
    return tuple(names)


def _where(
    query: Query, shown: Read, planner: Planner, verb: Literal["UPDATE", "DELETE"]
) -> tuple[Where, ...]:
    conditions = [condition for path, condition in query.conditions if not path]
    if not conditions:
        # Hosted projects load pg-safeupdate into the API's sessions; this is its answer.
        raise RestError(400, "21000", f"{verb} requires a WHERE clause")
    return tuple(planner.where(shown, condition) for condition in conditions)


def _known(table: Table, columns: tuple[str, ...]) -> tuple[str, ...]:
    for column in columns:
        if column not in table.columns:
            raise unknown_written_column(table.name, column, table.columns)
    return tuple(dict.fromkeys(columns))


def _by_columns(payload: Payload, columns: tuple[str, ...]) -> Iterator[Batch]:
    """One batch for each set of given columns: what a batch does not name, Postgres defaults."""
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, row in enumerate(payload.rows, start=1):
        groups[tuple(column for column in columns if column in row)].append(number)
    for given, numbers in groups.items():
        yield Batch(given, tuple(numbers) if len(groups) > 1 else None)
