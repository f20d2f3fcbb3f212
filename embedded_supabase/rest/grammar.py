"""PostgREST's query language: the rules of `grammar.peg` make the tree of `syntax`.

Every text becomes a tree, or a PGRST100 that says where reading stopped.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from parsimonious.exceptions import ParseError
from parsimonious.grammar import Grammar
from parsimonious.nodes import Node, NodeVisitor

from embedded_supabase.operators import KEYWORDS, OPERATORS
from embedded_supabase.rest import syntax
from embedded_supabase.rest.errors import RestError, refusal

MAX_DEPTH = 30
"""Nested parentheses; more of them could exhaust the interpreter's stack."""

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_RULE_NAMES = {
    "select": "select parameter", "names": "list of columns", "target": "tree path", "logic": "logic tree"
}  # fmt: skip
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@cache
def load_grammar() -> Grammar:
    """The rules of `grammar.peg`, with the names of the operators in the registry."""
    rules = Path(__file__).with_suffix(".peg").read_text()
    for form in ("quantified", "search", "simple"):
        names = [name for name, operator in OPERATORS.items() if operator.form == form]
        rules = rules.replace(f"{{{form}}}", "|".join(names))
    return Grammar(rules.replace("{keyword}", "|".join(KEYWORDS)))


@lru_cache(maxsize=1024)
def read(rule: str, text: str) -> Any:
    """Parse a parameter by a rule. Raises PGRST100 where it does not match."""
    try:
        if rule in ("select", "logic"):
            _check_depth(text)
        return _TREE.visit(load_grammar()[rule].parse(text))
    except ParseError as error:
        here = text[error.pos : error.pos + 1]
        found = f'unexpected "{here}"' if here else "unexpected end of input"
        message = f'"failed to parse {_RULE_NAMES.get(rule, rule)} ({text})" (line 1, column {error.pos + 1})'
        expected = error.expr if isinstance(error.expr, str) else error.expr.name or error.expr
        raise refusal("PGRST100", message, details=f"{found} expecting {expected}") from error


def has_operator(text: str) -> bool:
    """Whether a parameter's value begins like a filter."""
    try:
        load_grammar()["prefix"].match(text)
    except ParseError:
        return False
    return True


def _check_depth(text: str) -> None:
    depth = 0
    for mark in re.finditer(r"[()]", _QUOTED.sub(lambda found: " " * len(found[0]), text)):
        depth += 1 if mark[0] == "(" else -1
        if depth > MAX_DEPTH:
            raise ParseError(text, mark.start(), f"at most {MAX_DEPTH} nested parentheses")


