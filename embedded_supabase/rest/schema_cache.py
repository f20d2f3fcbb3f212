"""The schema cache: tables, relationships, functions and types of the exposed schemas.

Plans look names up here and nowhere else, so generated SQL holds no identifier that was not found here.
Reloaded on `notify pgrst, 'reload schema'`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from psycopg import AsyncConnection
from pydantic import TypeAdapter

Name = tuple[str, str]
"""Schema and name."""

Pairs = tuple[tuple[str, str], ...]
"""Joined columns: (column of one side, column of the other side)."""

_QUERY = (Path(__file__).with_suffix(".sql")).read_text()

_SPOKEN_TYPES = {"int": "int4", "float": "float8", "decimal": "numeric", "dec": "numeric"}
"""Type names that Postgres's grammar accepts and its catalogue does not have."""


@dataclass(frozen=True)
class Table:
    """A table or view, or the rows a function returns."""

    schema: str
    name: str
    columns: dict[str, str]
    """Each with its base type, which decides how JSON paths and text search work."""
    primary_key: tuple[str, ...] = ()
    computed: frozenset[str] = frozenset()
    """Functions of one row of this table, which can be selected like columns."""

    @property
    def key(self) -> Name:
        return self.schema, self.name


@dataclass(frozen=True, slots=True)
class Relationship:
    """A foreign key in one direction, or two foreign keys through a junction."""

    source: Name
    target: Name
    cardinality: Literal["many-to-one", "one-to-many", "one-to-one", "many-to-many"]
    hint: str
    """The name of the foreign key, or of the junction."""
    described: str
    near: Pairs
    """(source column, target column), or that of the junction where there is one."""
    via: Name | None = None
    """The junction."""
    far: Pairs = ()
    """(junction column, target column)."""

    @property
    def to_one(self) -> bool:
        return self.cardinality in ("many-to-one", "one-to-one")


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    type: str
    type_name: Name
    required: bool


@dataclass(frozen=True, slots=True)
class Function:
    schema: str
    name: str
    signature: str
    arguments: tuple[Argument, ...]
    returns_set: bool
    returns_nothing: bool
    volatile: bool
    is_scalar: bool
    rows: Table
    """The shape of its rows. A scalar is a column `pgrst_scalar`."""


@dataclass(frozen=True)
class SchemaCache:
    """The document of `schema_cache.sql`."""

    all_tables: list[Table]
    all_relationships: list[Relationship]
    functions: list[Function]
    types: dict[str, Name]
    timeouts: dict[str, str]
    """The statement timeouts of roles."""
    pre_request: str | None = None
    """The function to call before each request: `db_pre_request`."""

    @cached_property
    def tables(self) -> dict[Name, Table]:
        return {table.key: table for table in self.all_tables}

    def relationships(self, source: Name) -> list[Relationship]:
        return [link for link in self.all_relationships if link.source == source]

    def overloads(self, name: Name) -> list[Function]:
        return [function for function in self.functions if (function.schema, function.name) == name]

    def type_named(self, spelled: str) -> Name | None:
        words = " ".join(spelled.lower().split())
        return self.types.get(spelled) or self.types.get(_SPOKEN_TYPES.get(words, words))


_DOCUMENT = TypeAdapter(SchemaCache)


async def load(connection: AsyncConnection[Any], schemas: list[str], search_path: list[str]) -> SchemaCache:
    """Read the cache for the exposed `schemas`. Casts find types there and in `search_path`."""
    parameters = {"schemas": schemas, "search_path": [*schemas, *search_path]}
    async with connection.transaction():
        # An empty search path makes Postgres write each type with its schema.
        await connection.execute("select set_config('search_path', '', true)")
        row = await (await connection.execute(_QUERY, parameters)).fetchone()
    assert row is not None
    return _DOCUMENT.validate_python(row[0])
