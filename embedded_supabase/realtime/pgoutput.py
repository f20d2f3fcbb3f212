"""Decodes the messages of Postgres's plugin `pgoutput` (protocol versions 1 and 2).

Layout: PostgreSQL documentation, "Logical Replication Message Formats". The session that reads the slot
settles the text form of values: its time zone and date style matter.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

Values = dict[str, str | None]
"""Column name → text form. A column that is absent was not logged (an unchanged TOAST value)."""

_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_KINDS = {b"I": "INSERT", b"U": "UPDATE", b"D": "DELETE"}
_OTHERS = (b"C", b"Y", b"T", b"O", b"M")
"""Commit, type, truncate, origin, message: no client gets them."""


class MalformedStream(Exception):
    """Bytes that are not a pgoutput message of a version we know."""


@dataclass(frozen=True)
class Relation:
    oid: int
    schema: str
    name: str
    logs_whole_rows: bool
    """Whether the replica identity is the whole row."""
    columns: dict[str, bool]
    """By name: whether the column belongs to the replica identity."""


@dataclass(frozen=True)
class Change:
    """A committed insert, update or delete."""

    kind: str
    relation: Relation
    new: Values
    old: Values | None
    """The columns of the replica identity, where they were logged."""
    commit_lsn: int
    committed_at: datetime


class Decoder:
    """Decodes one stream. Keeps the relations that it announced and the current transaction."""

    def __init__(self) -> None:
        self._relations: dict[int, Relation] = {}
        self._commit = (0, _POSTGRES_EPOCH)

    def decode(self, data: bytes) -> Change | None:
        """Decode a message; None for one that changes no row. Raises `MalformedStream`."""
        at = _Cursor(data)
        try:
            (kind,) = at.unpack("!c")
            if kind in _KINDS:
                return self._decode_change(_KINDS[kind], at)
            if kind == b"B":
                commit_lsn, committed_us, _ = at.unpack("!QqI")
                self._commit = (commit_lsn, _POSTGRES_EPOCH + timedelta(microseconds=committed_us))
            elif kind == b"R":
                self._decode_relation(at)
            elif kind not in _OTHERS:
                raise ValueError(f"unknown kind {kind!r}")
        except (struct.error, KeyError, ValueError, OverflowError) as error:
            raise MalformedStream(f"pgoutput message {data[:1]!r}: {error}") from error
        return None

    def _decode_change(self, kind: str, at: _Cursor) -> Change:
        """The new row is marked `N`; the old one `O` when it is whole, `K` with nulls around its key."""
        relation = self._relations[at.unpack("!I")[0]]
        rows: dict[bytes, Values] = {}
        while at.offset < len(at.data):
            (mark,) = at.unpack("!c")
            rows[mark] = at.read_row(relation)
        old = rows.pop(b"O", None)
        if b"K" in rows:
            old = {name: value for name, value in rows.pop(b"K").items() if relation.columns[name]}
        new = rows.pop(b"N") if kind != "DELETE" else {}
        if rows or (kind == "DELETE" and old is None):
            raise ValueError(f"unexpected parts {[*rows]}")
        return Change(kind, relation, new, old, *self._commit)

    def _decode_relation(self, at: _Cursor) -> None:
        (oid,) = at.unpack("!I")
        schema, name, (identity, count) = at.read_text() or "pg_catalog", at.read_text(), at.unpack("!cH")
        columns = {}
        for _ in range(count):
            (flags,) = at.unpack("!B")
            columns[at.read_text()] = bool(flags & 1)
            at.unpack("!Ii")  # type and modifier
        self._relations[oid] = Relation(oid, schema, name, identity == b"f", columns)


@dataclass
class _Cursor:
    """A position in one message."""

    data: bytes
    offset: int = 0

    def unpack(self, layout: str) -> tuple[Any, ...]:
        found = struct.unpack_from(layout, self.data, self.offset)
        self.offset += struct.calcsize(layout)
        return found

    def read_text(self) -> str:
        end = self.data.index(b"\0", self.offset)
        found = self.data[self.offset : end].decode()
        self.offset = end + 1
        return found

    def read_row(self, relation: Relation) -> Values:
        (count,) = self.unpack("!H")
        if count != len(relation.columns):
            raise ValueError(f"{count} values for {len(relation.columns)} columns")
        values: Values = {}
        for name in relation.columns:
            (mark,) = self.unpack("!c")
            if mark == b"t":
                (length,) = self.unpack("!I")
                values[name] = self.unpack(f"!{length}s")[0].decode()
            elif mark == b"n":
                values[name] = None
            elif mark != b"u":
                raise ValueError(f"unknown kind of value {mark!r}")
        return values
