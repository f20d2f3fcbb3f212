"""Which changed rows a caller may see.

`realtime.seen` runs as the caller in a read-only transaction. It selects the rows' primary keys again, so Row
Level Security decides, and evaluates the filters on the logged values. There is one query per table, caller
and batch. The session belongs to `authenticator`, which can only become an API role.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg

from embedded_supabase.database import Connection, Pool, assume_caller
from embedded_supabase.operators import OPERATORS
from embedded_supabase.realtime.pgoutput import Change
from embedded_supabase.realtime.serializer import MalformedFrame, load_json
from embedded_supabase.tokens import Caller

MAX_RECORD_BYTES = 1024 * 1024
KEPT_CELL_BYTES = 64


class Condition(NamedTuple):
    """One `column op value` of a filter. The value of `in` is an array in Postgres's syntax."""

    column: str
    operator: str
    value: str
    negated: bool = False

    def as_json(self) -> dict[str, Any]:
        """For `realtime.seen`, which writes `sql` between the column and the value."""
        return {**self._asdict(), "sql": OPERATORS[self.operator].sql}


Conditions = tuple[Condition, ...]
Cells = dict[str, str]
"""Column name → JSON."""

_SESSION = {"search_path": "public, extensions", "statement_timeout": "3s", "transaction_read_only": "on"}
_SEEN = "select passes, error, visible, columns, record, old_record from realtime.seen(%s, %s, %s)"
_CHECK = "select realtime.check_subscription(%s, %s, %s)"


@dataclass(frozen=True)
class Verdict:
    """What one caller may learn of one change."""

    passes: frozenset[Conditions] = frozenset()
    """The filters that the row passes."""
    error: str | None = None
    visible: bool = False
    columns: Sequence[dict[str, str]] | None = None
    record: Cells | None = None
    old_record: Cells | None = None

    def data(self, change: Change) -> dict[str, Any]:
        """`data` of a `postgres_changes` event."""
        relation = change.relation
        data: dict[str, Any] = {
            "schema": relation.schema,
            "table": relation.name,
            "type": change.kind,
            "errors": None,
        }
        if self.error is not None:
            return data | {"commit_timestamp": None, "errors": [self.error], "columns": None, "record": {}}
        moment = change.committed_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        records = {
            "record": self.record or {} if change.kind != "DELETE" else None,
            "old_record": self.old_record or {} if change.kind != "INSERT" else None,
        }
        size = sum(len(text) for cells in records.values() if cells for text in cells.values())
        if size > MAX_RECORD_BYTES:
            data["errors"] = ["Error 413: Payload Too Large"]
        for name, cells in records.items():
            if cells is not None:
                data[name] = {
                    column: parse_text(text)
                    for column, text in cells.items()
                    if size <= MAX_RECORD_BYTES or len(text) <= KEPT_CELL_BYTES
                }
        return data | {"commit_timestamp": moment, "columns": self.columns}


async def check_visibility(
    callers: Pool, caller: Caller, changes: Sequence[Change], filters: Sequence[Conditions]
) -> list[Verdict]:
    """A verdict for each change; all are of one table. A failure counts for its own row only.

    `callers` are connections of `authenticator`.
    """
    rows_changed = [
        {"kind": it.kind, "new": it.new, "old": it.old, "whole": it.old and it.relation.logs_whole_rows}
        for it in changes
    ]
    wanted = [[condition.as_json() for condition in conditions] for conditions in filters]
    parameters = [changes[0].relation.oid, json.dumps(rows_changed), json.dumps(wanted)]
    try:
        async with _session(callers, caller) as connection:
            rows = await (await connection.execute(_SEEN, parameters)).fetchall()
    except psycopg.Error as error:
        if len(changes) == 1:
            reason = "500: Internal Server Error, RLS policy evaluation failed"
            return [Verdict(error=f"Error {'401: Unauthorized' if error.sqlstate == '42501' else reason}")]
        return [(await check_visibility(callers, caller, [change], filters))[0] for change in changes]
    if not rows:  # the table was dropped meanwhile
        return [Verdict()] * len(changes)
    return [
        Verdict(frozenset(it for it, passed in zip(filters, passes, strict=True) if passed), *others)
        for passes, *others in rows
    ]


async def count_tables(callers: Pool, caller: Caller, schema: str, table: str, conditions: Conditions) -> int:
    """Count the published tables of a binding. Raises `psycopg.Error` for an invalid filter."""
    asked = [schema, table, json.dumps([condition.as_json() for condition in conditions])]
    async with _session(callers, caller) as connection:
        row = await (await connection.execute(_CHECK, asked)).fetchone()
    assert row is not None
    return int(row[0])


@asynccontextmanager
async def _session(callers: Pool, caller: Caller) -> AsyncIterator[Connection]:
    async with callers.connection() as connection:
        await assume_caller(connection, caller, _SESSION)
        yield connection


def parse_text(text: str | None) -> Any:
    """JSON of Postgres, as clients get it. What other parsers would not read stays text."""
    try:
        return None if text is None else load_json(text)
    except MalformedFrame:
        return text
