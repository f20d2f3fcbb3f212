"""Events of users with items, read from CSV or Parquet."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from soundscape.errors import RecommendationError

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

COLUMNS = {
    "user": ("user", "user_id"),
    "item": ("item", "item_id", "audio_id"),
    "weight": ("weight",),
    "time": ("time", "timestamp", "created_at"),
}
PARQUET_SUFFIXES = (".parquet", ".pq")


@dataclass(frozen=True)
class Interactions:
    """Events as parallel arrays.

    Parameters
    ----------
    users, items
        Names.
    user, item
        Positions in `users` and `items`, (events,).
    weight
        How much an event counts for its pair; below 0 it counts against it. (events,)
    time
        In seconds, (events,); None if the source had no times.
    """

    users: tuple[str, ...]
    items: tuple[str, ...]
    user: Int64
    item: Int64
    weight: Float64
    time: Float64 | None = None

    def __len__(self) -> int:
        return len(self.user)

    @cached_property
    def matrix(self) -> sparse.csr_matrix:
        """Summed weights, (users, items), float32. Pairs whose sum is not above 0 are left out."""
        return self.select(np.ones(len(self), dtype=bool))

    def select(self, kept: npt.NDArray[np.bool_]) -> sparse.csr_matrix:
        """Return `matrix` of some events: `kept` is (events,)."""
        return keep_positive(self._sum(kept))

    @cached_property
    def signed(self) -> sparse.csr_matrix:
        """Summed weights with those below 0, which count against an item, (users, items), float32."""
        return self._sum(np.ones(len(self), dtype=bool))

    def rank_recency(self, rows: sparse.csr_matrix) -> sparse.csr_matrix | None:
        """Return the rank of each entry of `rows` within its row, by time: 1 for the latest.

        Of two at the same time, the first by name is the later one, as in recommended_audio. None if no times
        are known. `rows` is (users, items), in order.
        """
        if self.time is None:
            return None
        assert rows.has_sorted_indices
        pairs = self.user * len(self.items) + self.item
        order = np.lexsort((self.time, pairs))
        known, begins = np.unique(pairs[order], return_index=True)
        last = self.time[order][np.append(begins[1:], len(order)) - 1]
        user = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
        at = last[np.searchsorted(known, user * len(self.items) + rows.indices)]
        by_name = np.argsort(np.argsort(np.array(self.items)))
        turn = np.empty(rows.nnz, dtype=np.float32)
        turn[np.lexsort((by_name[rows.indices], -at, user))] = np.arange(rows.nnz) - rows.indptr[user] + 1
        return sparse.csr_matrix((turn, rows.indices, rows.indptr), shape=rows.shape)

    def _sum(self, kept: npt.NDArray[np.bool_]) -> sparse.csr_matrix:
        found = sparse.coo_matrix(
            (self.weight[kept], (self.user[kept], self.item[kept])),
            shape=(len(self.users), len(self.items)),
        ).tocsr()
        found.eliminate_zeros()
        return found.astype(np.float32)

    @classmethod
    def from_events(cls, events: Iterable[tuple[str, str, float, float | None]]) -> Interactions:
        """Make it from (user, item, weight, time in s). Times count only if every event has one."""
        users: dict[str, int] = {}
        items: dict[str, int] = {}
        rows = [
            (users.setdefault(user, len(users)), items.setdefault(item, len(items)), weight, time)
            for user, item, weight, time in events
        ]
        timed = bool(rows) and all(row[3] is not None for row in rows)
        return cls(
            tuple(users),
            tuple(items),
            np.array([row[0] for row in rows], dtype=np.int64),
            np.array([row[1] for row in rows], dtype=np.int64),
            np.array([row[2] for row in rows], dtype=np.float64),
            np.array([row[3] for row in rows], dtype=np.float64) if timed else None,
        )


def keep_positive(signed: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return a copy without the entries that are not above 0."""
    found = signed.copy()
    found.data = np.maximum(found.data, 0)
    found.eliminate_zeros()
    return found


def read_interactions(path: Path) -> Interactions:
    """Read events from CSV (comma or tab) or Parquet.

    Columns: `user` (or `user_id`), `item` (`item_id`, `audio_id`); optional `weight` (1 where absent or
    empty) and `time` (`timestamp`, `created_at`: seconds or ISO 8601). Others are ignored.

    Raises
    ------
    RecommendationError
        The file cannot be read, a column is missing, or a value is not a number or time.
    """
    names, rows = read_table(path)
    place = {
        wanted: next((names.index(name) for name in known if name in names), None)
        for wanted, known in COLUMNS.items()
    }
    user, item, weight, time = (place[name] for name in ("user", "item", "weight", "time"))
    if user is None or item is None:
        raise RecommendationError(
            f"{path.name} has no column `user` or no column `item`; it has {', '.join(names) or 'none'}.",
            remedy="The first line names the columns: user, item and, if known, weight and time.",
        )

    def event(number: int, row: Sequence[Any]) -> tuple[str, str, float, float | None]:
        try:
            return (
                _name(row[user]),
                _name(row[item]),
                1.0 if weight is None else _number(row[weight], absent=1.0),
                None if time is None else _seconds(row[time]),
            )
        except (ValueError, TypeError, IndexError) as error:
            raise RecommendationError(f"{path.name}, event {number}: {error}.") from error

    found = Interactions.from_events(event(number, row) for number, row in enumerate(rows, start=1))
    if not len(found):
        raise RecommendationError(f"{path.name} holds no events.")
    return found


def read_table(path: Path) -> tuple[list[str], list[Sequence[Any]]]:
    """Read the column names and rows of a CSV or Parquet file."""
    if path.suffix.lower() in PARQUET_SUFFIXES:
        return _read_parquet(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            rows = list(csv.reader(file, delimiter="\t" if "\t" in first else ","))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecommendationError(f"{path} cannot be read: {error}.") from error
    names = [name.strip().lower() for name in rows[0]] if rows else []
    return names, [row for row in rows[1:] if row]


def _read_parquet(path: Path) -> tuple[list[str], list[Sequence[Any]]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise RecommendationError(
            "Parquet is read by pyarrow, which is not installed.",
            remedy="pip install 'soundscape[recommend]', or give the same as CSV.",
        ) from error
    try:
        table = parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise RecommendationError(f"{path} cannot be read: {error}.") from error
    columns = [column.to_pylist() for column in table.columns]
    return [name.lower() for name in table.column_names], list(zip(*columns, strict=True))


def _name(value: Any) -> str:
    name = "" if value is None else str(value).strip()
    if not name:
        raise ValueError("a user or an item without a name")
    return name


def _number(value: Any, *, absent: float) -> float:
    if value is None or value == "":
        return absent
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is no finite number")
    return number


def _seconds(value: Any) -> float | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            return _number(value, absent=0.0)
        except ValueError:
            value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return _number(value, absent=0.0)
