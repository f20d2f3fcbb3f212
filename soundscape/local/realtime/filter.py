"""The filter of a `postgres_changes` binding: `column=op.value`, several joined by commas.

Grammar as Supabase Realtime reads it: `not.` negates, a value in double quotes may hold commas and
parentheses, `in` takes a parenthesised list of at most 100 values, `is` a keyword.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import sql

INFIX = {
    "eq": sql.SQL("="), "neq": sql.SQL("<>"), "lt": sql.SQL("<"), "lte": sql.SQL("<="), "gt": sql.SQL(">"),
    "gte": sql.SQL(">="), "like": sql.SQL("like"), "ilike": sql.SQL("ilike"), "match": sql.SQL("~"),
    "imatch": sql.SQL("~*"), "isdistinct": sql.SQL("is distinct from"),
}  # fmt: skip
KEYWORDS = {word: sql.SQL(word) for word in ("null", "true", "false", "unknown")}
MAX_IN_VALUES = 100

_QUOTED = r'"(?:\\.|[^"\\])*"'
# Up to a comma outside quotes, which open where a value may begin, and outside parentheses.
_PART = re.compile(rf"(?:(?<=[.(,]){_QUOTED}|\((?:{_QUOTED}|[^()\"])*\)|[^,])*", re.DOTALL)


class FilterError(Exception):
    """A filter that cannot be read; the message goes to the client."""


@dataclass(frozen=True)
class Condition:
    """One `column op value`; the value of `in` is an array in Postgres' syntax."""

    column: str
    operator: str
    value: str
    negated: bool = False

    @property
    def parameters(self) -> tuple[str, ...]:
        """What `as_sql` leaves to be bound."""
        return () if self.operator == "is" else (self.value,)

    def as_sql(self, operand: sql.Composable, type_name: sql.Composable) -> sql.Composable:
        """The condition on `operand`, which has the SQL type `type_name`."""
        if self.operator == "in":
            found = sql.SQL("{} = any (%s::{}[])").format(operand, type_name)
        elif self.operator == "is":
            found = sql.SQL("{} is {}").format(operand, KEYWORDS[self.value])
        else:
            found = sql.SQL("{} {} %s::{}").format(operand, INFIX[self.operator], type_name)
        return sql.SQL("not ({})").format(found) if self.negated else found


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
    if not equals or not dot or operator not in (*INFIX, "in", "is"):
        raise FilterError(str([column, operator, value] if equals else [part]))
    if operator == "is":
        if value not in KEYWORDS:
            raise FilterError("invalid value for is filter: must be null, true, false, or unknown")
    elif operator == "in":
        if not (len(value) >= 2 and value[0] == "(" and value[-1] == ")"):
            raise FilterError("`in` filter value must be wrapped by parentheses")
        if len(list(_parts(value[1:-1]))) > MAX_IN_VALUES:
            raise FilterError(f"too many values for `in` filter. Maximum {MAX_IN_VALUES}")
        value = "{" + value[1:-1] + "}"
    elif re.fullmatch(_QUOTED, value, re.DOTALL):
        value = re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
    return Condition(column, operator, value, negated=rest.startswith("not."))
