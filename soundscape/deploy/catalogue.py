"""The objects of a database that decide who may do what and what runs by itself.

Each entry holds the SQL that makes it, so that a catalogue kept from a deploy can be restored later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from soundscape.deploy.connection import DatabaseConnection, Part, literal

_HERE = Path(__file__).parent

KINDS = (
    "extension", "column", "column settings", "constraint", "index", "row security", "function", "view",
    "grant", "policy", "trigger", "bucket", "published table", "publication", "cron job", "permission",
    "default privileges", "unguarded view", "unguarded function",
)  # fmt: skip
"""In the order in which objects are shown and restored: each needs mostly those before it."""

# Postgres leaves out the schemas of the search path. Without one, every connection reads the same text.
FULL_NAMES = Part("reading names in full", "set local search_path = ''")

# Tables whose rows belong to the catalogue, if there is such a table.
_ROWS = {"cron.job": "catalogue_cron.sql", "public.role_permissions": "catalogue_permissions.sql"}


@dataclass(frozen=True)
class Entry:
    """One object. `catalogue.sql` explains the fields."""

    kind: str
    name: str
    about: list[str]
    state: str
    make: str | None
    unmake: str | None
    word: str | None
    clauses: list[str] | None
    touched: bool

    @property
    def key(self) -> tuple[str, str]:
        """The kind and the name, which no two entries share."""
        return self.kind, self.name

    @property
    def opens(self) -> bool:
        """Whether such an object gives somebody access, so that one which nobody deployed is drift."""
        return self.unmake is not None

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Catalogue:
    """Entries by kind and name."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = {entry.key: entry for entry in entries}

    @classmethod
    def from_rows(cls, rows: Iterable[dict[str, Any]]) -> Catalogue:
        """Make a catalogue from the rows that `make_reading_script` returns."""
        names = [field.name for field in fields(Entry)]
        return cls(Entry(**{name: row[name] for name in names}) for row in rows)

    def without(self, entries: Iterable[Entry]) -> Catalogue:
        """Return the catalogue without these entries."""
        gone = {entry.key for entry in entries}
        return Catalogue(entry for key, entry in self.entries.items() if key not in gone)


@cache
def _query(tables: tuple[str, ...]) -> str:
    files = ["catalogue.sql", *(_ROWS[table] for table in tables)]
    return "union all\n".join((_HERE / file).read_text() for file in files)


def make_reading_script() -> list[Part]:
    """Return the end of a script that reads the catalogue of a deployed database."""
    return [FULL_NAMES, Part("reading the catalogue", _query(tuple(_ROWS)))]


def read_catalogue(database: DatabaseConnection) -> Catalogue:
    """Read the catalogue of a database, whatever it holds."""
    names = f"unnest({literal(list(_ROWS))}::text[]) as name"
    names = f"unnest({literal(list(_ROWS))}::text[]) as name"
    there = database.run(
        Part("looking for tables", f"select name from {names} where to_regclass(name) is not null")  # noqa: S608
    )
    tables = tuple(row["name"] for row in there)
    return Catalogue.from_rows(database.run(FULL_NAMES, Part("reading the catalogue", _query(tables))))


def make_keeping_sql(entries: Iterable[Entry]) -> str:
    """Return SQL that reads these entries as one JSON array. `FULL_NAMES` must run before it."""
    keys = literal([str(entry) for entry in entries])
    return (
        f"(select coalesce(jsonb_agg(to_jsonb(c)), '[]') from ({_query(tuple(_ROWS))}) c"  # noqa: S608
        f" where c.kind || ' ' || c.name = any({keys}::text[]))"
    )
