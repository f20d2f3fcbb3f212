"""PostgREST's query string, read by recursive descent into the tree of `syntax`.

The grammar is that of PostgREST's documentation ("Tables and Views", "Resource Embedding"). Nothing
here knows a database; every text either becomes a tree or a PGRST100 that says where it stopped.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, NoReturn, TypeVar

from soundscape.local.rest.errors import parse_error
from soundscape.local.rest.syntax import (
    ColumnItem,
    Comparison,
    Condition,
    EmbedItem,
    Field,
    JsonStep,
    Logic,
    OrderTerm,
    SelectItem,
)

MAX_DEPTH = 30
"""Parentheses inside parentheses; more would only exhaust somebody's stack."""

AGGREGATES = ("sum", "avg", "count", "max", "min")
QUANTIFIED = ("eq", "gte", "gt", "lte", "lt", "like", "ilike", "match", "imatch")
SIMPLE = ("neq", "cs", "cd", "ov", "sl", "sr", "nxr", "nxl", "adj", "isdistinct")
TEXT_SEARCH = ("fts", "plfts", "phfts", "wfts")
IS_VALUES = ("null", "not_null", "true", "false", "unknown")

OPERATOR_PREFIX = re.compile(
    r"(not\.)?(is|in|" + "|".join((*QUANTIFIED, *SIMPLE, *TEXT_SEARCH)) + r")(\([^()]*\))?\."
)
_NAME = re.compile(r"[\w $]+(?:-(?!>)[\w $]+)*")
_JSON_KEY = re.compile(r"[^(\-:.,>)]+(?:-(?!>)[^(\-:.,>)]+)*")
_JSON_INDEX = re.compile(r"-?[0-9]{1,18}(?=->|::|\.|,|\)|$)")
_CAST = re.compile(r"[\w $]+")
_WORD = re.compile(r"\w+")
_ARRAY = re.compile(r"\{[^{}]*\}")
_PLAIN_ELEMENT = re.compile(r"[^,)]*")

T = TypeVar("T")


