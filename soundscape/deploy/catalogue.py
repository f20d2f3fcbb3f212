"""What decides who may do what in a database, object by object, and how two such pictures differ.

Each entry knows the SQL that makes it so; a picture kept from a deploy can therefore be put back later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from soundscape.deploy import sources
from soundscape.deploy.door import Door, Part, literal

_HERE = Path(__file__).parent

# The order in which things are put back: each needs only what stands before it.
KINDS = (
    "extension", "column", "row security", "function", "view", "grant", "policy", "trigger", "bucket",
    "published table", "cron job",
)  # fmt: skip

OPENING = frozenset({"policy", "grant"})
"""Kinds that open something: one that nobody deployed is reported. Other additions harm nobody."""


@dataclass(frozen=True)
class Entry:
    """One object. `make` brings it about, `unmake` takes it away; None where SQL should not try."""

    kind: str
    name: str
    parent: str
    state: str
    make: str | None
    unmake: str | None


@dataclass(frozen=True)
class Difference:
    """One object that is not as it was deployed."""

    kind: str
    name: str
    what: Literal["missing", "changed", "unknown"]
    wanted: str | None
    present: str | None
    mend: str | None
    """SQL that puts it back; None where only a person can."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name} is {self.what}"

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


class Catalogue:
    """Entries by kind and name."""

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        self.entries = {
            (row["kind"], row["name"]): Entry(
                row["kind"], row["name"], row["parent"], row["state"], row["make"], row["unmake"]
            )
            for row in rows
        }
        # A policy on a table of the platform does not make that table ours.
        self.parents = {e.parent for e in self.entries.values() if not _is_platform(e.parent)}
        self.buckets = {e.name for e in self.entries.values() if e.kind == "bucket"}

    def differences(self, present: Catalogue) -> list[Difference]:
        """How `present` departs from this picture. Objects that are not ours are left out."""
        found = []
        for key, entry in self.entries.items():
            now = present.entries.get(key)
            if now is None:
                gone = entry.kind in ("row security", "view") or self._lost_its_table(entry, present)
                found.append(_difference(entry, None, None if gone else entry.make))
            elif now.state != entry.state:
                found.append(_difference(entry, now.state, entry.make))
        for key, entry in present.entries.items():
            if key not in self.entries and entry.kind in OPENING and self._reaches_ours(entry):
                found.append(Difference(entry.kind, entry.name, "unknown", None, entry.state, entry.unmake))
        return sorted(found, key=lambda difference: (KINDS.index(difference.kind), difference.name))

    def _lost_its_table(self, entry: Entry, present: Catalogue) -> bool:
        table = ("row security", entry.parent)
        return table in self.entries and table not in present.entries

    def _reaches_ours(self, entry: Entry) -> bool:
        if entry.parent in self.parents:
            return True
        if not entry.parent.startswith("storage."):
            return False
        # Other buckets of the project are its own affair; a policy that names none is about ours too.
        named = re.findall(r"bucket_id = '([^']*)'|bucket_id = ANY \((.*?)\)", entry.state)
        return not named or any(bucket in "".join(names) for names in named for bucket in self.buckets)


def _difference(entry: Entry, present: str | None, mend: str | None) -> Difference:
    what: Literal["missing", "changed"] = "missing" if present is None else "changed"
    return Difference(entry.kind, entry.name, what, entry.state, present, mend)


def _is_platform(parent: str) -> bool:
    return parent.startswith(("auth.", "storage.", "realtime."))


@cache
def query(*, cron: bool = True) -> str:
    """The whole picture; `cron`: whether pg_cron is installed, whose table the query then reads."""
    text = (_HERE / "catalogue.sql").read_text()
    if cron:
        text += "union all\n" + (_HERE / "catalogue_cron.sql").read_text()
    return text


def managed_query() -> str:
    """The part of the picture that belongs to SoundScape, told by what the present transaction touched."""
    extensions = literal(sources.extensions())
    return f"""
with everything as materialized ({query()}),
ours as (select distinct parent from everything where touched)
select e.* from everything e
where e.touched or e.parent = 'soundscape' or e.parent like 'soundscape.%'
   or (e.parent in (select parent from ours) and e.parent !~ '^(auth|storage|realtime)\\.')
   or (e.kind = 'extension' and e.name = any({extensions}::text[]))
"""  # noqa: S608 - composed of our own files and a quoted literal


def present(door: Door, *, cron: bool) -> Catalogue:
    """The picture as it is now."""
    return Catalogue(door.run(Part("reading the catalogue", query(cron=cron))))
