"""What decides who may do what in a database, and what makes things happen: object by object.

Each entry knows the SQL that makes it so; a picture kept from a deploy can therefore be put back later.
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
"""In the order in which things are shown and put back: each needs little but what stands before it."""

# Deparsed SQL names what the search path does not hold; without one, every way in reads the same text.
FULL_NAMES = Part("reading names in full", "set local search_path = ''")

# Tables whose rows are part of the picture once there is such a table.
_ROWS = {"cron.job": "catalogue_cron.sql", "public.role_permissions": "catalogue_permissions.sql"}


@dataclass(frozen=True)
class Entry:
    """One object; `catalogue.sql` says what each field holds."""

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
        return self.kind, self.name

    @property
    def opens(self) -> bool:
        """Whether one that nobody deployed may let somebody do what they should not."""
        return self.unmake is not None

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Catalogue:
    """Entries by kind and name."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = {entry.key: entry for entry in entries}

    @classmethod
    def from_rows(cls, rows: Iterable[dict[str, Any]]) -> Catalogue:
        """From what `make_reading_script` answers."""
        names = [field.name for field in fields(Entry)]
        return cls(Entry(**{name: row[name] for name in names}) for row in rows)

    def without(self, entries: Iterable[Entry]) -> Catalogue:
        """The picture once these are taken away."""
        gone = {entry.key for entry in entries}
        return Catalogue(entry for key, entry in self.entries.items() if key not in gone)


@cache
def _query(tables: tuple[str, ...]) -> str:
    files = ["catalogue.sql", *(_ROWS[table] for table in tables)]
    return "union all\n".join((_HERE / file).read_text() for file in files)


def make_reading_script() -> list[Part]:
    """The picture of a deployed database: to end a script with."""
    return [FULL_NAMES, Part("reading the catalogue", _query(tuple(_ROWS)))]


def read_catalogue(database: DatabaseConnection) -> Catalogue:
    """The picture as it is now, of whatever is there."""
    names = f"unnest({literal(list(_ROWS))}::text[]) as name"
    names = f"unnest({literal(list(_ROWS))}::text[]) as name"
    there = database.run(
        Part("looking for tables", f"select name from {names} where to_regclass(name) is not null")  # noqa: S608
    )
    tables = tuple(row["name"] for row in there)
    return Catalogue.from_rows(database.run(FULL_NAMES, Part("reading the catalogue", _query(tables))))


def make_keeping_sql(entries: Iterable[Entry]) -> str:
    """SQL for these entries as they are then, in one JSON array; `FULL_NAMES` must run before."""
    keys = literal([str(entry) for entry in entries])
    return (
        f"(select coalesce(jsonb_agg(to_jsonb(c)), '[]') from ({_query(tuple(_ROWS))}) c"  # noqa: S608
        f" where c.kind || ' ' || c.name = any({keys}::text[]))"
    )
