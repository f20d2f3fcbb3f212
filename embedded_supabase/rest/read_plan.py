"""The plan of a read: a parsed query with every name looked up in the schema cache.

An unknown or ambiguous name is refused here, with a hint. A plan holds only names of the schema cache.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from embedded_supabase.rest import syntax
from embedded_supabase.rest.errors import RestError, nearest, refusal
from embedded_supabase.rest.schema_cache import Name, Relationship, SchemaCache, Table


@dataclass(slots=True)
class ReadPlan:
    """What to read of one table, and what to embed in its rows."""

    table: Table
    alias: str
    """Of the table in SQL."""
    selected: list[tuple[syntax.ColumnItem, Name | None]] = field(default_factory=list)
    """Columns, each with the type it is cast to."""
    where: list[syntax.Condition] = field(default_factory=list)
    order: tuple[syntax.OrderTerm, ...] = ()
    limit: int | None = None
    offset: int = 0
    embeds: list[Embed] = field(default_factory=list)

    def find_embed(self, key: str | None) -> Embed | None:
        return next((embed for embed in self.embeds if embed.item.key == key), None)

    def find_tested_embed(self, tested: syntax.Field) -> Embed | None:
        """The embed that `embed=is.null` or `embed=not.is.null` tests."""
        return None if tested.path else self.find_embed(tested.name)

    def descend(self, path: syntax.Path) -> ReadPlan:
        """The plan of the embed at `path`. Raises PGRST108."""
        node = self
        for name in path:
            found = next((it for it in node.embeds if name in (it.item.key, it.item.name)), None)
            if found is None:
                raise _not_embedded_error(name)
            node = found.read
        return node

    @property
    def names(self) -> list[str]:
        """The keys of the rows in the response."""
        names: list[str] = []
        for item, _ in self.selected:
            names += self.table.columns if item.field.name == "*" else [item.key]
        for embed in self.embeds:
            if not embed.is_empty:
                names += embed.names
        return names


@dataclass(slots=True)
class Embed:
    item: syntax.EmbedItem
    relationship: Relationship
    parent: str
    """The alias of the table that it belongs to."""
    read: ReadPlan
    lateral: str
    """The alias of the joined subquery."""

    @property
    def is_empty(self) -> bool:
        """`relation()`: it filters the rows, and the response does not show it."""
        return not self.read.selected and all(embed.is_empty for embed in self.read.embeds)

    @property
    def names(self) -> list[str]:
        """The columns that it adds to its parent's row."""
        return self.read.names if self.item.spread else [self.item.key]


class Planner:
    """Looks up the names of one request in the schema cache."""

    def __init__(self, cache: SchemaCache, max_rows: int | None) -> None:
        self._cache = cache
        self._max_rows = max_rows
        self._numbers = count(1)

    def plan_read(self, table: Table, query: syntax.Query) -> ReadPlan:
        root = self._plan(table, table.name, query.select)
        for path, condition in query.conditions:
            node = root.descend(path)
            _check(node, condition)
            node.where.append(condition)
        for path, terms in query.order.items():
            node = root.descend(path)
            for term in terms:
                _check_order(node, term)
            node.order = terms
        for path, limit in query.limit.items():
            node = root.descend(path)
            node.limit = limit if node.limit is None else min(limit, node.limit)
        for path, offset in query.offset.items():
            root.descend(path).offset = offset
        return root

    def _plan(self, table: Table, alias: str, items: tuple[syntax.SelectItem, ...]) -> ReadPlan:
        node = ReadPlan(table, alias, limit=self._max_rows)
        for item in items:
            if isinstance(item, syntax.EmbedItem):
                relationship, number = _find_relationship(self._cache, table, item), next(self._numbers)
                read = self._plan(self._cache.tables[relationship.target], f"pgrst_{number}", item.items)
                node.embeds.append(Embed(item, relationship, alias, read, f"pgrst_embed_{number}"))
            else:
                node.selected.append((item, self._find_type(item)))
                if item.field.name != "*":
                    _check_column(table, item.field)
        return node

    def _find_type(self, item: syntax.ColumnItem) -> Name | None:
        found = self._cache.type_named(item.cast) if item.cast is not None else None
        if found is None and item.cast is not None:
            raise refusal("42704", item.cast)
        return found


