"""A plan as SQL: composed of known identifiers, fixed words and parameters, never of text.

Shapes follow PostgREST's: an embed is a lateral subquery, a to-one becomes `row_to_json`, a to-many
`json_agg`, so that Postgres writes the answer's JSON itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg.sql import SQL, Composable, Composed, Placeholder

from soundscape.local.rest.plan import Column, Embed, Order, Presence, Read, Selected, Test, Where
from soundscape.local.stack import identifier

_OPERATORS = {
    "eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "like": "like", "ilike": "ilike",
    "match": "~", "imatch": "~*", "cs": "@>", "cd": "<@", "ov": "&&", "sl": "<<", "sr": ">>", "nxr": "&<",
    "nxl": "&>", "adj": "-|-", "isdistinct": "is distinct from",
}  # fmt: skip
_TEXT_SEARCH = {
    "fts": "to_tsquery", "plfts": "plainto_tsquery", "phfts": "phraseto_tsquery",
    "wfts": "websearch_to_tsquery",
}  # fmt: skip

OPERATORS = {name: SQL(word) for name, word in _OPERATORS.items()}
IS = {name: SQL(name.replace("_", " ")) for name in ("null", "not_null", "true", "false", "unknown")}
TEXT_SEARCH = {name: SQL(word) for name, word in _TEXT_SEARCH.items()}
COMMA = SQL(", ")
EMPTY: Composable = SQL("")


def array_literal(values: Iterable[str]) -> str:
    """Postgres's text form of an array; as a parameter of unknown type it takes the column's own."""
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return "{" + ",".join(quoted) + "}"


class Composer:
    """Composes one statement and gathers its parameters."""

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}

    def value(self, value: Any) -> Composable:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return Placeholder(name)

    # -- reads -----------------------------------------------------------------------------------

    def read(self, node: Read, source: Composable, joined: Iterable[Composable] = ()) -> Composed:
        """`select … from source as place …`; `joined` ties the rows to the query around it."""
        outputs = [self._selected(node, item) for item in node.selected]
        joins: list[Composable] = []
        for embed in node.embeds:
            outputs += self._embedded(embed)
            if embed.item.inner or not embed.is_empty:
                joins.append(self._join(embed))
        parts = [
            SQL("select {} from {} as {}").format(COMMA.join(outputs), source, identifier(node.place)),
            *joins,
            self.conditions(node.where, joined),
        ]
        if node.order:
            parts.append(SQL(" order by {}").format(COMMA.join(map(self._order, node.order))))
        if node.limit is not None:
            parts.append(SQL(" limit {}::bigint").format(self.value(node.limit)))
        if node.offset:
            parts.append(SQL(" offset {}::bigint").format(self.value(node.offset)))
        return Composed(parts)

    def count(self, node: Read, source: Composable, joined: Iterable[Composable] = ()) -> Composed:
        """The rows `read` would find without limits: `select 1 …`, an inner embed as `exists`."""
        inner = [Presence(embed, present=True) for embed in node.embeds if embed.item.inner]
        head = SQL("select 1 from {} as {}").format(source, identifier(node.place))
        return Composed([head, self.conditions([*node.where, *inner], joined)])

    def conditions(self, where: Iterable[Where], joined: Iterable[Composable] = ()) -> Composable:
        conditions = [*joined, *map(self.where, where)]
        return SQL(" where {}").format(SQL(" and ").join(conditions)) if conditions else EMPTY

    # -- columns ---------------------------------------------------------------------------------

    def column(self, column: Column) -> Composable:
        plain: Composable = identifier(column.place, column.name)
        if not column.path:
            return plain
        if column.type not in ("json", "jsonb"):
            plain = SQL("to_jsonb({})").format(plain)
        steps = [plain]
        for step in column.path:
            arrow = SQL(" ->> ") if step.as_text else SQL(" -> ")
            key = SQL("{}::int") if isinstance(step.key, int) else SQL("{}::text")
            steps += [arrow, key.format(self.value(step.key))]
        return SQL("({})").format(Composed(steps))

    def _selected(self, node: Read, item: Selected) -> Composable:
        if item.column is None:
            return SQL("{}.*").format(identifier(node.place))
        expression = self.column(item.column)
        if item.cast:
            expression = SQL("cast({} as {})").format(expression, identifier(*item.cast))
        return SQL("{} as {}").format(expression, identifier(item.alias)) if item.alias else expression

    def _order(self, order: Order) -> Composable:
        expression = self.column(order.column)
        if order.embed is not None:
            source, joined = self._source(order.embed)
            read = order.embed.read
            expression = SQL("(select {} from {} as {}{})").format(
                expression, source, identifier(read.place), self.conditions(read.where, joined)
            )
        nulls = {None: EMPTY, "first": SQL(" nulls first"), "last": SQL(" nulls last")}[order.term.nulls]
        return Composed([expression, SQL(" desc") if order.term.descending else SQL(" asc"), nulls])

    # -- conditions ------------------------------------------------------------------------------

    def where(self, where: Where) -> Composable:
        if isinstance(where, Test):
            test = self._test(where)
            return SQL("not ({})").format(test) if where.comparison.negated else test
        if isinstance(where, Presence):
            exists = self._exists(where.embed)
            return exists if where.present else SQL("not {}").format(exists)
        word = SQL(" and ") if where.operator == "and" else SQL(" or ")
        terms = SQL("({})").format(word.join(map(self.where, where.terms)))
        return SQL("not {}").format(terms) if where.negated else terms

    def _test(self, test: Test) -> Composable:
        comparison, field = test.comparison, self.column(test.column)
        operator, value = comparison.operator, comparison.value
        if operator == "in":
            values: Iterable[str] = () if value == ("",) else value
            return SQL("{} = any({})").format(field, self.value(array_literal(values)))
        assert isinstance(value, str)
        if operator == "is":
            return SQL("{} is {}").format(field, IS[value])
        if operator in TEXT_SEARCH:
            configuration: Composable = EMPTY
            if comparison.configuration:
                configuration = SQL("{}::regconfig, ").format(self.value(comparison.configuration))
            if test.column.type != "tsvector":
                field = SQL("to_tsvector({}{})").format(configuration, field)
            return SQL("{} @@ {}({}{})").format(
                field, TEXT_SEARCH[operator], configuration, self.value(value)
            )
        if operator in ("like", "ilike"):
            value = value.replace("*", "%")
        operand = self.value(value)
        if comparison.quantifier:
            word = SQL("any({})") if comparison.quantifier == "any" else SQL("all({})")
            operand = word.format(operand)
        return SQL("{} {} {}").format(field, OPERATORS[operator], operand)

    # -- embeds ----------------------------------------------------------------------------------

    def _source(self, embed: Embed) -> tuple[Composable, list[Composable]]:
        """What an embed reads from, to be followed by its alias, and how it hangs on its parent."""
        link, place = embed.relationship, embed.read.place
        target = identifier(*link.target)
        if link.junction is None:
            return target, [_equal(embed.parent, here, place, there) for here, there in link.columns]
        via = f"{place}_via"
        source = SQL("{} as {}, {}").format(identifier(*link.junction.table), identifier(via), target)
        near = [_equal(embed.parent, there, via, here) for here, there in link.junction.source_columns]
        far = [_equal(via, here, place, there) for here, there in link.junction.target_columns]
        return source, [*near, *far]

    def _exists(self, embed: Embed) -> Composable:
        source, joined = self._source(embed)
        return SQL("exists ({})").format(self.count(embed.read, source, joined))

    def _join(self, embed: Embed) -> Composable:
        source, joined = self._source(embed)
        inner, lateral = self.read(embed.read, source, joined), identifier(embed.lateral)
        kind = SQL(" inner") if embed.item.inner else SQL(" left")
        if embed.relationship.to_one:
            return SQL("{} join lateral ({}) as {} on true").format(kind, inner, lateral)
        # The count tells an embed without rows from one whose rows hold nothing.
        columns: list[Composable] = [SQL("count(*) as pgrst_count")]
        if embed.item.spread:
            columns += [
                SQL("json_agg({}) as {}").format(identifier("pgrst_row", name), identifier(name))
                for name in embed.read.names
            ]
        elif not embed.is_empty:
            columns.append(SQL("json_agg(pgrst_row) as pgrst_rows"))
        condition = SQL("{}.pgrst_count > 0").format(lateral) if embed.item.inner else SQL("true")
        return SQL("{} join lateral (select {} from ({}) as pgrst_row) as {} on {}").format(
            kind, COMMA.join(columns), inner, lateral, condition
        )

    def _embedded(self, embed: Embed) -> list[Composable]:
        """What an embed adds to its parent's select list."""
        if embed.is_empty:
            return []
        many = SQL("coalesce({}, '[]') as {}")
        if embed.item.spread:
            wanted = SQL("{} as {}") if embed.relationship.to_one else many
            return [
                wanted.format(identifier(embed.lateral, name), identifier(name)) for name in embed.read.names
            ]
        key = identifier(embed.item.key)
        if embed.relationship.to_one:
            return [SQL("row_to_json({}.*) as {}").format(identifier(embed.lateral), key)]
        return [many.format(identifier(embed.lateral, "pgrst_rows"), key)]


def _equal(left: str, left_column: str, right: str, right_column: str) -> Composable:
    return SQL("{} = {}").format(identifier(left, left_column), identifier(right, right_column))
