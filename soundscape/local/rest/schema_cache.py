"""What the database looked like when last read: tables, relationships, functions, types.

Plans are made against this and nothing else, so every identifier in generated SQL is a name that
was found here. Reloaded on `notify pgrst, 'reload schema'`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from psycopg import AsyncConnection

Name = tuple[str, str]
"""Schema and name."""

Cardinality = Literal["many-to-one", "one-to-many", "one-to-one", "many-to-many"]

_QUERY = (Path(__file__).with_suffix(".sql")).read_text()

_SPOKEN_TYPES = {"int": "int4", "float": "float8", "decimal": "numeric", "dec": "numeric"}
"""Spellings that Postgres's grammar knows and its catalogue does not."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    base: str
    """The type below domains and without modifiers; decides how JSON paths are read."""
    nullable: bool = True
    default: str | None = None
    comment: str | None = None
    enum: tuple[str, ...] = ()

    @property
    def is_json(self) -> bool:
        return self.base in ("json", "jsonb")


@dataclass(frozen=True)
class Table:
    """A table or view, or the rows a function returns."""

    schema: str
    name: str
    columns: dict[str, Column]
    primary_key: tuple[str, ...] = ()
    computed: frozenset[str] = frozenset()
    """Functions that take a row of this table and so can be read like columns."""
    comment: str | None = None
    insertable: bool = False
    updatable: bool = False
    deletable: bool = False

    @property
    def key(self) -> Name:
        return self.schema, self.name

    def has(self, column: str) -> bool:
        return column in self.columns or column in self.computed


@dataclass(frozen=True, slots=True)
class Junction:
    """The table between two others, and how each side is joined to it (junction column, other column)."""

    table: Name
    constraints: tuple[str, str]
    source_columns: tuple[tuple[str, str], ...]
    target_columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Relationship:
    """One way to walk a foreign key, or two of them through a junction."""

    source: Name
    target: Name
    cardinality: Cardinality
    constraint: str
    columns: tuple[tuple[str, str], ...]
    """Pairs (source column, target column); empty when there is a junction."""
    junction: Junction | None = None

    @property
    def to_one(self) -> bool:
        return self.cardinality in ("many-to-one", "one-to-one")


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    type: str
    type_name: Name
    required: bool
    variadic: bool


@dataclass(frozen=True, slots=True)
class Function:
    schema: str
    name: str
    arguments: tuple[Argument, ...]
    returns: str
    returns_set: bool
    volatile: bool
    rows: Table
    """The shape of its rows; a bare value counts as a column `pgrst_scalar`."""
    is_scalar: bool
    comment: str | None = None

    @property
    def returns_nothing(self) -> bool:
        return self.returns == "void"

    @property
    def signature(self) -> str:
        arguments = ", ".join(f"{argument.name} => {argument.type}" for argument in self.arguments)
        return f"{self.schema}.{self.name}({arguments})"


@dataclass(frozen=True)
class SchemaCache:
    tables: dict[Name, Table]
    relationships: dict[Name, list[Relationship]]
    functions: dict[Name, list[Function]]
    types: dict[str, Name]
    settings: dict[tuple[str, str], str] = field(default_factory=dict)
    comment: str | None = None

    @cached_property
    def aggregates_enabled(self) -> bool:
        return self.settings.get(("authenticator", "pgrst.db_aggregates_enabled")) == "true"

    @cached_property
    def rollback_allowed(self) -> bool:
        return (self.settings.get(("authenticator", "pgrst.db_tx_end")) or "").endswith("-allow-override")

    def statement_timeout(self, role: str) -> str | None:
        return self.settings.get((role, "statement_timeout"))

    def table_names(self, schema: str) -> list[str]:
        return [name for place, name in self.tables if place == schema]

    def type_named(self, spelled: str) -> Name | None:
        words = " ".join(spelled.lower().split())
        return self.types.get(spelled) or self.types.get(_SPOKEN_TYPES.get(words, words))


