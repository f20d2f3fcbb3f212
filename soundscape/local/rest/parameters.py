"""The parameters of a URL, told apart by their names: select, order, limits, logic, filters, arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar
from urllib.parse import parse_qsl

from soundscape.local.rest.errors import refusal
from soundscape.local.rest.grammar import OPERATOR_PREFIX, Grammar
from soundscape.local.rest.syntax import Field, Logic, Path, Query

MAX_PARAMETERS = 500

T = TypeVar("T")


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
        last = key.rpartition(".")[2]
        if key == "select":
            query.select = _whole(value, "select parameter", Grammar.select_items)
        elif key == "columns":
            query.columns = _names(value, "columns parameter")
        elif key == "on_conflict":
            query.on_conflict = _names(value, "on_conflict parameter")
        elif last == "order":
            terms = _whole(value, "order", lambda reader: reader.comma_list(reader.order_term))
            query.order[_path(key)[:-1]] = terms
        elif last == "limit":
            query.limit[_path(key)[:-1]] = _number(last, value)
        elif last == "offset":
            query.offset[_path(key)[:-1]] = _number(last, value)
        elif last in ("and", "or"):
            names = _path(key)[:-1]
            negation = "not." if "not" in names else ""
            tree = _whole(f"{negation}{last}{value}", "logic tree", _logic)
            query.conditions.append((tuple(name for name in names if name != "not"), tree))
        elif is_call and not OPERATOR_PREFIX.match(value):
            query.arguments[key] = value
        else:
            path, field = _whole(key, "tree path", _target)
            reader = Grammar(value, "filter")
            query.conditions.append((path, reader.comparison(field, reader.rest)))
            reader.end()
    return query


def _whole(text: str, what: str, read: Callable[[Grammar], T]) -> T:
    reader = Grammar(text, what)
    result = read(reader)
    reader.end()
    return result


def _logic(reader: Grammar) -> Logic:
    result = reader.logic()
    if result is None:
        reader.fail("logic operator (and, or)")
    return result


def _names(text: str, what: str) -> tuple[str, ...]:
    return _whole(text, what, lambda reader: reader.comma_list(reader.name))


def _path(key: str) -> Path:
    path, last = _whole(key, "tree path", _target)
    return (*path, last.name)


def _target(reader: Grammar) -> tuple[Path, Field]:
    """`embed.column->path` as the embed's path and the field."""
    path: list[str] = []
    while True:
        field = reader.field()
        if not reader.accept("."):
            return tuple(path), field
        path.append(field.name)


def _number(name: str, text: str) -> int:
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 18:
        place = f'"failed to parse {name} ({text})" (line 1, column 1)'
        raise refusal("PGRST100", place, details="expecting digit")
    if int(text) < 0:
        raise refusal("PGRST103", details=f"{name.capitalize()} should be greater than or equal to zero.")
    return int(text)
