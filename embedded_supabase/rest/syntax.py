"""The tree of a request, as the grammar makes it. No name in it is looked up yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Path = tuple[str, ...]
"""Names of nested embeds, outermost first; `()` is the requested table itself."""


@dataclass(frozen=True, slots=True)
class JsonStep:
    """`->key`, `->>key` or `->3`."""

    key: str | int
    as_text: bool


@dataclass(frozen=True, slots=True)
class Field:
    """A column, and a way into it when it holds JSON."""

    name: str
    path: tuple[JsonStep, ...] = ()


@dataclass(frozen=True, slots=True)
class ColumnItem:
    """`alias:column->path::cast`; the column `*` means all of them."""

    field: Field
    alias: str | None = None
    cast: str | None = None

    @property
    def key(self) -> str:
        """Its name in the response: the last key of `data->a->0`, the column of `data->0`."""
        keys = [step.key for step in self.field.path if isinstance(step.key, str)]
        return self.alias or (keys[-1] if keys else self.field.name)


@dataclass(frozen=True, slots=True)
class EmbedItem:
    """`alias:relation!hint!inner(items)`, or `...relation(items)` when spread."""

    name: str
    items: tuple[SelectItem, ...]
    alias: str | None = None
    hint: str | None = None
    inner: bool = False
    spread: bool = False

    @property
    def key(self) -> str:
        """The name of the embed in the response and in other parameters."""
        return self.alias or self.name


SelectItem = ColumnItem | EmbedItem


@dataclass(frozen=True, slots=True)
class Comparison:
    """`field.[not.]operator[(quantifier or text search configuration)].value`."""

    field: Field
    operator: str
    value: str | tuple[str, ...]
    """A tuple for `in`, otherwise the text as the client sent it."""
    negated: bool = False
    quantifier: Literal["any", "all"] | None = None
    configuration: str | None = None


@dataclass(frozen=True, slots=True)
class Logic:
    """`[not.]and(...)` or `[not.]or(...)`."""

    operator: Literal["and", "or"]
    terms: tuple[Condition, ...]
    negated: bool = False


Condition = Comparison | Logic


@dataclass(frozen=True, slots=True)
class OrderTerm:
    """`column.desc.nullslast`, or `relation(column).desc` to order by a to-one embed."""

    field: Field
    relation: str | None = None
    descending: bool = False
    nulls: Literal["first", "last"] | None = None


@dataclass(slots=True)
class Query:
    """The query string, parsed."""

    select: tuple[SelectItem, ...] = (ColumnItem(Field("*")),)
    conditions: list[tuple[Path, Condition]] = field(default_factory=list)
    order: dict[Path, tuple[OrderTerm, ...]] = field(default_factory=dict)
    limit: dict[Path, int] = field(default_factory=dict)
    offset: dict[Path, int] = field(default_factory=dict)
    columns: tuple[str, ...] | None = None
    on_conflict: tuple[str, ...] | None = None
    arguments: dict[str, str] = field(default_factory=dict)
    """For a function called by GET: the parameters whose value has no operator."""
