"""The filter of a `postgres_changes` entry: `column=op.value`, several joined by commas.

Grammar as Supabase Realtime reads it: `not.` negates, a value in double quotes may hold commas and
parentheses, `in` takes a parenthesised list of at most 100 values, `is` a keyword. What a condition
means is said in SQL, by `realtime.seen`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

COMPARISONS = ("eq", "neq", "lt", "lte", "gt", "gte", "like", "ilike", "match", "imatch", "isdistinct")
KEYWORDS = ("null", "true", "false", "unknown")
MAX_IN_VALUES = 100

_QUOTED = r'"(?:\\.|[^"\\])*"'
# Up to a comma outside quotes, which open where a value may begin, and outside parentheses.
_PART = re.compile(rf"(?:(?<=[.(,]){_QUOTED}|\((?:{_QUOTED}|[^()\"])*\)|[^,])*", re.DOTALL)


class FilterError(Exception):
    """A filter that cannot be read; the message goes to the client."""


class Condition(NamedTuple):
    """One `column op value`; the value of `in` is an array in Postgres' syntax."""

    column: str
    operator: str
    value: str
    negated: bool = False


def parse_filter(text: str) -> tuple[Condition, ...]:
    """The conditions, all of which must hold. Raises `FilterError`."""
    if "\0" in text:
        raise FilterError("filter must not contain a NUL character")
    return tuple(map(_condition, _parts(text))) if text.strip() else ()


def _parts(text: str) -> Iterator[str]:
    """What stands between the commas that separate conditions, or the values of a list."""
    at = 0
    while at <= len(text):
        found = _PART.match(text, at)
        assert found is not None, "matches nothing at the least"
        yield found[0].strip()
        at = found.end() + 1


def _condition(part: str) -> Condition:
    if not part:
        raise FilterError("filter must not contain empty segments (check for extra commas)")
    column, equals, rest = part.partition("=")
    operator, dot, value = rest.removeprefix("not.").partition(".")
    if not equals or not dot or operator not in (*COMPARISONS, "in", "is"):
        raise FilterError(str([column, operator, value] if equals else [part]))
    if operator == "is" and value not in KEYWORDS:
        raise FilterError("invalid value for is filter: must be null, true, false, or unknown")
    if operator == "in":
        if not (len(value) >= 2 and value[0] == "(" and value[-1] == ")"):
            raise FilterError("`in` filter value must be wrapped by parentheses")
        if len(list(_parts(value[1:-1]))) > MAX_IN_VALUES:
            raise FilterError(f"too many values for `in` filter. Maximum {MAX_IN_VALUES}")
        value = "{" + value[1:-1] + "}"
    elif re.fullmatch(_QUOTED, value, re.DOTALL):
        value = re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
    return Condition(column, operator, value, negated=rest.startswith("not."))
