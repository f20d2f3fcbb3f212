"""A plan as SQL: composed of known identifiers, fixed words and parameters, never of text.

Shapes follow PostgREST's: an embed is a lateral subquery, a to-one becomes `row_to_json`, a to-many
`json_agg`, so that Postgres writes the answer's JSON itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg.sql import SQL, Composable, Composed, Identifier, Placeholder

from soundscape.local.rest.plan import Column, Embed, Order, Presence, Read, Selected, Test, Where
from soundscape.local.rest.schema_cache import Name

_OPERATORS = {
    "eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "like": "like", "ilike": "ilike",
    "match": "~", "imatch": "~*", "cs": "@>", "cd": "<@", "ov": "&&", "sl": "<<", "sr": ">>", "nxr": "&<",
    "nxl": "&>", "adj": "-|-", "isdistinct": "is distinct from",
}  # fmt: skip
_IS = {
    "null": "is null", "not_null": "is not null", "true": "is true", "false": "is false",
    "unknown": "is unknown",
}  # fmt: skip
_TEXT_SEARCH = {
    "fts": "to_tsquery", "plfts": "plainto_tsquery", "phfts": "phraseto_tsquery",
    "wfts": "websearch_to_tsquery",
}  # fmt: skip

OPERATORS = {name: SQL(word) for name, word in _OPERATORS.items()}
IS = {name: SQL(word) for name, word in _IS.items()}
TEXT_SEARCH = {name: SQL(word) for name, word in _TEXT_SEARCH.items()}
AGGREGATES = {name: SQL(name) for name in ("sum", "avg", "count", "max", "min")}
COMMA = SQL(", ")
EMPTY = SQL("")


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
        outputs = [part for item in node.selected for part in self._selected(node, item)]
        groups = [
            SQL("{}").format(index + 1)
            for index, item in enumerate(_expanded(node) if node.aggregated else ())
            if not item.aggregate
        ]
        joins: list[Composable] = []
        for embed in node.embeds:
            if not embed.is_empty:
                embedded = self._embedded(embed)
                if node.aggregated:
                    groups += [SQL("{}").format(len(outputs) + offset + 1) for offset in range(len(embedded))]
                outputs += embedded
            if embed.item.inner or not embed.is_empty:
                joins.append(self._join(embed))
        conditions = [*joined, *(self.where(where) for where in node.where)]
        return Composed(
            [
                SQL("select {} from {} as {}").format(COMMA.join(outputs), source, Identifier(node.place)),
                *joins,
                self.conditions(conditions),
                SQL(" group by {}").format(COMMA.join(groups)) if groups else EMPTY,
                SQL(" order by {}").format(COMMA.join(map(self._order, node.order))) if node.order else EMPTY,
                SQL(" limit {}::bigint").format(self.value(node.limit)) if node.limit is not None else EMPTY,
                SQL(" offset {}::bigint").format(self.value(node.offset)) if node.offset else EMPTY,
            ]
        )

    def count(self, node: Read, source: Composable, joined: Iterable[Composable] = ()) -> Composed:
        """The rows `read` would find without limits: `select 1 …`, an inner embed as `exists`."""
        conditions = [*joined, *(self.where(where) for where in node.where)]
        conditions += [self._exists(embed) for embed in node.embeds if embed.item.inner]
        head = SQL("select 1 from {} as {}").format(source, Identifier(node.place))
        return Composed([head, self.conditions(conditions)])

    def conditions(self, conditions: list[Composable]) -> Composable:
        return SQL(" where {}").format(SQL(" and ").join(conditions)) if conditions else EMPTY

    # -- columns ---------------------------------------------------------------------------------

    def column(self, column: Column) -> Composable:
        plain: Composable = Identifier(column.place, column.name)
        if not column.path:
            return plain
        steps: list[Composable] = [plain if column.is_json else SQL("to_jsonb({})").format(plain)]
        for step in column.path:
            arrow = SQL(" ->> ") if step.as_text else SQL(" -> ")
            key = SQL("{}::int") if isinstance(step.key, int) else SQL("{}::text")
            steps += [arrow, key.format(self.value(step.key))]
        return SQL("({})").format(Composed(steps))

    def _selected(self, node: Read, item: Selected) -> list[Composable]:
        if item.column is None and item.aggregate is None:
            if not node.aggregated:
                return [SQL("{}.*").format(Identifier(node.place))]
            return [Identifier(node.place, name) for name in node.table.columns]
        expression: Composable = SQL("*") if item.column is None else self.column(item.column)
        if item.cast:
            expression = _cast(expression, item.cast)
        if item.aggregate:
            expression = SQL("{}({})").format(AGGREGATES[item.aggregate], expression)
        if item.aggregate_cast:
            expression = _cast(expression, item.aggregate_cast)
        if item.alias:
            expression = SQL("{} as {}").format(expression, Identifier(item.alias))
        return [expression]

    def _order(self, order: Order) -> Composable:
        expression = self.column(order.column)
        if order.embed is not None:
            source, joined = self._source(order.embed)
            conditions = [*joined, *(self.where(where) for where in order.embed.read.where)]
            expression = SQL("(select {} from {} as {}{})").format(
                expression, source, Identifier(order.embed.read.place), self.conditions(conditions)
            )
        nulls = {None: EMPTY, "first": SQL(" nulls first"), "last": SQL(" nulls last")}[order.term.nulls]
        direction = SQL(" desc") if order.term.descending else SQL(" asc")
        return Composed([expression, direction, nulls])

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
            return SQL("{} {}").format(field, IS[value])
        if operator in TEXT_SEARCH:
            configuration: Composable = EMPTY
            if comparison.configuration:
                configuration = SQL("{}::regconfig, ").format(self.value(comparison.configuration))
            if not test.is_tsvector:
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
        target = Identifier(*link.target)
        if link.junction is None:
            return target, [_equal(embed.parent, here, place, there) for here, there in link.columns]
        via = f"{place}_via"
        source = SQL("{} as {}, {}").format(Identifier(*link.junction.table), Identifier(via), target)
        near = [_equal(embed.parent, there, via, here) for here, there in link.junction.source_columns]
        far = [_equal(via, here, place, there) for here, there in link.junction.target_columns]
        return source, [*near, *far]

    def _exists(self, embed: Embed) -> Composable:
        source, joined = self._source(embed)
        return SQL("exists ({})").format(self.count(embed.read, source, joined))

    def _join(self, embed: Embed) -> Composable:
        source, joined = self._source(embed)
        inner, lateral = self.read(embed.read, source, joined), Identifier(embed.lateral)
        kind = SQL(" inner") if embed.item.inner else SQL(" left")
        if embed.relationship.to_one:
            return SQL("{} join lateral ({}) as {} on true").format(kind, inner, lateral)
        # The count tells an embed without rows from one whose rows hold nothing.
        columns: list[Composable] = [SQL("count(*) as pgrst_count")]
        if embed.item.spread:
            columns += [
                SQL("json_agg({}) as {}").format(Identifier("pgrst_row", name), Identifier(name))
                for name in output_names(embed.read)
            ]
        elif not embed.is_empty:
            columns.append(SQL("json_agg(pgrst_row) as pgrst_rows"))
        condition = SQL("{}.pgrst_count > 0").format(lateral) if embed.item.inner else SQL("true")
        return SQL("{} join lateral (select {} from ({}) as pgrst_row) as {} on {}").format(
            kind, COMMA.join(columns), inner, lateral, condition
        )

    def _embedded(self, embed: Embed) -> list[Composable]:
        """What an embed adds to its parent's select list."""
        if embed.item.spread:
            wanted = SQL("{} as {}") if embed.relationship.to_one else SQL("coalesce({}, '[]') as {}")
            return [
                wanted.format(Identifier(embed.lateral, name), Identifier(name))
                for name in output_names(embed.read)
            ]
        key = Identifier(embed.item.key)
        if embed.relationship.to_one:
            return [SQL("row_to_json({}.*) as {}").format(Identifier(embed.lateral), key)]
        return [SQL("coalesce({}, '[]') as {}").format(Identifier(embed.lateral, "pgrst_rows"), key)]


def output_names(node: Read) -> list[str]:
    """The keys of this node's rows in the answer."""
    names = [_name(item) for item in _expanded(node)]
    for embed in node.embeds:
        if not embed.is_empty:
            names += output_names(embed.read) if embed.item.spread else [embed.item.key]
    return names


def _expanded(node: Read) -> list[Selected]:
    """The select list with `*` spelled out."""
    found: list[Selected] = []
    for item in node.selected:
        if item.column is None and item.aggregate is None:
            found += [Selected(Column(node.place, name)) for name in node.table.columns]
        else:
            found.append(item)
    return found


def _name(item: Selected) -> str:
    return item.alias or (item.column.name if item.column else "count")


def _cast(expression: Composable, type_name: Name) -> Composable:
    return SQL("cast({} as {})").format(expression, Identifier(*type_name))


def _equal(left: str, left_column: str, right: str, right_column: str) -> Composable:
    return SQL("{} = {}").format(Identifier(left, left_column), Identifier(right, right_column))