# -- foreign keys: PostgREST's rules ("Foreign Key Joins", "Target Disambiguation") -------------------


def _find_relationship(cache: SchemaCache, parent: Table, item: syntax.EmbedItem) -> Relationship:
    """The one relationship from `parent` that `item` names. Raises PGRST200 or PGRST201."""
    links = cache.relationships(parent.key)
    found = [link for link in links if _fits(link, item.name, item.hint)]
    if len(found) > 1:
        raise _ambiguous_error(parent.name, item, found)
    if found:
        return found[0]
    using = f"' using the hint '{item.hint}" if item.hint else ""
    related = {link.target[1] for link in links} - {item.name}
    raise refusal(
        "PGRST200",
        parent.name,
        item.name,
        details=f"Searched for a foreign key relationship between '{parent.name}' and '{item.name}{using}' "
        f"in the schema '{parent.schema}', but no matches were found.",
        hint=nearest(item.name, related, "Perhaps you meant '", f"' instead of '{item.name}'."),
    )


def _fits(link: Relationship, name: str, hint: str | None) -> bool:
    target = link.target[1]
    if link.via is not None:
        return name == target and hint in (None, link.hint)
    source_column, target_column = link.near[0] if len(link.near) == 1 else (None, None)
    if link.source == link.target:
        # A key of a table to itself has two directions: the table's name means to-many, the column's
        # name to-one.
        if hint is None:
            return name == (source_column if link.to_one else target)
        if link.to_one:
            return name != target and hint in (source_column, link.hint)
        return name == target and hint in (target_column, link.hint)
    if hint is None:
        return name in (target, link.hint, source_column)
    return name == target and hint in (link.hint, source_column, target_column)


def _ambiguous_error(parent: str, item: syntax.EmbedItem, found: list[Relationship]) -> RestError:
    details = [
        {
            "cardinality": link.cardinality,
            "embedding": f"{link.source[1]} with {link.target[1]}",
            "relationship": link.described,
        }
        for link in found
    ]
    hints = ", ".join(f"'{link.target[1]}!{link.hint}'" for link in found)
    hint = f"Try changing '{item.name}' to one of the following: {hints}. "
    hint += "Find the desired relationship in the 'details' key."
    return refusal("PGRST201", parent, item.name, details=details, hint=hint)


# -- names ------------------------------------------------------------------------------------------


def _check_column(table: Table, wanted: syntax.Field) -> None:
    """Raises 42703: PostgREST leaves unknown columns of a read to Postgres, so the code is Postgres's."""
    if wanted.name not in table.columns and wanted.name not in table.computed:
        before = f'Perhaps you meant to reference the column "{table.name}.'
        hint = nearest(wanted.name, (*table.columns, *table.computed), before, '".')
        raise refusal("42703", table.name, wanted.name, hint=hint)


def _check(node: ReadPlan, condition: syntax.Condition) -> None:
    if isinstance(condition, syntax.Logic):
        for term in condition.terms:
            _check(node, term)
    elif node.find_tested_embed(condition.field) is None:
        _check_column(node.table, condition.field)
    elif condition.operator != "is" or condition.value not in ("null", "not_null"):
        allowed = "Only is null or not is null filters are allowed on embedded resources"
        raise refusal("PGRST120", condition.field.name, details=allowed)


def _check_order(node: ReadPlan, term: syntax.OrderTerm) -> None:
    embed = node.find_embed(term.relation)
    if term.relation is None:
        _check_column(node.table, term.field)
    elif embed is None:
        raise _not_embedded_error(term.relation)
    elif not embed.relationship.to_one:
        pair = f"'{node.table.name}' and '{term.relation}'"
        details = f"{pair} do not form a many-to-one or one-to-one relationship"
        raise refusal("PGRST118", term.relation, details=details)
    else:
        _check_column(embed.read.table, term.field)


def _not_embedded_error(name: str) -> Exception:
    hint = f"Verify that '{name}' is included in the 'select' query parameter."
    return refusal("PGRST108", name, hint=hint)