class Reader:
    """A text and a place in it."""

    def __init__(self, text: str, what: str) -> None:
        self.text = text
        self.what = what
        self.at = 0
        self.depth = 0

    def fail(self, expecting: str) -> NoReturn:
        here = self.text[self.at : self.at + 1]
        found = f'unexpected "{here}"' if here else "unexpected end of input"
        raise parse_error(
            f'"failed to parse {self.what} ({self.text})" (line 1, column {self.at + 1})',
            f"{found} expecting {expecting}",
        )

    def accept(self, token: str) -> bool:
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.accept(token):
            self.fail(f'"{token}"')

    def match(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        return found[0]

    def space(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1

    def end(self) -> None:
        if self.at < len(self.text):
            self.fail("end of input")

    def either(self, first: Callable[[], T | None]) -> T | None:
        """What `first` reads, or None and the old place when it reads nothing."""
        start = self.at
        result = first()
        if result is None:
            self.at = start
        return result

    def nested(self, inside: Callable[[], T]) -> T:
        """`(`, what `inside` reads, `)`."""
        self.expect("(")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"at most {MAX_DEPTH} nested parentheses")
        result = inside()
        self.expect(")")
        self.depth -= 1
        return result

    def comma_list(self, item: Callable[[], T]) -> tuple[T, ...]:
        items = [item()]
        while self.accept(","):
            items.append(item())
        return tuple(items)

    # -- words -----------------------------------------------------------------------------------

    def quoted(self) -> str | None:
        """`"a, \\"b\\""`: anything, with backslash escapes; None where no closed quote begins here."""
        if not self.text.startswith('"', self.at):
            return None
        value, at = [], self.at + 1
        while at < len(self.text) and self.text[at] != '"':
            if self.text[at] == "\\" and at + 1 < len(self.text):
                at += 1
            value.append(self.text[at])
            at += 1
        if at >= len(self.text):
            return None
        self.at = at + 1
        return "".join(value)

    def name(self) -> str:
        quoted = self.quoted()
        if quoted is not None:
            return quoted
        found = self.match(_NAME)
        if found is None or not found.strip():
            self.fail("field name (* or [a..z0..9_$])")
        return found.strip()

    def field(self) -> Field:
        self.space()
        name, path = self.name(), []
        while self.text.startswith("->", self.at):
            as_text = self.accept("->>") or not self.accept("->")
            index = self.match(_JSON_INDEX)
            if index is not None:
                path.append(JsonStep(int(index), as_text))
                continue
            key = self.quoted()
            if key is None:
                key = self.match(_JSON_KEY)
            if key is None:
                self.fail("any non reserved character different from: .,>()")
            path.append(JsonStep(key.strip(), as_text))
        self.space()
        return Field(name, tuple(path))

    def alias(self) -> str | None:
        def one() -> str | None:
            if not (self.text.startswith('"', self.at) or _NAME.match(self.text, self.at)):
                return None
            name = self.name()
            if self.text.startswith("::", self.at) or not self.accept(":"):
                return None
            return name

        return self.either(one)

    # -- select ----------------------------------------------------------------------------------

    def select_items(self) -> tuple[SelectItem, ...]:
        self.space()
        if self.at == len(self.text) or self.text[self.at] == ")":
            return ()
        return self.comma_list(self.select_item)

    def select_item(self) -> SelectItem:
        self.space()
        item = self.either(self.embed) or self.column()
        self.space()
        if self.at < len(self.text) and self.text[self.at] not in ",)":
            self.fail('",", ")" or end of input')
        return item

    def embed(self) -> EmbedItem | None:
        spread = self.accept("...")
        alias = None if spread else self.alias()
        self.space()
        if not (self.text.startswith('"', self.at) or _NAME.match(self.text, self.at)):
            if spread:
                self.fail("field name (* or [a..z0..9_$])")
            return None
        name = self.name()
        hint, inner = None, False
        for _ in range(2):
            if not self.accept("!"):
                break
            word = self.name()
            if word == "inner":
                inner = True
            elif word != "left":
                hint = word
        if not self.text.startswith("(", self.at) or (name == "count" and not spread):
            if spread or hint or inner:
                self.fail('"("')
            return None
        return EmbedItem(name, self.nested(self.select_items), alias, hint, inner, spread)

    def column(self) -> ColumnItem:
        if self.accept("*"):
            return ColumnItem(Field("*"))
        alias = self.alias()
        self.space()
        if self.accept("count()"):
            return ColumnItem(Field("*"), alias, aggregate="count", aggregate_cast=self.cast())
        field = self.field()
        cast, aggregate, aggregate_cast = self.cast(), None, None
        if self.accept("."):
            aggregate = next((word for word in AGGREGATES if self.accept(f"{word}()")), None)
            if aggregate is None:
                self.fail(", ".join(f'"{word}()"' for word in AGGREGATES))
            aggregate_cast = self.cast()
        return ColumnItem(field, alias, cast, aggregate, aggregate_cast)

    def cast(self) -> str | None:
        if not self.accept("::"):
            return None
        found = self.match(_CAST)
        if found is None or not found.strip():
            self.fail("letter or digit")
        return found.strip()

    # -- conditions ------------------------------------------------------------------------------

    def comparison(self, field: Field, value: Callable[[], str]) -> Comparison:
        """`[not.]operator.value`; `value` reads what may stand for a single value here."""
        negated = self.accept("not.")
        start = self.at
        found = OPERATOR_PREFIX.match(self.text, start)
        if found is None or found[1]:
            self.fail("operator (eq, gt, ...)")
        operator, inside = found[2], (found[3] or "")[1:-1]
        self.at = found.end()
        if operator == "in" and not found[3]:
            return Comparison(field, operator, self.value_list(), negated)
        if operator == "is" and not found[3]:
            word = self.match(_WORD)
            if word is None or word.lower() not in IS_VALUES:
                self.fail("isVal: (null, not_null, true, false, unknown)")
            return Comparison(field, operator, word.lower(), negated)
        if operator in TEXT_SEARCH and (not found[3] or inside.strip()):
            return Comparison(field, operator, value(), negated, configuration=inside.strip() or None)
        if found[3] and not (operator in QUANTIFIED and inside in ("any", "all")):
            self.at = start
            self.fail("operator (eq, gt, ...)")
        quantifier: Literal["any", "all"] | None = None
        if inside:
            quantifier = "any" if inside == "any" else "all"
        return Comparison(field, operator, value(), negated, quantifier)

    def rest(self) -> str:
        text, self.at = self.text[self.at :], len(self.text)
        return text

    def element(self, *, arrays: bool) -> str:
        """One value inside parentheses: quoted, a `{...}` array where allowed, or up to `,` or `)`."""

        def whole() -> str | None:
            value = self.quoted()
            if value is None and arrays:
                value = self.match(_ARRAY)
            return value if self.at == len(self.text) or self.text[self.at] in ",)" else None

        value = self.either(whole)
        return value if value is not None else self.match(_PLAIN_ELEMENT) or ""

    def value_list(self) -> tuple[str, ...]:
        self.space()
        values = self.nested(lambda: self.comma_list(lambda: self.element(arrays=False)))
        self.space()
        return values

    def condition(self) -> Condition:
        self.space()
        logic = self.either(self.logic)
        if logic is not None:
            return logic
        field = self.field()
        self.expect(".")
        return self.comparison(field, lambda: self.element(arrays=True))

    def logic(self) -> Logic | None:
        negated = self.accept("not.")
        operator: Literal["and", "or"] = "and"
        if not self.accept("and"):
            if not self.accept("or"):
                return None
            operator = "or"
        self.space()
        if not self.text.startswith("(", self.at):
            return None

        def term() -> Condition:
            result = self.condition()
            self.space()
            return result

        terms = self.nested(lambda: self.comma_list(term))
        self.space()
        return Logic(operator, terms, negated)

    # -- order -----------------------------------------------------------------------------------

    def order_term(self) -> OrderTerm:
        self.space()
        relation = self.either(self.related)
        field = self.nested(self.field) if relation is not None else self.field()
        descending = self.accept(".desc") or (self.accept(".asc") and False)
        nulls: Literal["first", "last"] | None = None
        if self.accept(".nullsfirst"):
            nulls = "first"
        elif self.accept(".nullslast"):
            nulls = "last"
        self.space()
        if self.at < len(self.text) and self.text[self.at] != ",":
            self.fail('"asc", "desc", "nullsfirst" or "nullslast"')
        return OrderTerm(field, relation, descending, nulls)

    def related(self) -> str | None:
        name = self.name()
        return name if self.text.startswith("(", self.at) else None
