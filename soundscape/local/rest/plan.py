"""A parsed query with every name resolved: what to read, from where, joined how.

Unknown and ambiguous names end here, as errors with a hint; what comes out holds only names that
the schema cache knows, so that `sql` has nothing left to decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from soundscape.local.rest.errors import nearest, refusal
from soundscape.local.rest.relationships import find_relationship
from soundscape.local.rest.schema_cache import Name, Relationship, SchemaCache, Table
from soundscape.local.rest.syntax import (
    ColumnItem,
    Comparison,
    Condition,
    EmbedItem,
    Field,
    JsonStep,
    Logic,
    OrderTerm,
    Path,
    Query,
    SelectItem,
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of one place in the query, and the way into its JSON."""

    place: str
    """The alias of the table it is read from."""
    name: str
    path: tuple[JsonStep, ...] = ()
    type: str = ""
    """Below domains; empty for a computed column."""


@dataclass(frozen=True, slots=True)
class Selected:
    column: Column | None
    """None for `*`."""
    alias: str | None = None
    cast: Name | None = None


@dataclass(frozen=True, slots=True)
class Test:
    """A comparison, its field resolved."""

    column: Column
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class Presence:
    """`embed=is.null` and `embed=not.is.null`: whether anything is embedded."""

    embed: Embed
    present: bool


@dataclass(frozen=True, slots=True)
class Tree:
    operator: str
    terms: tuple[Where, ...]
    negated: bool


Where = Test | Presence | Tree


@dataclass(frozen=True, slots=True)
class Order:
    column: Column
    term: OrderTerm
    embed: Embed | None = None
    """Ordering by a column of this to-one embed."""


@dataclass(slots=True)
class Read:
    """One table's part of the answer, with what is embedded in it."""

    table: Table
    place: str
    selected: list[Selected] = field(default_factory=list)
    where: list[Where] = field(default_factory=list)
    order: list[Order] = field(default_factory=list)
    limit: int | None = None
    offset: int = 0
    embeds: list[Embed] = field(default_factory=list)

    def embed(self, key: str) -> Embed | None:
        return next((embed for embed in self.embeds if embed.item.key == key), None)

    def descend(self, path: Path) -> Read:
        """What is embedded at `path`. Raises PGRST108."""
        node = self
        for name in path:
            found = next((it for it in node.embeds if name in (it.item.key, it.item.name)), None)
            if found is None:
                raise not_embedded(name)
            node = found.read
        return node

    def all(self) -> Iterator[Read]:
        """This and everything embedded in it."""
        yield self
        for embed in self.embeds:
            yield from embed.read.all()

    @property
    def names(self) -> list[str]:
        """The keys of the rows in the answer."""
        names: list[str] = []
        for item in self.selected:
            names += self.table.columns if item.column is None else [item.alias or item.column.name]
        for embed in self.embeds:
            if not embed.is_empty:
                names += embed.read.names if embed.item.spread else [embed.item.key]
        return names


@dataclass(slots=True)
class Embed:
    item: EmbedItem
    relationship: Relationship
    parent: str
    """The alias of the table it hangs on."""
    read: Read
    lateral: str
    """The alias of the joined subquery."""

    @property
    def is_empty(self) -> bool:
        """`relation()`: joined for its effect on the rows, absent from the answer."""
        return not self.read.selected and all(embed.is_empty for embed in self.read.embeds)


