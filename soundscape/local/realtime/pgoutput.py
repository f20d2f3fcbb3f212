"""The bytes of Postgres' `pgoutput` plugin (protocol versions 1 and 2), decoded.

Layout: PostgreSQL documentation, chapter "Logical Replication Message Formats". Values arrive in
the text form of the decoding session, so its time zone and date style matter.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

Values = dict[str, str | None]
"""Column name → text form. A column that is absent was not logged (an unchanged TOAST value)."""

_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class MalformedStream(Exception):
    """Bytes that are not a pgoutput message of a version we know."""


@dataclass(frozen=True)
class Begin:
    commit_lsn: int
    committed_at: datetime
    xid: int


@dataclass(frozen=True)
class Commit:
    commit_lsn: int


@dataclass(frozen=True)
class RelationColumn:
    name: str
    type_oid: int
    in_identity: bool


@dataclass(frozen=True)
class Relation:
    oid: int
    schema: str
    name: str
    replica_identity: str
    """`d` primary key, `i` an index, `f` the whole row, `n` nothing."""
    columns: tuple[RelationColumn, ...]


@dataclass(frozen=True)
class Type:
    oid: int
    schema: str
    name: str


@dataclass(frozen=True)
class Truncate:
    relation_oids: tuple[int, ...]


@dataclass(frozen=True)
class RowChange:
    """An insert, update or delete. `old` holds the identity columns, or the whole row when it is `f`."""

    kind: Literal["INSERT", "UPDATE", "DELETE"]
    relation: Relation
    new: Values
    old: Values | None


Decoded = Begin | Commit | Relation | Type | Truncate | RowChange


class Decoder:
    """Decodes one stream; remembers the relations announced in it."""

    def __init__(self) -> None:
        self._relations: dict[int, Relation] = {}

    def decode(self, data: bytes) -> Decoded | None:
        """One message; None for kinds that say nothing about rows. Raises `MalformedStream`."""
        try:
            return self._decode(_Cursor(data))
        except (struct.error, IndexError, KeyError, ValueError) as error:
            raise MalformedStream(f"pgoutput message {data[:1]!r}: {error}") from error

    def _decode(self, at: _Cursor) -> Decoded | None:
        match at.letter():
            case "B":
                lsn, committed_us, xid = at.unpack("!QqI")
                return Begin(lsn, _POSTGRES_EPOCH + timedelta(microseconds=committed_us), xid)
            case "C":
                _flags, lsn, _end_lsn, _committed_us = at.unpack("!BQQq")
                return Commit(lsn)
            case "R":
                return self._relation(at)
            case "Y":
                (oid,) = at.unpack("!I")
                return Type(oid, at.text(), at.text())
            case "I":
                relation = self._relations[at.unpack("!I")[0]]
                at.letter()
                return RowChange("INSERT", relation, at.row(relation), None)
            case "U":
                return self._update(at)
            case "D":
                relation = self._relations[at.unpack("!I")[0]]
                return RowChange("DELETE", relation, {}, at.identity(relation, at.letter()))
            case "T":
                count, _flags = at.unpack("!IB")
                return Truncate(at.unpack(f"!{count}I"))
            case "O" | "M":
                return None
            case other:
                raise ValueError(f"unknown kind {other!r}")

    def _relation(self, at: _Cursor) -> Relation:
        (oid,) = at.unpack("!I")
        schema, name, identity = at.text() or "pg_catalog", at.text(), at.letter()
        columns = []
        for _ in range(at.unpack("!H")[0]):
            (flags,) = at.unpack("!B")
            column = at.text()
            type_oid, _modifier = at.unpack("!Ii")
            columns.append(RelationColumn(column, type_oid, bool(flags & 1)))
        relation = Relation(oid, schema, name, identity, tuple(columns))
        self._relations[oid] = relation
        return relation

    def _update(self, at: _Cursor) -> RowChange:
        relation = self._relations[at.unpack("!I")[0]]
        part, old = at.letter(), None
        if part in "KO":
            old = at.identity(relation, part)
            part = at.letter()
        if part != "N":
            raise ValueError(f"an update without a new row: {part!r}")
        return RowChange("UPDATE", relation, at.row(relation), old)


class _Cursor:
    """A position in one message."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    def unpack(self, layout: str) -> tuple[int, ...]:
        found = struct.unpack_from(layout, self._data, self._offset)
        self._offset += struct.calcsize(layout)
        return found

    def letter(self) -> str:
        return chr(self.unpack("!B")[0])

    def text(self) -> str:
        end = self._data.index(b"\0", self._offset)
        found = self._data[self._offset : end].decode()
        self._offset = end + 1
        return found

    def row(self, relation: Relation) -> Values:
        (count,) = self.unpack("!H")
        if count != len(relation.columns):
            raise ValueError(f"{count} values for {len(relation.columns)} columns")
        values: Values = {}
        for column in relation.columns:
            match self.letter():
                case "n":
                    values[column.name] = None
                case "u":
                    continue
                case "t":
                    (length,) = self.unpack("!I")
                    values[column.name] = self._take(length).decode()
                case other:
                    raise ValueError(f"unknown kind of value {other!r}")
        return values

    def identity(self, relation: Relation, part: str) -> Values:
        """The old row (`O`), or of a key (`K`) only its columns: the others are sent as null."""
        values = self.row(relation)
        if part == "O":
            return values
        if part != "K":
            raise ValueError(f"unknown part of a row {part!r}")
        keys = {column.name for column in relation.columns if column.in_identity}
        return {name: value for name, value in values.items() if name in keys}

    def _take(self, length: int) -> bytes:
        end = self._offset + length
        if end > len(self._data):
            raise ValueError("value runs over the end")
        found = self._data[self._offset : end]
        self._offset = end
        return found
