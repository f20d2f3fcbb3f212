"""The bytes of Postgres' `pgoutput` plugin (protocol versions 1 and 2), decoded.

Layout: PostgreSQL documentation, chapter "Logical Replication Message Formats". Values arrive in
the text form of the decoding session, so its time zone and date style matter.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

Values = dict[str, str | None]
"""Column name → text form. A column that is absent was not logged (an unchanged TOAST value)."""

_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class MalformedStream(Exception):
    """Bytes that are not a pgoutput message of a version we know."""


@dataclass(frozen=True)
class Begin:
    commit_lsn: int
    committed_at: datetime


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
class RowChange:
    """An insert, update or delete. `old` holds the identity columns, or the whole row where that is one."""

    kind: Literal["INSERT", "UPDATE", "DELETE"]
    relation: Relation
    new: Values
    old: Values | None


class Decoder:
    """Decodes one stream; remembers the relations announced in it."""

    def __init__(self) -> None:
        self._relations: dict[int, Relation] = {}

    def decode(self, data: bytes) -> Begin | RowChange | None:
        """One message; None for kinds that say nothing about rows. Raises `MalformedStream`."""
        try:
            return self._decode(_Cursor(data))
        except (struct.error, KeyError, ValueError, OverflowError) as error:
            raise MalformedStream(f"pgoutput message {data[:1]!r}: {error}") from error

    def _decode(self, at: _Cursor) -> Begin | RowChange | None:
        match at.letter():
            case "B":
                lsn, committed_us, _ = at.unpack("!QqI")
                return Begin(lsn, _POSTGRES_EPOCH + timedelta(microseconds=committed_us))
            case "R":
                self._remember(at)
            case "I":
                relation, _ = self._relation(at), at.letter()
                return RowChange("INSERT", relation, at.row(relation), None)
            case "U":
                relation, part, old = self._relation(at), at.letter(), None
                if part != "N":
                    old, part = at.identity(relation, part), at.letter()
                if part != "N":
                    raise ValueError(f"an update without a new row: {part!r}")
                return RowChange("UPDATE", relation, at.row(relation), old)
            case "D":
                relation = self._relation(at)
                return RowChange("DELETE", relation, {}, at.identity(relation, at.letter()))
            case "C" | "Y" | "T" | "O" | "M":
                pass
            case other:
                raise ValueError(f"unknown kind {other!r}")
        return None

    def _relation(self, at: _Cursor) -> Relation:
        return self._relations[at.unpack("!I")[0]]

    def _remember(self, at: _Cursor) -> None:
        (oid,) = at.unpack("!I")
        schema, name, identity = at.text() or "pg_catalog", at.text(), at.letter()
        columns = {}
        for _ in range(at.unpack("!H")[0]):
            (flags,) = at.unpack("!B")
            columns[at.text()] = bool(flags & 1)
            at.unpack("!Ii")  # type and modifier
        self._relations[oid] = Relation(oid, schema, name, identity == "f", columns)


class _Cursor:
    """A position in one message."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    def unpack(self, layout: str) -> tuple[Any, ...]:
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
        for name in relation.columns:
            match self.letter():
                case "n":
                    values[name] = None
                case "t":
                    (length,) = self.unpack("!I")
                    values[name] = self.unpack(f"!{length}s")[0].decode()
                case "u":
                    continue
                case other:
                    raise ValueError(f"unknown kind of value {other!r}")
        return values

    def identity(self, relation: Relation, part: str) -> Values:
        """The old row (`O`), or of a key (`K`) only its columns: the others are sent as null."""
        if part not in ("O", "K"):
            raise ValueError(f"unknown part of a row {part!r}")
        values = self.row(relation)
        return {name: value for name, value in values.items() if part == "O" or relation.columns[name]}
