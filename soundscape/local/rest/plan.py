"""A parsed query with every name resolved: what to read, from where, joined how.

Unknown and ambiguous names end here, as errors with a hint; what comes out holds only names that
the schema cache knows, so that `sql` has nothing left to decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from soundscape.local.rest.errors import (
    RestError,
    UnknownName,
    not_embedded,
    not_implemented,
    unknown_read_column,
)
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
    is_json: bool = True
    """Whether arrows apply as they are; other types go through `to_jsonb` first."""


@dataclass(frozen=True, slots=True)
class Selected:
    column: Column | None
    """None for `*`, and for `count()`."""
    alias: str | None = None
    cast: Name | None = None
    aggregate: str | None = None
    aggregate_cast: Name | None = None


@dataclass(frozen=True, slots=True)
class Test:
    """A comparison, its field resolved."""

    column: Column
    comparison: Comparison
    is_tsvector: bool = False


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

    @property
    def aggregated(self) -> bool:
        return any(item.aggregate for item in self.selected)


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
        return not self.read.selected and not any(not embed.is_empty for embed in self.read.embeds)


class Planner:
    """Resolves one request's query against the cache."""

    def __init__(self, cache: SchemaCache, max_rows: int | None) -> None:
        self._cache = cache
        self._max_rows = max_rows
        self._numbers: Iterator[int] = count(1)

    def read(self, table: Table, query: Query, *, keeps_root_conditions: bool = True) -> Read:
        """The plan of a read. Writes pass their root conditions elsewhere and so leave them out here."""
        root = self._node(table, table.name, query.select)
        for path, condition in query.conditions:
            if path or keeps_root_conditions:
                node = _descend(root, path)
                node.where.append(self.where(node, condition))
        for path, terms in query.order.items():
            node = _descend(root, path)
            node.order = [self._order(node, term) for term in terms]
        for path, number in query.limit.items():
            _descend(root, path).limit = number
        for path, number in query.offset.items():
            _descend(root, path).offset = number
        if keeps_root_conditions and self._max_rows is not None:
            for node in _nodes(root):
                node.limit = self._max_rows if node.limit is None else min(node.limit, self._max_rows)
        return root

    def where(self, node: Read, condition: Condition) -> Where:
        if isinstance(condition, Logic):
            terms = tuple(self.where(node, term) for term in condition.terms)
            return Tree(condition.operator, terms, condition.negated)
        embed = next((embed for embed in node.embeds if embed.item.key == condition.field.name), None)
        if embed is not None and not condition.field.path:
            if condition.operator != "is" or condition.value not in ("null", "not_null"):
                raise RestError(
                    400,
                    "PGRST120",
                    f"Bad operator on the '{embed.item.key}' embedded resource",
                    details="Only is null or not is null filters are allowed on embedded resources",
                )
            return Presence(embed, (condition.value == "not_null") != condition.negated)
        column = self.column(node, condition.field)
        known = node.table.columns.get(column.name)
        return Test(column, condition, is_tsvector=known is not None and known.base == "tsvector")

    def column(self, node: Read, wanted: Field) -> Column:
        if not node.table.has(wanted.name):
            names = (*node.table.columns, *node.table.computed)
            raise unknown_read_column(node.table.name, wanted.name, names)
        known = node.table.columns.get(wanted.name)
        return Column(node.place, wanted.name, wanted.path, known is not None and known.is_json)

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
        target = self._cache.tables[relationship.target]
        number = next(self._numbers)
        read = self._node(target, f"pgrst_{number}", item.items)
        if item.spread and read.aggregated:
            raise not_implemented("Aggregates inside a spread embed are not supported here.")
        return Embed(item, relationship, parent.place, read, f"pgrst_embed_{number}")

    def _selected(self, node: Read, item: ColumnItem) -> Selected:
        if item.aggregate and not self._cache.aggregates_enabled:
            raise RestError(400, "PGRST123", "Use of aggregate functions is not allowed")
        aggregate_cast = self._type(item.aggregate_cast)
        if item.field.name == "*":
            alias = item.alias or ("count" if item.aggregate else None)
            return Selected(None, alias, None, item.aggregate, aggregate_cast)
        column = self.column(node, item.field)
        alias = item.alias or (item.aggregate if item.aggregate else _json_name(item.field))
        # A cast or a computed column would otherwise be called after its type or function.
        if alias is None and item.cast:
            alias = item.field.name
        return Selected(column, alias, self._type(item.cast), item.aggregate, aggregate_cast)

    def _type(self, spelled: str | None) -> Name | None:
        if spelled is None:
            return None
        known = self._cache.type_named(spelled)
        if known is None:
            raise UnknownName(400, "42704", f'type "{spelled}" does not exist')
        return known

    def _order(self, node: Read, term: OrderTerm) -> Order:
        if term.relation is None:
            return Order(self.column(node, term.field), term)
        embed = next((embed for embed in node.embeds if embed.item.key == term.relation), None)
        if embed is None:
            raise not_embedded(term.relation)
        if not embed.relationship.to_one:
            raise RestError(
                400,
                "PGRST118",
                f"A related order on '{term.relation}' is not possible",
                details=f"'{node.table.name}' and '{term.relation}' do not form a many-to-one "
                "or one-to-one relationship",
            )
        return Order(self.column(embed.read, term.field), term, embed)


def _json_name(field: Field) -> str | None:
    """`data->a->0` is called after its last key, `data->0` after the column."""
    if not field.path:
        return None
    return next((step.key for step in reversed(field.path) if isinstance(step.key, str)), field.name)


def _descend(node: Read, path: Path) -> Read:
    for name in path:
        found = next((e for e in node.embeds if name in (e.item.key, e.item.name)), None)
        if found is None:
            raise not_embedded(name)
        node = found.read
    return node


def _nodes(node: Read) -> Iterator[Read]:
    yield node
    for embed in node.embeds:
        yield from _nodes(embed.read)
