"""PostgREST's query language, read by recursive descent into the tree of `syntax`.

The grammar is that of PostgREST's documentation ("Tables and Views", "Resource Embedding"). Nothing
here knows a database; every text either becomes a tree or a PGRST100 that says where it stopped.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from soundscape.local.rest.errors import refusal
from soundscape.local.rest.reader import Reader
from soundscape.local.rest.syntax import (
    ColumnItem,
    Comparison,
    Condition,
    EmbedItem,
    Field,
    Logic,
    OrderTerm,
    SelectItem,
)

QUANTIFIED = ("eq", "gte", "gt", "lte", "lt", "like", "ilike", "match", "imatch")
SIMPLE = ("neq", "cs", "cd", "ov", "sl", "sr", "nxr", "nxl", "adj", "isdistinct")
TEXT_SEARCH = ("fts", "plfts", "phfts", "wfts")
IS_VALUES = ("null", "not_null", "true", "false", "unknown")

OPERATOR_PREFIX = re.compile(
    r"(not\.)?(is|in|" + "|".join((*QUANTIFIED, *SIMPLE, *TEXT_SEARCH)) + r")(\([^()]*\))?\."
)
_AGGREGATE = re.compile(r"""count\(\)|(?:"[^"]*"|[^,()"])*\.(?:sum|avg|count|max|min)\(\)""")
_CAST = re.compile(r"[\w $]+")
_WORD = re.compile(r"\w+")
_ARRAY = re.compile(r"\{[^{}]*\}")
_PLAIN_ELEMENT = re.compile(r"[^,)]*")
_LOGIC = re.compile(r"(not\.)?(and|or)[ \t]*(?=\()")
_DIRECTION = re.compile(r"(?:\.(asc|desc))?(?:\.nulls(first|last))?[ \t]*")


class Grammar(Reader):
    """The sentences of the language: select items, conditions, order terms."""

    # -- select ----------------------------------------------------------------------------------

    def select_items(self) -> tuple[SelectItem, ...]:
        self.space()
        return () if self.ends(")") else self.comma_list(self.select_item)

    def select_item(self) -> SelectItem:
        item = self.either(self.embed) or self.column()
        self.space()
        if not self.ends(",", ")"):
            self.fail('",", ")" or end of input')
        return item

    def embed(self) -> EmbedItem | None:
        spread = self.accept("...")
        alias = None if spread else self.either(self.alias)
        self.space()
        if not spread and not self.at_name():
            return None
        name, hint, inner = self.name(), None, False
        while self.accept("!"):
            word = self.name()
            inner = inner or word == "inner"
            hint = word if word not in ("inner", "left") else hint
        if not self.sees("(") or (name == "count" and not spread):
            if spread or hint or inner:
                self.fail('"("')
            return None
        return EmbedItem(name, self.nested(self.select_items), alias, hint, inner, spread)

    def column(self) -> ColumnItem:
        if self.accept("*"):
            return ColumnItem(Field("*"))
        alias = self.either(self.alias)
        self.space()
        if self.match(_AGGREGATE):
            raise refusal("PGRST123")
        field = self.field()
        return ColumnItem(field, alias, self.word(_CAST, "letter or digit") if self.accept("::") else None)

    # -- conditions ------------------------------------------------------------------------------

    def comparison(self, field: Field, value: Callable[[], str]) -> Comparison:
        """`[not.]operator.value`; `value` reads what may stand for a single value here."""
        negated = self.accept("not.")
        found = OPERATOR_PREFIX.match(self.text, self.at)
        if found is None or found[1]:
            self.fail("operator (eq, gt, ...)")
        operator, inside = found[2], None if found[3] is None else found[3][1:-1].strip()
        quantifier: Literal["any", "all"] | None = None
        if inside is not None:
            quantified = operator in QUANTIFIED and inside in ("any", "all")
            if not quantified and not (operator in TEXT_SEARCH and inside):
                self.fail("operator (eq, gt, ...)")
            quantifier = ("any" if inside == "any" else "all") if quantified else None
        self.at = found.end()
        if operator == "in":
            return Comparison(field, operator, self.value_list(), negated)
        if operator == "is":
            expecting = f"isVal: ({', '.join(IS_VALUES)})"
            word = self.word(_WORD, expecting).lower()
            if word not in IS_VALUES:
                self.fail(expecting)
            return Comparison(field, operator, word, negated)
        configuration = inside if operator in TEXT_SEARCH else None
        return Comparison(field, operator, value(), negated, quantifier, configuration)

    def rest(self) -> str:
        text, self.at = self.text[self.at :], len(self.text)
        return text

    def element(self, *, arrays: bool) -> str:
        """One value inside parentheses: quoted, a `{...}` array where allowed, or up to `,` or `)`."""

        def whole() -> str | None:
            value = self.quoted()
            if value is None and arrays and (found := self.match(_ARRAY)):
                value = found[0]
            return value if self.ends(",", ")") else None

        value = self.either(whole)
        if value is None:
            plain = self.match(_PLAIN_ELEMENT)
            value = plain[0] if plain else ""
        return value

    def value_list(self) -> tuple[str, ...]:
        self.space()
        # Spaces are part of the values.
        return self.nested(lambda: self.comma_list(lambda: self.element(arrays=False), spaced=False))

    def condition(self) -> Condition:
        logic = self.logic()
        if logic is not None:
            return logic
        field = self.field()
        self.expect(".")
        return self.comparison(field, lambda: self.element(arrays=True))

    def logic(self) -> Logic | None:
        found = self.match(_LOGIC)
        if found is None:
            return None
        terms = self.nested(lambda: self.comma_list(self.condition))
        self.space()
        return Logic("and" if found[2] == "and" else "or", terms, negated=bool(found[1]))

    # -- order -----------------------------------------------------------------------------------

    def order_term(self) -> OrderTerm:
        relation = self.either(self.related)
        field = self.nested(self.field) if relation is not None else self.field()
        found = self.match(_DIRECTION)
        if found is None or not self.ends(","):
            self.fail('"asc", "desc", "nullsfirst" or "nullslast"')
        nulls: Literal["first", "last"] | None = None
        if found[2]:
            nulls = "first" if found[2] == "first" else "last"
        return OrderTerm(field, relation, found[1] == "desc", nulls)

    def related(self) -> str | None:
        name = self.name()
        return name if self.sees("(") else None
