"""A committed change and the payload that a subscriber of a role is sent for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from soundscape.local.realtime.pgoutput import RowChange, Values
from soundscape.local.realtime.table import Table

MAX_RECORD_BYTES = 1024 * 1024
KEPT_CELL_BYTES = 64


@dataclass(frozen=True)
class Change:
    """A row change and the commit it belongs to."""

    row: RowChange
    commit_lsn: int
    committed_at: datetime

    @property
    def kind(self) -> str:
        return self.row.kind

    def current(self, table: Table) -> Values:
        """What filters compare: the new row, completed by the old one; of a deleted row the old one.

        Of a deleted row under RLS only the key, or a filter could be used to guess the rest.
        """
        values = {**(self.row.old or {}), **self.row.new}
        return _key_of(table, values) if self.kind == "DELETE" and table.has_rls else values

    def previous(self, table: Table) -> Values:
        """The row before; of a deleted row under RLS only the key, for its policies cannot be asked."""
        old = self.row.old if self.row.old is not None else self.row.new
        whole = self.row.old is not None and self.row.relation.logs_whole_rows
        if whole and not (self.kind == "DELETE" and table.has_rls):
            return old
        return _key_of(table, {**self.row.new, **old})

    def payload(self, table: Table, role: str, records: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """`data` of a `postgres_changes` event, with the columns that `role` may read.

        `records` are `record` and `old_record`, whole.
        """
        columns = {
            column.name: column.type
            for column in table.readable(role)
            if column.name in self.row.relation.columns
        }
        kept = {
            name: {key: value for key, value in record.items() if key in columns}
            for name, record in records.items()
        }
        errors = None
        if len(json.dumps(kept)) > MAX_RECORD_BYTES:
            errors = ["Error 413: Payload Too Large"]
            for record in kept.values():
                for key in [key for key, value in record.items() if len(json.dumps(value)) > KEPT_CELL_BYTES]:
                    del record[key]
        listed = [{"name": name, "type": type_} for name, type_ in columns.items()]
        moment = self.committed_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return self._header(table, moment, errors) | {"columns": listed} | kept

    def refusal(self, table: Table, reason: str) -> dict[str, Any]:
        """`data` for a subscriber who may learn no more than that something happened."""
        return self._header(table, None, [reason]) | {"columns": None, "record": {}}

    def _header(self, table: Table, moment: str | None, errors: list[str] | None) -> dict[str, Any]:
        where = {"schema": table.schema, "table": table.name}
        return where | {"type": self.kind, "commit_timestamp": moment, "errors": errors}


def _key_of(table: Table, values: Values) -> Values:
    return {column.name: values[column.name] for column in table.key if column.name in values}
