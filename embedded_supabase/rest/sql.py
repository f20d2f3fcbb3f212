"""A plan as SQL, composed of quoted identifiers, fixed words and parameters.

As in PostgREST, an embed is a lateral subquery, and Postgres writes the JSON: `row_to_json` for a to-one
embed, `json_agg` for a to-many one. `!inner` becomes `exists`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg.sql import SQL, Composable, Composed, Placeholder

from embedded_supabase.database import quote
from embedded_supabase.operators import OPERATORS
from embedded_supabase.rest.read_plan import Embed, ReadPlan
from embedded_supabase.rest.schema_cache import Name, Pairs
from embedded_supabase.rest.syntax import ColumnItem, Comparison, Condition, Field, Logic, OrderTerm

COMMA = SQL(", ")
EMPTY: Composable = SQL("")


def array_literal(values: Iterable[str]) -> str:
    """Postgres's text form of an array. Without a type, it takes the column's type."""
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return "{" + ",".join(quoted) + "}"


class Statement:
    """A statement and its parameters."""

    query: Composed

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}

    def value(self, value: Any) -> Composable:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return Placeholder(name)

    # -- reads -----------------------------------------------------------------------------------

    def read(self, node: ReadPlan, source: Composable, joined: Iterable[Composable] = ()) -> Composed:
        """`select … from source as alias …`. `joined` are conditions on the query around it."""
        outputs = [self._compose_output(node, item, cast) for item, cast in node.selected]
        shown = [embed for embed in node.embeds if not embed.is_empty]
        for embed in shown:
            outputs += [quote(embed.lateral, name) for name in embed.names]
        parts = [
            SQL("select {} from {} as {}").format(COMMA.join(outputs), source, quote(node.alias)),
            *map(self._join, shown),
            self.conditions(node, joined),
        ]
        if node.order:
            terms = [self._order(node, term) for term in node.order]
            parts.append(SQL(" order by {}").format(COMMA.join(terms)))
        if node.limit is not None:
            parts.append(SQL(" limit {}::bigint").format(self.value(node.limit)))
        if node.offset:
            parts.append(SQL(" offset {}::bigint").format(self.value(node.offset)))
        return Composed(parts)

    def count(self, node: ReadPlan, source: Composable, joined: Iterable[Composable] = ()) -> Composed:
        """`select 1 …` with the rows of `read`, without limits."""
        head = SQL("select 1 from {} as {}").format(source, quote(node.alias))
        return Composed([head, self.conditions(node, joined)])

    def conditions(self, node: ReadPlan, joined: Iterable[Composable] = ()) -> Composable:
        conditions = [*joined, *(self._condition(node, condition) for condition in node.where)]
        conditions += [self._exists(embed) for embed in node.embeds if embed.item.inner]
        return SQL(" where {}").format(SQL(" and ").join(conditions)) if conditions else EMPTY

    # -- columns ---------------------------------------------------------------------------------

    def _column(self, node: ReadPlan, field: Field) -> Composable:
        plain: Composable = quote(node.alias, field.name)
        if not field.path:
            return plain
        if node.table.columns.get(field.name) not in ("json", "jsonb"):
            plain = SQL("to_jsonb({})").format(plain)
        steps = [plain]
        for step in field.path:
            arrow = SQL(" ->> ") if step.as_text else SQL(" -> ")
            key = SQL("{}::int") if isinstance(step.key, int) else SQL("{}::text")
            steps += [arrow, key.format(self.value(step.key))]
        return SQL("({})").format(Composed(steps))

    def _compose_output(self, node: ReadPlan, item: ColumnItem, cast: Name | None) -> Composable:
        if item.field.name == "*":
            return SQL("{}.*").format(quote(node.alias))
        expression = self._column(node, item.field)
        if cast is not None:
            expression = SQL("cast({} as {})").format(expression, quote(*cast))
        return SQL("{} as {}").format(expression, quote(item.key))

    def _order(self, node: ReadPlan, term: OrderTerm) -> Composable:
        embed = node.find_embed(term.relation)
        if embed is None:
            expression = self._column(node, term.field)
        else:
            source, joined = self._source(embed)
            expression = SQL("(select {} from {} as {}{})").format(
                self._column(embed.read, term.field),
                source,
                quote(embed.read.alias),
                self.conditions(embed.read, joined),
            )
        nulls = {None: EMPTY, "first": SQL(" nulls first"), "last": SQL(" nulls last")}[term.nulls]
        return Composed([expression, SQL(" desc") if term.descending else SQL(" asc"), nulls])

    # -- conditions ------------------------------------------------------------------------------

    def _condition(self, node: ReadPlan, condition: Condition) -> Composable:
        negated = condition.negated
        if isinstance(condition, Logic):
            word = SQL(" and ") if condition.operator == "and" else SQL(" or ")
            found: Composable = word.join(self._condition(node, term) for term in condition.terms)
        elif (embed := node.find_tested_embed(condition.field)) is not None:
            found, negated = self._exists(embed), negated != (condition.value == "null")
        else:
            found = self._comparison(node, condition)
        return (SQL("not ({})") if negated else SQL("({})")).format(found)

    def _comparison(self, node: ReadPlan, comparison: Comparison) -> Composable:
        field, operator, value = self._column(node, comparison.field), comparison.operator, comparison.value
        sql, form = SQL(OPERATORS[operator].sql), OPERATORS[operator].form
        if form == "list":
            values: Iterable[str] = () if value == ("",) else value
            return SQL("{} {}({})").format(field, sql, self.value(array_literal(values)))
        assert isinstance(value, str)
        if form == "keyword":
            return SQL("{} {} {}").format(field, sql, SQL(value.replace("_", " ")))
        if form == "search":
            configuration: Composable = EMPTY
            if comparison.configuration:
                configuration = SQL("{}::regconfig, ").format(self.value(comparison.configuration))
            if node.table.columns.get(comparison.field.name) != "tsvector":
                field = SQL("to_tsvector({}{})").format(configuration, field)
            return SQL("{} @@ {}({}{})").format(field, sql, configuration, self.value(value))
        if operator in ("like", "ilike"):
            value = value.replace("*", "%")
        quantified = {None: SQL("{} {} {}"), "any": SQL("{} {} any({})"), "all": SQL("{} {} all({})")}
        return quantified[comparison.quantifier].format(field, sql, self.value(value))

    # -- embeds ----------------------------------------------------------------------------------

    def _source(self, embed: Embed) -> tuple[Composable, list[Composable]]:
        """The source of an embed (its alias must follow), and its join conditions."""
        link, alias = embed.relationship, embed.read.alias
        source: Composable = quote(*link.target)
        if link.via is None:
            return source, _equal(embed.parent, alias, link.near)
        via = f"{alias}_via"
        source = SQL("{} as {}, {}").format(quote(*link.via), quote(via), source)
        return source, [*_equal(embed.parent, via, link.near), *_equal(via, alias, link.far)]

    def _exists(self, embed: Embed) -> Composable:
        source, joined = self._source(embed)
        return SQL("exists ({})").format(self.count(embed.read, source, joined))

    def _join(self, embed: Embed) -> Composable:
        """A lateral subquery with one row: one JSON column, or a column for each spread one."""
        source, joined = self._source(embed)
        row = SQL("row_to_json(pgrst_row)")
        shape = SQL("{}") if embed.relationship.to_one else SQL("coalesce(json_agg({}), '[]')")
        columns = [
            SQL("{} as {}").format(
                shape.format(quote("pgrst_row", name) if embed.item.spread else row), quote(name)
            )
            for name in embed.names
        ]
        return SQL(" left join lateral (select {} from ({}) as pgrst_row) as {} on true").format(
            COMMA.join(columns), self.read(embed.read, source, joined), quote(embed.lateral)
        )


def _equal(left: str, right: str, pairs: Pairs) -> list[Composable]:
    return [SQL("{} = {}").format(quote(left, here), quote(right, there)) for here, there in pairs]
