"""Drift: how a database differs from what deploys made.

`ours` are the objects that deploys made. `theirs` are objects that were there before the first deploy and
give access to ours: they are reported and left alone. Anything else that gives access to ours is drift.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from soundscape.deploy import sources
from soundscape.deploy.catalogue import KINDS, Catalogue, Entry

_REMADE = ("grant", "policy", "bucket")
"""Each deploy of the policy files makes all of these anew. What it does not make is no longer wanted."""
_OWNED = ("row security", "function", "view")
"""Tables, functions and views. Nothing of anybody else belongs on ours."""
_PRIVATE = "soundscape"
_SHARED = ("storage.", "realtime.")
"""The platform's tables, which hold policies of everybody."""

_ELSEWHERE = re.compile(
    r"bucket_id = '(?P<bucket>(?:[^']|'')*)'::text"
    r"|bucket_id = ANY \(ARRAY\[(?P<buckets>'[^']*'::text(?:, '[^']*'::text)*)\]\)"
    r"|(?:realtime\.topic\(\)|\( SELECT realtime\.topic\(\) AS topic\)) (?:=|~~) '[^'%_](?:[^']|'')*'::text"
)


@dataclass(frozen=True)
class Difference:
    """One object that differs."""

    kind: str
    name: str
    what: Literal["missing", "changed", "unknown"]
    wanted: str | None
    present: str | None
    fix: str | None
    """SQL that restores it, or removes it if it is unknown; None if only a person can."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name} is {self.what}"

    @property
    def fixed(self) -> str:
        """What running `fix` has done."""
        return f"{'removed' if self.what == 'unknown' else 'put back'} {self.kind} {self.name}"

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


@dataclass(frozen=True)
class WantedState:
    """What should be in the database, and what else may be."""

    ours: Catalogue
    theirs: Catalogue

    def find_differences(self, present: Catalogue) -> list[Difference]:
        """Return how `present` differs from this."""
        found = []
        for key, entry in self.ours.entries.items():
            now = present.entries.get(key)
            if now is None:
                # What is missing with its column needs no line of its own.
                if entry.kind != "column settings" or ("column", entry.name) in present.entries:
                    fix = None if self._lost_its_table(entry, present) else entry.make
                    found.append(Difference(*key, "missing", entry.state, None, fix))
            elif now.state != entry.state:
                found.append(Difference(*key, "changed", entry.state, now.state, entry.make))
        for key, entry in present.entries.items():
            if (
                key not in self.ours.entries
                and not self._was_there_before(entry)
                and self._exposes_ours(entry)
            ):
                found.append(Difference(*key, "unknown", None, entry.state, entry.unmake))
        return sorted(found, key=lambda difference: (KINDS.index(difference.kind), difference.name))

    def find_withdrawn(self, before: WantedState | None, present: Catalogue) -> list[Entry]:
        """Return what an earlier version made and no file makes now, if it is still there."""
        return [
            entry
            for key, entry in (before.ours.entries.items() if before else ())
            if entry.opens
            and entry.kind in _REMADE
            and key in present.entries
            and key not in self.ours.entries
        ]

    def list_warnings(self, present: Catalogue) -> list[str]:
        """Return a sentence for each of theirs that is present."""
        return [
            f"{entry} was there before SoundScape and opens what is SoundScape's too; it is left alone. "
            + _REMEDIES.get(entry.kind, "Take it back unless you need it.")
            for entry in present.entries.values()
            if self._was_there_before(entry)
        ]

    def _lost_its_table(self, entry: Entry, present: Catalogue) -> bool:
        tables = [("row security", name) for name in entry.about]
        return any(table in self.ours.entries and table not in present.entries for table in tables)

    def _was_there_before(self, entry: Entry) -> bool:
        known = self.theirs.entries.get(entry.key)
        return known is not None and known.state == entry.state

    def _may_have_been_there_before(self, entry: Entry) -> bool:
        """Whether this was there for a reason of its own, before there was anything of ours."""
        if entry.key in self.ours.entries or not self._exposes_ours(entry):
            return False
        if entry.kind.startswith("unguarded"):
            return True
        # The first migration takes default privileges back: they were given again since.
        names_ours = any(
            f"'{bucket}'" in clause for bucket in self._buckets() for clause in entry.clauses or ()
        )
        return not (
            names_ours or entry.kind == "default privileges" or _is_on(entry, self._tables_and_functions())
        )

    def _exposes_ours(self, entry: Entry) -> bool:
        return entry.opens and (
            _is_on(entry, self._tables_and_functions())
            or _PRIVATE in entry.about
            or (_is_on_shared(entry) and not _is_elsewhere(entry, self._buckets()))
        )

    def _tables_and_functions(self) -> set[str]:
        return {entry.name for entry in self.ours.entries.values() if entry.kind in _OWNED}

    def _buckets(self) -> set[str]:
        return {entry.name for entry in self.ours.entries.values() if entry.kind == "bucket"}


_REMEDIES = {
    "policy": "Name its bucket (bucket_id = '…' and …) or its topic.",
    "unguarded view": "Make it with (security_invoker = true), or revoke it.",
    "unguarded function": "Make it security invoker, or revoke it.",
}


def derive_wanted(
    before: WantedState | None, after: Catalogue, found: list[sources.Migration]
) -> WantedState:
    """Return what is wanted after every pending migration and policy file ran in one transaction.

    Parameters
    ----------
    before
        What was wanted until then; None at the first deploy.
    after
        The catalogue at the end of that transaction.
    found
        Migrations that somebody else applied, such as the official CLI. What they made or changed is
        recognised by its name in them.
    """
    known = before.ours.entries if before else {}
    is_named, is_named_there = sources.vocabulary(), sources.vocabulary(found)

    def is_made(entry: Entry) -> bool:
        return entry.touched and (entry.word is None or is_named(entry.word))

    owned = {e.name for e in after.entries.values() if e.kind in _OWNED and (is_made(e) or e.key in known)}

    def is_adopted(entry: Entry) -> bool:
        if not found or (entry.word is None and entry.opens):
            return False
        ours = _is_on(entry, owned) or _PRIVATE in entry.about or entry.kind == "trigger"
        return ours and (entry.word is None or is_named(entry.word))

    def is_ours(entry: Entry) -> bool:
        if entry.kind == "extension":
            return entry.name in sources.extensions()
        if entry.kind in _OWNED:
            return entry.name in owned
        if entry.kind in _REMADE:
            return is_made(entry)
        return is_made(entry) or entry.key in known or entry.kind == "publication" or is_adopted(entry)

    ours = {key: entry for key, entry in after.entries.items() if is_ours(entry)}
    for key, entry in known.items() if found else ():
        # What the migrations of somebody else do not name, they did not change.
        if entry.kind not in _REMADE and not any(map(is_named_there, _bare_names(entry))):
            ours[key] = entry
    for key, entry in ours.items():
        # No policy counts without it, whoever switched it off.
        if found and entry.kind == "row security" and entry.name.startswith("public."):
            ours[key] = replace(entry, state="on")
    wanted = WantedState(Catalogue(ours.values()), before.theirs if before else Catalogue([]))
    if before is not None:
        return wanted
    return WantedState(
        wanted.ours, Catalogue(filter(wanted._may_have_been_there_before, after.entries.values()))
    )


def _bare_names(entry: Entry) -> list[str]:
    """Return the names of which a migration that changes it must hold one."""
    names = [name.partition("(")[0].rpartition(".")[2] for name in entry.about if name != _PRIVATE]
    return names or [entry.name]


def _is_on(entry: Entry, owned: set[str]) -> bool:
    return any(name in owned or name.startswith(f"{_PRIVATE}.") for name in entry.about)


def _is_on_shared(entry: Entry) -> bool:
    return any(name.startswith(_SHARED) for name in entry.about)


def _is_elsewhere(entry: Entry, buckets: set[str]) -> bool:
    """Tell whether each condition of a policy requires another bucket, or a topic, by name."""
    return bool(entry.clauses) and all(
        any(_names_another(term, buckets) for term in _terms(clause)) for clause in entry.clauses or ()
    )


def _names_another(term: str, buckets: set[str]) -> bool:
    match = _ELSEWHERE.fullmatch(term)
    if match is None:
        return False
    named = {match["bucket"]} if match["bucket"] else set(re.findall(r"'([^']*)'", match["buckets"] or ""))
    return not named & buckets


def _terms(expression: str) -> list[str]:
    """Return the terms that AND joins in an expression. Postgres prints every operator in parentheses."""
    depth, quote, cuts, inner = 0, "", [], False
    for at, sign in enumerate(expression):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign in "()":
            depth += 1 if sign == "(" else -1
            inner = inner or (depth == 0 and at < len(expression) - 1)
        elif depth == 0 and expression.startswith(" AND ", at):
            cuts.append(at)
    if not cuts:
        if expression.startswith("(") and not inner:
            return _terms(expression[1:-1])
        return [expression]
    starts = [0, *(cut + len(" AND ") for cut in cuts)]
    return [
        term
        for start, end in zip(starts, [*cuts, len(expression)], strict=True)
        for term in _terms(expression[start:end])
    ]
