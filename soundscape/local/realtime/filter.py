"""The filter of a `postgres_changes` binding: `column=op.value`, several joined by commas.

Grammar as Supabase Realtime reads it: `not.` negates, a value in double quotes may hold commas and
parentheses, `in` takes a parenthesised list of at most 100 values, `is` a keyword.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from soundscape.local.realtime.cell import parse_array

INFIX = {
    "eq": sql.SQL("="),
    "neq": sql.SQL("<>"),
    "lt": sql.SQL("<"),
    "lte": sql.SQL("<="),
    "gt": sql.SQL(">"),
    "gte": sql.SQL(">="),
    "like": sql.SQL("like"),
    "ilike": sql.SQL("ilike"),
    "match": sql.SQL("~"),
    "imatch": sql.SQL("~*"),
    "isdistinct": sql.SQL("is distinct from"),
}
KEYWORDS = {word: sql.SQL(word) for word in ("null", "true", "false", "unknown")}
OPERATORS = (*INFIX, "in", "is")
MAX_IN_VALUES = 100


class FilterError(Exception):
    """A filter that cannot be read; the message goes to the client."""


@dataclass(frozen=True)
class Condition:
    """One `column op value`. For `in`, `values` holds each; else it holds one."""

    column: str
    operator: str
    values: tuple[str | None, ...]
    negated: bool = False

    @property
    def parameters(self) -> tuple[str | None, ...]:
        """The values that `as_sql` leaves to be bound, in order."""
        return () if self.operator == "is" else self.values

    def as_sql(self, operand: sql.Composable, type_name: sql.Composable) -> sql.Composable:
        """The condition on `operand`, which has the SQL type `type_name`."""
        found: sql.Composable
        bound = sql.SQL("%s::{}").format(type_name)
        if self.operator == "in":
            found = sql.SQL("{} = any (array[{}]::{}[])").format(
                operand, sql.SQL(", ").join([bound] * len(self.values)), type_name
            )
        elif self.operator == "is":
            found = sql.SQL("{} is {}").format(operand, KEYWORDS[str(self.values[0])])
        else:
            found = sql.SQL("{} {} {}").format(operand, INFIX[self.operator], bound)
        return sql.SQL("not ({})").format(found) if self.negated else found


def parse_filter(text: str) -> tuple[Condition, ...]:
    """The conditions, all of which must hold. Raises `FilterError`."""
    if not text.strip():
        return ()
    return tuple(_condition(part) for part in _split(text.strip()))


def _split(text: str) -> list[str]:
    """Parts between commas that lie outside parentheses and quotes.

    A quote opens only where a value may begin: after `.`, `(` or `,`.
    """
    parts, start, depth, quoted, at = [], 0, 0, False, 0
    while at < len(text):
        letter = text[at]
        if quoted:
            at += letter == "\\"
            quoted = letter != '"'
        elif letter == '"':
            quoted = at > 0 and text[at - 1] in ".(,"
        elif letter == "(":
            depth += 1
        elif letter == ")":
            depth = max(0, depth - 1)
        elif letter == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return [*parts, text[start:]]


def _condition(part: str) -> Condition:
    part = part.strip()
    if not part:
        raise FilterError("filter must not contain empty segments (check for extra commas)")
    column, equals, rest = part.partition("=")
    negated = rest.startswith("not.")
    operator, dot, value = rest.removeprefix("not.").partition(".")
    if not equals or not dot or operator not in OPERATORS:
        raise FilterError(str([column, operator, value] if equals else [part]))
    if "\0" in part:
        raise FilterError("filter must not contain a NUL character")
    return Condition(column, operator, _values(operator, value), negated)


def _values(operator: str, value: str) -> tuple[str | None, ...]:
    if operator == "is":
        if value not in KEYWORDS:
            raise FilterError("invalid value for is filter: must be null, true, false, or unknown")
        return (value,)
    if operator != "in":
        return (_unquoted(value),)
    if not (len(value) >= 2 and value[0] == "(" and value[-1] == ")"):
        raise FilterError("`in` filter value must be wrapped by parentheses")
    try:
        values = parse_array("{" + value[1:-1] + "}")
    except ValueError as error:
        raise FilterError(f"malformed list {value}") from error
    if any(isinstance(item, list) for item in values):
        raise FilterError(f"malformed list {value}")
    if len(values) > MAX_IN_VALUES:
        raise FilterError(f"too many values for `in` filter. Maximum {MAX_IN_VALUES}")
    return tuple(values)


def _unquoted(value: str) -> str:
    """What stands between double quotes, backslashes undone; the value itself when it is not so quoted."""
    if not value.startswith('"'):
        return value
    letters, at = [], 1
    while at < len(value) and value[at] != '"':
        at += value[at] == "\\"
        letters.append(value[at : at + 1])
        at += 1
    return "".join(letters) if at == len(value) - 1 else value
