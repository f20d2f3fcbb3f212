"""One `postgres_changes` entry of a channel: which changes it asks for."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import psycopg

from soundscape.local.realtime.authorization import Refused
from soundscape.local.realtime.filter import Condition, FilterError, parse_filter
from soundscape.local.realtime.pgoutput import Change
from soundscape.local.realtime.visibility import count_tables
from soundscape.local.stack import Pool
from soundscape.local.tokens import Caller

EVENTS = ("INSERT", "UPDATE", "DELETE")
_ids = itertools.count(1)


@dataclass(frozen=True)
class Binding:
    id: int
    event: str
    schema: str
    table: str
    conditions: tuple[Condition, ...]

    def wants(self, change: Change) -> bool:
        asked = (self.event, self.schema, self.table)
        found = (change.kind, change.relation.schema, change.relation.name)
        return all(wanted in ("*", name) for wanted, name in zip(asked, found, strict=True))


def parse_binding(given: dict[str, Any]) -> Binding:
    """The binding a client's entry describes. Raises `Refused`."""
    schema, table, event = given.get("schema") or "", given.get("table") or "", given.get("event")
    filter_ = given.get("filter") or ""
    if not schema and not table:
        raise Refused(
            "No subscription params provided. Please provide at least a `schema` or `table` to subscribe to"
        )
    if not all(isinstance(text, str) and "\0" not in text for text in (schema, table, filter_)):
        raise Refused("`schema`, `table` and `filter` must be strings")
    if given.get("select"):
        raise Refused("Error parsing `select` params: column selection is not supported here")
    try:
        conditions = parse_filter(filter_)
    except FilterError as error:
        raise Refused(f"Error parsing `filter` params: {error}") from error
    event = str(event).upper()
    return Binding(
        next(_ids), event if event in EVENTS else "*", schema or "public", table or "*", conditions
    )


async def check_binding(binding: Binding, caller: Caller, callers: Pool) -> None:
    """Refuse a binding that could never deliver: no such published table, column or comparison.

    Raises `Refused`.
    """
    failed = "Unable to subscribe to changes with given parameters."
    filters = [(found.column, found.operator, found.value) for found in binding.conditions]
    where = f"event: {binding.event}, schema: {binding.schema}, table: {binding.table}, filters: {filters}"
    try:
        found = await count_tables(callers, caller, binding.schema, binding.table, binding.conditions)
    except psycopg.Error as error:
        reason, checks = str(error).split("\n", 1)[0], "An exception happened so please check your"
        raise Refused(f"{failed} {checks} connect parameters: [{where}]. Exception: {reason}") from error
    if not found:
        raise Refused(
            f"{failed} Please check Realtime is enabled for the given connect parameters: [{where}]"
        )