class _Tree(NodeVisitor):  # type: ignore[misc]
    """The tree of each rule's match. An optional part is a list, or an empty text."""

    unwrapped_exceptions = (RestError,)

    def generic_visit(self, node: Node, children: list[Any]) -> Any:
        return children or node.text

    def _only(self, _: Node, children: list[Any]) -> Any:
        return children[0]

    visit_item = visit_column = visit_condition = visit_operator = visit_name = visit_logic = _only

    # -- select ----------------------------------------------------------------------------------

    def visit_select(self, _: Node, children: list[Any]) -> tuple[syntax.ColumnItem | syntax.EmbedItem, ...]:
        return children[1][0] if children[1] else ()

    def visit_items(self, _: Node, children: list[Any]) -> tuple[syntax.ColumnItem | syntax.EmbedItem, ...]:
        return _join(*children)

    def visit_embed(self, _: Node, children: list[Any]) -> syntax.EmbedItem:
        lead, name, hints, _, _, items, _, _ = children
        leads = lead[0][0] if lead else None
        spread = leads == "..."
        named = [hint for hint in hints if hint not in ("inner", "left")]
        return syntax.EmbedItem(
            name,
            items[0] if items else (),
            None if spread else leads,
            named[-1] if named else None,
            "inner" in hints,
            spread,
        )

    def visit_aggregate(self, _: Node, __: list[Any]) -> None:
        raise refusal("PGRST123")

    def visit_star(self, _: Node, __: list[Any]) -> syntax.ColumnItem:
        return syntax.ColumnItem(syntax.Field("*"))

    def visit_named_column(self, _: Node, children: list[Any]) -> syntax.ColumnItem:
        alias, field, cast, _ = children
        return syntax.ColumnItem(field, alias[0] if alias else None, cast[0] if cast else None)

    def visit_alias(self, _: Node, children: list[Any]) -> str:
        return str(children[1])

    visit_hint = visit_cast = visit_alias

    # -- conditions ------------------------------------------------------------------------------

    def visit_junction(self, _: Node, children: list[Any]) -> syntax.Logic:
        negation, connective, _, _, first, others, _, _ = children
        return syntax.Logic(connective, _join(first, others), bool(negation))

    def visit_comparison(self, _: Node, children: list[Any]) -> syntax.Comparison:
        field, _, negation, ((operator, value, *extra),) = children
        return syntax.Comparison(field, operator, value, bool(negation), *extra)

    def visit_filter(self, _: Node, children: list[Any]) -> tuple[bool, tuple[Any, ...]]:
        negation, (test,), _ = children
        return bool(negation), test

    def visit_member(self, _: Node, children: list[Any]) -> tuple[Any, ...]:
        return "in", children[3]

    def visit_values(self, node: Node, _: list[Any]) -> tuple[str, ...]:
        """One pattern reads the list: it can be long."""
        found = node.match.captures("value")
        return tuple(_unquote(value) if _QUOTED.fullmatch(value) else value for value in found)

    def visit_state(self, node: Node, _: list[Any]) -> tuple[Any, ...]:
        return "is", node.text.removeprefix("is.").lower()

    def visit_compared(self, _: Node, children: list[Any]) -> tuple[Any, ...]:
        (operator, *extra), value = children
        return operator, value, *extra

    visit_compared_rest = visit_compared

    def visit_quantified(self, node: Node, _: list[Any]) -> Any:
        return node.match.groups()

    def visit_search(self, node: Node, _: list[Any]) -> tuple[Any, ...]:
        operator, configuration = node.match.groups()
        return operator, None, configuration and configuration.strip()

    visit_simple = visit_quantified

    def visit_element(self, _: Node, children: list[Any]) -> Any:
        return children[0] if isinstance(children[0], str) else children[0][0]

    # -- order -----------------------------------------------------------------------------------

    def visit_order(self, _: Node, children: list[Any]) -> tuple[syntax.OrderTerm, ...]:
        return _join(*children[1:3])

    visit_names = visit_order

    def visit_order_term(self, _: Node, children: list[Any]) -> syntax.OrderTerm:
        (target,), (direction, nulls), _ = children
        relation, field = target if isinstance(target, tuple) else (None, target)
        return syntax.OrderTerm(field, relation, direction == "desc", nulls)

    def visit_related(self, _: Node, children: list[Any]) -> tuple[str, syntax.Field]:
        return children[1], children[3]

    visit_direction = visit_quantified

    # -- words -----------------------------------------------------------------------------------

    def visit_target(self, _: Node, children: list[Any]) -> tuple[syntax.Path, syntax.Field]:
        """The path of embeds, and the field."""
        *path, last = _join(*children[:2])
        return tuple(field.name for field in path), last

    def visit_field(self, _: Node, children: list[Any]) -> syntax.Field:
        return syntax.Field(children[1], tuple(children[2]))

    def visit_step(self, _: Node, children: list[Any]) -> syntax.JsonStep:
        (arrow,), (key,) = children
        return syntax.JsonStep(key, arrow == "->>")

    def visit_index(self, node: Node, _: list[Any]) -> int:
        return int(node.text)

    def visit_word(self, node: Node, _: list[Any]) -> Any:
        return node.text.strip()

    visit_key = visit_type = visit_connective = visit_word

    def visit_quoted(self, node: Node, _: list[Any]) -> str:
        return _unquote(node.text)


_TREE = _Tree()


def _unquote(text: str) -> str:
    return _ESCAPED.sub(r"\1", text[1:-1])


def _join(first: Any, others: Any) -> tuple[Any, ...]:
    """`first (comma other)*`."""
    return (first, *(other for _, other in others))
