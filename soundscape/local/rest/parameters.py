"""The parameters of a URL, told apart by their names: select, order, limits, logic, filters, arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar
from urllib.parse import parse_qsl

from soundscape.local.rest.errors import out_of_range, parse_error
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
        raise parse_error('"failed to parse the query string"', str(error)) from error


def parse_query(pairs: Iterable[tuple[str, str]], *, is_call: bool = False) -> Query:
    """The tree of a query string. With `is_call`, a parameter without an operator is an argument."""
    query = Query()
    seen: set[str] = set()
    for key, value in pairs:
        if key in ("select", "columns", "on_conflict"):
            if key not in seen:
                _read_reserved(query, key, value)
            seen.add(key)
            continue
        last = key.rpartition(".")[2]
        if last in ("order", "limit", "offset", "and", "or"):
            _read_embeddable(query, key, last, value)
        elif is_call and not OPERATOR_PREFIX.match(value):
            query.arguments.append((key, value))
        else:
            path, field = _target(key)
            reader = Grammar(value, "filter")
            comparison = reader.comparison(field, reader.rest)
            reader.end()
            query.conditions.append((path, comparison))
    return query


def _read_reserved(query: Query, key: str, value: str) -> None:
    if key == "select":
        query.select = _whole(value, "select parameter", lambda reader: reader.select_items())
    elif key == "columns":
        query.columns = _names(value, "columns parameter")
    else:
        query.on_conflict = _names(value, "on_conflict parameter")


def _read_embeddable(query: Query, key: str, last: str, value: str) -> None:
    if last in ("and", "or"):
        names = _path(key)
        negated = "not" in names[:-1]
        path = tuple(name for name in names[:-1] if name != "not")
        text = f"{'not.' if negated else ''}{last}{value}"
        query.conditions.append((path, _whole(text, "logic tree", _logic)))
        return
    path = _path(key)[:-1]
    if last == "order":
        terms = _whole(value, "order", lambda reader: reader.comma_list(reader.order_term))
        query.order.setdefault(path, terms)
        return
    if not value.removeprefix("-").isdecimal() or not value.isascii() or len(value) > 18:
        raise parse_error(f'"failed to parse {last} ({value})" (line 1, column 1)', "expecting digit")
    number = int(value)
    if number < 0:
        name = last.capitalize()
        raise out_of_range(f"{name} should be greater than or equal to zero.")
    (query.limit if last == "limit" else query.offset)[path] = number


def _logic(reader: Grammar) -> Logic:
    result = reader.logic()
    if result is None:
        reader.fail("logic operator (and, or)")
    return result


def _whole(text: str, what: str, read: Callable[[Grammar], T]) -> T:
    reader = Grammar(text, what)
    result = read(reader)
    reader.end()
    return result


def _names(text: str, what: str) -> tuple[str, ...]:
    def one(reader: Grammar) -> str:
        reader.space()
        name = reader.name()
        reader.space()
        return name

    return _whole(text, what, lambda reader: reader.comma_list(lambda: one(reader)))


def _path(key: str) -> Path:
    def names(reader: Grammar) -> Path:
        found = [reader.name()]
        while reader.accept("."):
            found.append(reader.name())
        return tuple(found)

    return _whole(key, "tree path", names)


def _target(key: str) -> tuple[Path, Field]:
    """`embed.column->path` as the embed's path and the field."""

    def parts(reader: Grammar) -> tuple[Path, Field]:
        path: list[str] = []
        while True:
            field = reader.field()
            if not reader.accept("."):
                return tuple(path), field
            path.append(field.name)

    return _whole(key, "tree path", parts)
