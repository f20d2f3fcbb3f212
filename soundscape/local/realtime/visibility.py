"""Which changed rows a caller may see: the database is asked, as that caller.

The rows' primary keys are selected again under the caller's role and claims in a read-only
transaction, so that row level security decides, and the bindings' filters are evaluated on the
values that were logged, in the same query. One query a table, a caller and a batch, however many
rows, channels and filters. The session belongs to `authenticator`, which can become nothing but an
API role.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from soundscape.local.realtime.change import Change
from soundscape.local.realtime.filter import Condition
from soundscape.local.realtime.table import Table, changed
from soundscape.local.stack import Pool, become, identifier
from soundscape.local.tokens import Caller

Conditions = tuple[Condition, ...]
_SESSION = {
    "search_path": "public, extensions",
    "statement_timeout": "3s",
    "transaction_read_only": "on",
}


@dataclass(frozen=True)
class Verdict:
    """What one caller may learn of one change."""

    visible: bool
    passes: frozenset[Conditions]
    """The filters, of those asked, that the row passes."""
    error: str | None = None


async def judge(
    callers: Pool, caller: Caller, table: Table, changes: Sequence[Change], filters: Sequence[Conditions]
) -> list[Verdict]:
    """A verdict for each change. A policy or a filter that fails on one row counts against that row alone.

    `callers` are connections of `authenticator`.
    """
    readable = {column.name for column in table.readable(caller.role)}
    if not table.key:
        refused = Verdict(False, frozenset(), "Error 400: Bad Request, no primary key")
        unseen = Verdict(True, frozenset())
        return [unseen if change.kind == "DELETE" else refused for change in changes]
    if not readable.issuperset(column.name for column in table.key):
        return [Verdict(False, frozenset(), "Error 401: Unauthorized")] * len(changes)
    if not table.has_rls and not filters:
        return [Verdict(True, frozenset())] * len(changes)
    usable = [found for found in filters if readable.issuperset(condition.column for condition in found)]
    try:
        return await _ask(callers, caller, table, changes, usable)
    except psycopg.Error as error:
        if len(changes) == 1:
            return [Verdict(False, frozenset(), _explain(error))]
    return [(await judge(callers, caller, table, [change], filters))[0] for change in changes]


async def check_conditions(callers: Pool, caller: Caller, table: Table, conditions: Conditions) -> None:
    """Raise `psycopg.Error` when a comparison makes no sense for its column or its value."""
    async with callers.connection() as connection:
        await become(connection, caller, _SESSION)
        nothing: list[list[str]] = [[] for _ in _operands(table, [conditions])]
        await connection.execute(_query(table, [conditions]), [*_bound([conditions]), *nothing])
        for condition in conditions:
            if condition.operator in ("match", "imatch"):
                await connection.execute("select '' ~ %s", [condition.value])


async def _ask(
    callers: Pool, caller: Caller, table: Table, changes: Sequence[Change], filters: Sequence[Conditions]
) -> list[Verdict]:
    rows = [change.current(table) for change in changes]
    values = [[row.get(name) for row in rows] for name in _operands(table, filters)]
    async with callers.connection() as connection:
        await become(connection, caller, _SESSION)
        cursor = await connection.execute(_query(table, filters), [*_bound(filters), *values])
        answers = await cursor.fetchall()
    return [
        Verdict(
            visible=bool(visible) or change.kind == "DELETE",
            passes=frozenset(
                found
                for found, passed in zip(filters, passed_filters, strict=True)
                # A column that was not logged cannot be compared: closed, not open.
                if passed and all(condition.column in row for condition in found)
            ),
        )
        for change, row, (visible, *passed_filters) in zip(changes, rows, answers, strict=True)
    ]


def _operands(table: Table, filters: Sequence[Conditions]) -> list[str]:
    """The columns whose values the query needs."""
    names = {column.name: None for column in table.key}
    names |= {condition.column: None for conditions in filters for condition in conditions}
    return list(names)


def _bound(filters: Sequence[Conditions]) -> list[str]:
    return [value for conditions in filters for condition in conditions for value in condition.parameters]


def _query(table: Table, filters: Sequence[Conditions]) -> sql.Composed:
    """One row a change, in order: whether it is visible, then whether it passes each filter.

    Parameters: what the filters bind, then an array of text for each operand.
    """
    types = {column.name: column.type_sql for column in table.columns}
    operands = {
        name: sql.SQL("{}::{}").format(sql.Identifier("changed", f"c{index}"), types[name])
        for index, name in enumerate(_operands(table, filters))
    }
    visible: sql.Composable = sql.SQL("true")
    if table.has_rls:
        same_key = sql.SQL(" and ").join(
            sql.SQL("present.{} = {}").format(identifier(column.name), operands[column.name])
            for column in table.key
        )
        visible = sql.SQL("exists (select from {} present where {})").format(
            identifier(table.schema, table.name), same_key
        )
    passes = [
        sql.SQL("coalesce({}, false)").format(
            sql.SQL(" and ").join(
                sql.SQL("({})").format(condition.as_sql(operands[condition.column], types[condition.column]))
                for condition in conditions
            )
        )
        for conditions in filters
    ]
    return sql.SQL("select {} from {} order by n").format(
        sql.SQL(", ").join([visible, *passes]), changed(len(operands))
    )


def _explain(error: psycopg.Error) -> str:
    if error.sqlstate == "42501":
        return "Error 401: Unauthorized"
    return "Error 500: Internal Server Error, RLS policy evaluation failed"
