"""A committed change and the payload that a subscriber of a role is sent for it."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from soundscape.local.realtime.cell import json_value
from soundscape.local.realtime.pgoutput import RowChange, Values
from soundscape.local.realtime.table import Column, Table

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

    def comparable(self, table: Table) -> Values:
        """What filters compare: the new row, completed by the old one; of a deleted row the old one.

        Of a deleted row under RLS only the key, or a filter could be used to guess the rest.
        """
        values = {**(self.row.old or {}), **self.row.new}
        return _key_of(table, values) if self.kind == "DELETE" and table.has_rls else values

    def payload(self, table: Table, role: str, select: Collection[str] | None) -> dict[str, Any]:
        """`data` of a `postgres_changes` event, with the columns that `role` may read and wanted."""
        logged = {column.name for column in self.row.relation.columns}
        columns = [
            column
            for column in table.readable(role)
            if column.name in logged and (select is None or column.name in select or column.in_key)
        ]
        data = self._header(table) | {"columns": [{"name": it.name, "type": it.type} for it in columns]}
        if self.kind != "DELETE":
            data["record"] = _record(columns, self.comparable(table))
        if self.kind != "INSERT":
            data["old_record"] = _record(columns, self._old_values(table))
        return data | _shortened(data)

    def refusal(self, table: Table, reason: str) -> dict[str, Any]:
        """`data` for a subscriber who may learn no more than that something happened."""
        silent: dict[str, Any] = {"commit_timestamp": None, "columns": None, "record": {}, "errors": [reason]}
        return self._header(table) | silent

    def _header(self, table: Table) -> dict[str, Any]:
        moment = self.committed_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            "schema": table.schema,
            "table": table.name,
            "type": self.kind,
            "commit_timestamp": moment,
            "errors": None,
        }

    def _old_values(self, table: Table) -> Values:
        """The row before; of a deleted row under RLS only the key, for its policies cannot be asked."""
        old = self.row.old if self.row.old is not None else self.row.new
        whole = self.row.old is not None and self.row.relation.replica_identity == "f"
        if whole and not (self.kind == "DELETE" and table.has_rls):
            return old
        return _key_of(table, {**self.row.new, **old})


def _key_of(table: Table, values: Values) -> Values:
    return {column.name: values[column.name] for column in table.key if column.name in values}


def _record(columns: Collection[Column], values: Values) -> dict[str, Any]:
    return {it.name: json_value(values[it.name], it.base_type) for it in columns if it.name in values}


def _shortened(data: dict[str, Any]) -> dict[str, Any]:
    """Records over the limit keep their small cells, and say so."""
    records = {name: data[name] for name in ("record", "old_record") if name in data}
    if len(json.dumps(records)) <= MAX_RECORD_BYTES:
        return {}
    kept = {
        name: {key: value for key, value in record.items() if len(json.dumps(value)) <= KEPT_CELL_BYTES}
        for name, record in records.items()
    }
    return kept | {"errors": ["Error 413: Payload Too Large"]}
