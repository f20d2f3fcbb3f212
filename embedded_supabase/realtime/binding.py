"""One `postgres_changes` entry of a channel: the changes that it asks for.

Its filter is `column=op.value`; commas join several. `not.` negates. A value in double quotes may hold commas
and parentheses. `in` takes a list of at most 100 values in parentheses, `is` a keyword. `realtime.seen`
executes it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from embedded_supabase.database import Pool
from embedded_supabase.operators import KEYWORDS, OPERATORS
from embedded_supabase.realtime.authorization import ErrorReply
from embedded_supabase.realtime.pgoutput import Change
from embedded_supabase.realtime.visibility import Condition, count_tables
from embedded_supabase.tokens import Caller

EVENTS = ("INSERT", "UPDATE", "DELETE")
MAX_IN_VALUES = 100

_QUOTED = r'"(?:\\.|[^"\\])*"'
# Up to a comma that is outside quotes and parentheses. Quotes open where a value may begin.
_PART = re.compile(rf"(?:(?<=[.(,]){_QUOTED}|\((?:{_QUOTED}|[^()\"])*\)|[^,])*", re.DOTALL)
_ids = itertools.count(1)


class FilterError(Exception):
    """A filter that cannot be parsed. The client gets the message."""


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
    """Parse a client's entry. Raises `Refused`."""
    schema, table, event = given.get("schema") or "", given.get("table") or "", given.get("event")
    filter_ = given.get("filter") or ""
    if not schema and not table:
        raise ErrorReply(
            "No subscription params provided. Please provide at least a `schema` or `table` to subscribe to"
        )
    if not all(isinstance(text, str) and "\0" not in text for text in (schema, table, filter_)):
        raise ErrorReply("`schema`, `table` and `filter` must be strings")
    if given.get("select"):
        raise ErrorReply("Error parsing `select` params: column selection is not supported here")
    try:
        conditions = parse_filter(filter_)
    except FilterError as error:
        raise ErrorReply(f"Error parsing `filter` params: {error}") from error
    event = str(event).upper()
    return Binding(
        next(_ids), event if event in EVENTS else "*", schema or "public", table or "*", conditions
    )


async def check_binding(binding: Binding, caller: Caller, callers: Pool) -> None:
    """Refuse a binding that can never deliver: its table is not published, or its filter is not valid.

    Raises `Refused`.
    """
    failed = "Unable to subscribe to changes with given parameters."
    filters = [(found.column, found.operator, found.value) for found in binding.conditions]
    where = f"event: {binding.event}, schema: {binding.schema}, table: {binding.table}, filters: {filters}"
    try:
        found = await count_tables(callers, caller, binding.schema, binding.table, binding.conditions)
    except psycopg.Error as error:
        reason, checks = str(error).split("\n", 1)[0], "An exception happened so please check your"
        raise ErrorReply(f"{failed} {checks} connect parameters: [{where}]. Exception: {reason}") from error
    if not found:
        raise ErrorReply(
            f"{failed} Please check Realtime is enabled for the given connect parameters: [{where}]"
        )


def parse_filter(text: str) -> tuple[Condition, ...]:
    """The conditions, all of which must hold. Raises `FilterError`."""
    if "\0" in text:
        raise FilterError("filter must not contain a NUL character")
    return tuple(map(_parse_condition, _split(text))) if text.strip() else ()


def _split(text: str) -> Iterator[str]:
    """Split conditions, or the values of a list, at their commas."""
    at = 0
    while at <= len(text):
        found = _PART.match(text, at)
        assert found is not None, "matches nothing at the least"
        yield found[0].strip()
        at = found.end() + 1


def _parse_condition(part: str) -> Condition:
    if not part:
        raise FilterError("filter must not contain empty segments (check for extra commas)")
    column, equals, rest = part.partition("=")
    operator, dot, value = rest.removeprefix("not.").partition(".")
    if not equals or not dot or operator not in OPERATORS or not OPERATORS[operator].in_realtime:
        raise FilterError(str([column, operator, value] if equals else [part]))
    if operator == "is" and (value not in KEYWORDS or value == "not_null"):
        raise FilterError("invalid value for is filter: must be null, true, false, or unknown")
    if operator == "in":
        if not (len(value) >= 2 and value[0] == "(" and value[-1] == ")"):
            raise FilterError("`in` filter value must be wrapped by parentheses")
        if len(list(_split(value[1:-1]))) > MAX_IN_VALUES:
            raise FilterError(f"too many values for `in` filter. Maximum {MAX_IN_VALUES}")
        value = "{" + value[1:-1] + "}"
    elif re.fullmatch(_QUOTED, value, re.DOTALL):
        value = re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
    return Condition(column, operator, value, negated=rest.startswith("not."))
