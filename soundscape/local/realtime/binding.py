"""One `postgres_changes` entry of a channel: which changes it asks for."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import psycopg

from soundscape.local.realtime.filter import Condition, FilterError, parse_filter
from soundscape.local.realtime.table import load_tables, published
from soundscape.local.realtime.visibility import check_conditions
from soundscape.local.stack import Stack
from soundscape.local.tokens import Caller

EVENTS = ("INSERT", "UPDATE", "DELETE")
_ids = itertools.count(1)


class BindingError(Exception):
    """The entry cannot be subscribed to; the message goes to the client."""


@dataclass(frozen=True)
class Binding:
    id: int
    given: dict[str, Any]
    """The entry as the client sent it: it compares our reply with its own list."""
    event: str
    schema: str
    table: str
    conditions: tuple[Condition, ...]

    def wants(self, event: str, schema: str, table: str) -> bool:
        return self.event in ("*", event) and self.schema in ("*", schema) and self.table in ("*", table)

    @property
    def reply(self) -> dict[str, Any]:
        return {**self.given, "id": self.id}

    def __str__(self) -> str:
        filters = [(found.column, found.operator, found.value) for found in self.conditions]
        where = f"event: {self.event}, schema: {self.schema}, table: {self.table}"
        return f"{where}, filters: {filters}"


def parse_binding(given: dict[str, Any]) -> Binding:
    """The binding a client's entry describes. Raises `BindingError`."""
    schema, table, filter_ = (given.get(key) for key in ("schema", "table", "filter"))
    if not schema and not table:
        raise BindingError(
            "No subscription params provided. Please provide at least a `schema` or `table` to subscribe to"
        )
    schema, table = schema or "public", table or "*"
    event = given.get("event")
    event = event.upper() if isinstance(event, str) else "*"
    if not isinstance(schema, str) or not isinstance(table, str) or not isinstance(filter_, str | None):
        raise BindingError("`schema`, `table` and `filter` must be strings")
    if given.get("select"):
        raise BindingError("Error parsing `select` params: column selection is not supported here")
    try:
        conditions = parse_filter(filter_ or "")
    except FilterError as error:
        raise BindingError(f"Error parsing `filter` params: {error}") from error
    return Binding(next(_ids), given, event if event in EVENTS else "*", schema, table, conditions)


async def check_binding(binding: Binding, caller: Caller, stack: Stack) -> None:
    """Refuse a binding that could never deliver: no such published table, column or comparison.

    Raises `BindingError`.
    """
    try:
        async with stack.admin.connection() as connection:
            tables = await load_tables(connection, await published(connection, binding.schema, binding.table))
        if not tables:
            raise BindingError(
                "Unable to subscribe to changes with given parameters. Please check Realtime is enabled"
                f" for the given connect parameters: [{binding}]"
            )
        for table in tables.values():
            readable = {column.name for column in table.readable(caller.role)}
            for name in (condition.column for condition in binding.conditions):
                if name not in readable:
                    raise BindingError(_exception(binding, f"invalid column for filter {name}"))
            if binding.conditions:
                await check_conditions(stack.authenticator, caller, table, binding.conditions)
    except psycopg.Error as error:
        raise BindingError(_exception(binding, str(error).split("\n", 1)[0])) from error


def _exception(binding: Binding, message: str) -> str:
    return (
        "Unable to subscribe to changes with given parameters. An exception happened so please check"
        f" your connect parameters: [{binding}]. Exception: {message}"
    )