async def load(connection: AsyncConnection[Any], schemas: list[str], search_path: list[str]) -> SchemaCache:
    """Read the cache. `schemas` are exposed; casts find types in those and in `search_path`."""
    parameters = {"schemas": schemas, "search_path": [*schemas, *search_path]}
    async with connection.transaction():
        # Types are spelled with their schema only while no search path hides it.
        await connection.execute("select set_config('search_path', '', true)")
        row = await (await connection.execute(_QUERY, parameters)).fetchone()
    assert row is not None
    return from_document(row[0])


def from_document(document: dict[str, Any]) -> SchemaCache:
    tables = {table.key: table for table in map(_table, document["tables"])}
    functions: dict[Name, list[Function]] = defaultdict(list)
    for item in document["functions"]:
        function = _function(item, tables)
        if function is not None:
            functions[function.schema, function.name].append(function)
    return SchemaCache(
        tables=tables,
        relationships=_relationships(document["foreign_keys"], tables),
        functions=dict(functions),
        types={name: (path[0], path[1]) for name, path in document["types"].items()},
        settings={(role, name): value for role, name, value in document["settings"]},
        comment=document["comment"],
    )


def _column(item: dict[str, Any]) -> Column:
    return Column(**(item | {"enum": tuple(item["enum"] or ())}))


def _table(item: dict[str, Any]) -> Table:
    return Table(
        **(
            item
            | {
                "columns": {column["name"]: _column(column) for column in item["columns"]},
                "primary_key": tuple(item["primary_key"]),
                "computed": frozenset(item["computed"]),
            }
        )
    )


def _function(item: dict[str, Any], tables: dict[Name, Table]) -> Function | None:
    arguments = tuple(
        Argument(**(argument | {"type_name": (argument["type_name"][0], argument["type_name"][1])}))
        for argument in item["arguments"]
    )
    unnamed = [argument for argument in arguments if not argument.name]
    if unnamed and (len(arguments) > 1 or unnamed[0].type not in ("json", "jsonb", "text", "xml", "bytea")):
        return None  # it could only be called by position, which the protocol cannot say
    outputs = item["outputs"] or [{"name": "pgrst_scalar", "base": item["returns"]}]
    columns = {out["name"]: Column(out["name"], out["base"], out["base"]) for out in outputs}
    place = (item["table"][0], item["table"][1]) if item["table"] else (item["schema"], item["name"])
    rows = tables.get(place) if item["table"] else None
    return Function(
        schema=item["schema"],
        name=item["name"],
        arguments=arguments,
        returns=item["returns"],
        returns_set=item["set"],
        volatile=item["volatile"],
        rows=rows or Table(*place, columns),
        is_scalar=item["outputs"] is None,
        comment=item["comment"],
    )


def _relationships(
    foreign_keys: Iterable[dict[str, Any]], tables: dict[Name, Table]
) -> dict[Name, list[Relationship]]:
    found: dict[Name, list[Relationship]] = defaultdict(list)
    by_source: dict[Name, list[Relationship]] = defaultdict(list)
    for key in foreign_keys:
        source, target = (key["table"][0], key["table"][1]), (key["target"][0], key["target"][1])
        pairs = tuple(zip(key["columns"], key["target_columns"], strict=True))
        back = tuple((there, here) for here, there in pairs)
        one: Cardinality = "one-to-one" if key["is_unique"] else "many-to-one"
        many: Cardinality = "one-to-one" if key["is_unique"] else "one-to-many"
        forward = Relationship(source, target, one, key["name"], pairs)
        found[source].append(forward)
        found[target].append(Relationship(target, source, many, key["name"], back))
        by_source[source].append(forward)
    for junction, sides in by_source.items():
        primary_key = set(tables[junction].primary_key)
        for near in sides:
            for far in sides:
                joined = {column for column, _ in (*near.columns, *far.columns)}
                if near is not far and joined <= primary_key:
                    through = Junction(junction, (near.constraint, far.constraint), near.columns, far.columns)
                    found[near.target].append(
                        Relationship(near.target, far.target, "many-to-many", near.constraint, (), through)
                    )
    return dict(found)
