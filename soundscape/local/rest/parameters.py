"""The parameters of a URL, told apart by their names: select, order, limits, logic, filters, arguments."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl

from soundscape.local.rest.errors import refusal
from soundscape.local.rest.grammar import has_operator, read
from soundscape.local.rest.syntax import Comparison, Query

MAX_PARAMETERS = 500


def split_query_string(raw: bytes) -> list[tuple[str, str]]:
    """Percent-decoded pairs in the order they came. Raises PGRST100 where they are not UTF-8."""
    try:
        text = raw.decode()
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError as error:
        raise refusal("PGRST100", '"failed to parse the query string"', details=str(error)) from error


def parse_query(pairs: Iterable[tuple[str, str]], *, is_call: bool = False) -> Query:
    """The tree of a query string. With `is_call`, a parameter without an operator is an argument."""
    query = Query()
    for key, value in pairs:
        names, field = read("target", key)
        if key == "select":
            query.select = read("select", value)
        elif key == "columns":
            query.columns = read("names", value)
        elif key == "on_conflict":
            query.on_conflict = read("names", value)
        elif field.name == "order":
            query.order[names] = read("order", value)
        elif field.name == "limit":
            query.limit[names] = _number(field.name, value)
        elif field.name == "offset":
            query.offset[names] = _number(field.name, value)
        elif field.name in ("and", "or"):
            tree = read("logic", f"{'not.' if 'not' in names else ''}{field.name}{value}")
            query.conditions.append((tuple(name for name in names if name != "not"), tree))
        elif is_call and not has_operator(value):
            query.arguments[key] = value
        else:
            negated, (operator, operand, *extra) = read("filter", value)
            query.conditions.append((names, Comparison(field, operator, operand, negated, *extra)))
    return query


def _number(name: str, text: str) -> int:
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 18:
        place = f'"failed to parse {name} ({text})" (line 1, column 1)'
        raise refusal("PGRST100", place, details="expecting digit")
    if int(text) < 0:
        raise refusal("PGRST103", details=f"{name.capitalize()} should be greater than or equal to zero.")
    return int(text)