class Planner:
    """Resolves one request's query against the cache."""

    def __init__(self, cache: SchemaCache, max_rows: int | None) -> None:
        self._cache = cache
        self._max_rows = max_rows
        self._numbers = count(1)

    def read(self, table: Table, query: Query) -> Read:
        """The plan of a read."""
        root = self.shown(table, query)
        root.where += [self.where(root, condition) for path, condition in query.conditions if not path]
        root.limit, root.offset = query.limit.get(()), query.offset.get((), 0)
        if self._max_rows is not None:
            for node in root.all():
                node.limit = self._max_rows if node.limit is None else min(node.limit, self._max_rows)
        return root

    def shown(self, table: Table, query: Query) -> Read:
        """The plan of what a write gives back: without its own conditions and limits."""
        root = self._node(table, table.name, query.select)
        for path, condition in query.conditions:
            if path:
                node = root.descend(path)
                node.where.append(self.where(node, condition))
        for path, terms in query.order.items():
            node = root.descend(path)
            node.order = [self._order(node, term) for term in terms]
        for path in filter(None, query.limit):
            root.descend(path).limit = query.limit[path]
        for path in filter(None, query.offset):
            root.descend(path).offset = query.offset[path]
        return root

    def where(self, node: Read, condition: Condition) -> Where:
        if isinstance(condition, Logic):
            terms = tuple(self.where(node, term) for term in condition.terms)
            return Tree(condition.operator, terms, condition.negated)
        embed = None if condition.field.path else node.embed(condition.field.name)
        if embed is None:
            return Test(self.column(node, condition.field), condition)
        if condition.operator != "is" or condition.value not in ("null", "not_null"):
            allowed = "Only is null or not is null filters are allowed on embedded resources"
            raise refusal("PGRST120", embed.item.key, details=allowed)
        return Presence(embed, (condition.value == "not_null") != condition.negated)

    def column(self, node: Read, wanted: Field) -> Column:
        """Raises 42703: PostgREST leaves unknown columns of a read to Postgres, so the code is Postgres's."""
        table = node.table
        if not table.has(wanted.name):
            before = f'Perhaps you meant to reference the column "{table.name}.'
            hint = nearest(wanted.name, (*table.columns, *table.computed), before, '".')
            raise refusal("42703", table.name, wanted.name, hint=hint)
        return Column(node.place, wanted.name, wanted.path, table.columns.get(wanted.name, ""))

    # -- select ----------------------------------------------------------------------------------

    def _node(self, table: Table, place: str, items: tuple[SelectItem, ...]) -> Read:
        node = Read(table, place)
        for item in items:
            if isinstance(item, EmbedItem):
                node.embeds.append(self._embed(node, item))
            else:
                node.selected.append(self._selected(node, item))
        return node

    def _embed(self, parent: Read, item: EmbedItem) -> Embed:
        relationship = find_relationship(self._cache, parent.table, item)
        number = next(self._numbers)
        read = self._node(self._cache.tables[relationship.target], f"pgrst_{number}", item.items)
        return Embed(item, relationship, parent.place, read, f"pgrst_embed_{number}")

    def _selected(self, node: Read, item: ColumnItem) -> Selected:
        if item.field.name == "*":
            return Selected(None)
        column, alias, cast = self.column(node, item.field), item.alias or _json_name(item.field), None
        if item.cast is not None:
            cast = self._cache.type_named(item.cast)
            if cast is None:
                raise refusal("42704", item.cast)
            # Postgres would call the column after the type.
            alias = alias or item.field.name
        return Selected(column, alias, cast)

    def _order(self, node: Read, term: OrderTerm) -> Order:
        if term.relation is None:
            return Order(self.column(node, term.field), term)
        embed = node.embed(term.relation)
        if embed is None:
            raise not_embedded(term.relation)
        if not embed.relationship.to_one:
            pair = f"'{node.table.name}' and '{term.relation}'"
            details = f"{pair} do not form a many-to-one or one-to-one relationship"
            raise refusal("PGRST118", term.relation, details=details)
        return Order(self.column(embed.read, term.field), term, embed)


def not_embedded(name: str) -> Exception:
    hint = f"Verify that '{name}' is included in the 'select' query parameter."
    return refusal("PGRST108", name, hint=hint)


def _json_name(field: Field) -> str | None:
    """`data->a->0` is called after its last key, `data->0` after the column."""
    if not field.path:
        return None
    return next((step.key for step in reversed(field.path) if isinstance(step.key, str)), field.name)
