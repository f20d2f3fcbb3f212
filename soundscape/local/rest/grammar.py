"""PostgREST's query language, read by recursive descent into the tree of `syntax`.

The grammar is that of PostgREST's documentation ("Tables and Views", "Resource Embedding"). Nothing
here knows a database; every text either becomes a tree or a PGRST100 that says where it stopped.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

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

AGGREGATES = ("sum", "avg", "count", "max", "min")
QUANTIFIED = ("eq", "gte", "gt", "lte", "lt", "like", "ilike", "match", "imatch")
SIMPLE = ("neq", "cs", "cd", "ov", "sl", "sr", "nxr", "nxl", "adj", "isdistinct")
TEXT_SEARCH = ("fts", "plfts", "phfts", "wfts")
IS_VALUES = ("null", "not_null", "true", "false", "unknown")

OPERATOR_PREFIX = re.compile(
    r"(not\.)?(is|in|" + "|".join((*QUANTIFIED, *SIMPLE, *TEXT_SEARCH)) + r")(\([^()]*\))?\."
)
_CAST = re.compile(r"[\w $]+")
_WORD = re.compile(r"\w+")
_ARRAY = re.compile(r"\{[^{}]*\}")
_PLAIN_ELEMENT = re.compile(r"[^,)]*")


class Grammar(Reader):
    """The sentences of the language: select items, conditions, order terms."""

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
        if not self.at_name():
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
