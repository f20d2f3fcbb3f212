"""The inverted index: key → (recording, frame).

`Index` is the interface between finding and verifying candidates. An index counts, for each recording and
offset, how many keys of a query it holds there. `MemoryIndex` is one; a table in Postgres is another.
Verification needs only the stored fingerprints of the few best candidates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from soundscape.audio.compiled import compiled

from .code import Fingerprint
from .keys import KEY_SPACE, Keys, make_stored_keys

LAG_STEP_FRAMES = 2
"""Offsets are counted in steps of two frames. A candidate's count includes one neighbouring step."""

_LAG_BIAS = 1 << 30
_RECORDING_SHIFT = 32


@dataclass(frozen=True)
class Candidate:
    """A recording that may contain the query.

    Attributes
    ----------
    recording_id
        As given to the index.
    lag_frames
        Where the query's first frame is in the recording, correct within two frames.
    pairs
        How many of the query's keys the recording holds at this offset.
    asked
        How many keys were looked up.
    among
        How many keys the index holds. The more, the likelier it is that some agree by chance.
    """

    recording_id: str
    lag_frames: int
    pairs: int
    asked: int
    among: int


class Index(Protocol):
    """Where candidates and their fingerprints come from."""

    def find_candidates(self, keys: Keys, limit: int) -> list[Candidate]:
        """Find the `limit` recordings and offsets that hold the most keys, best first."""

    def read_fingerprint(self, recording_id: str) -> Fingerprint:
        """Read the fingerprint of a candidate."""


class MemoryIndex:
    """An index in memory, for tests and small libraries.

    The first query after a change rebuilds the inverted lists. So add many recordings before many queries,
    not one between every two.
    """

    def __init__(self) -> None:
        self._fingerprints: dict[str, Fingerprint] = {}
        self._keys: dict[str, Keys] = {}
        self._order: list[str] | None = None
        self._starts = np.zeros(KEY_SPACE + 1, np.int32)
        self._recordings = np.zeros(0, np.int32)
        self._frames = np.zeros(0, np.int32)

    def __len__(self) -> int:
        return len(self._fingerprints)

    def __contains__(self, recording_id: object) -> bool:
        return recording_id in self._fingerprints

    def __iter__(self) -> Iterator[str]:
        return iter(self._fingerprints)

    def add(self, recording_id: str, fingerprint: Fingerprint) -> None:
        """Add a recording. It replaces one with the same id."""
        self._fingerprints[recording_id] = fingerprint
        self._keys[recording_id] = make_stored_keys(fingerprint)
        self._order = None

    def remove(self, recording_id: str) -> None:
        """Remove a recording. Raises KeyError if it is not in the index."""
        del self._fingerprints[recording_id]
        del self._keys[recording_id]
        self._order = None

    def read_fingerprint(self, recording_id: str) -> Fingerprint:
        """Read the fingerprint of a recording. Raises KeyError if it is not in the index."""
        return self._fingerprints[recording_id]

    def find_candidates(self, keys: Keys, limit: int) -> list[Candidate]:
        """Find the `limit` recordings and offsets that hold the most keys, best first."""
        order = self._build()
        codes = _collect(keys.values, keys.frames, self._starts, self._recordings, self._frames)
        codes.sort()
        places, counts = _count(codes)
        best = np.lexsort((places, -counts))[: 4 * limit]
        return drop_near_offsets(
            (
                Candidate(
                    order[places[i] >> _RECORDING_SHIFT],
                    _lag(int(places[i])),
                    int(counts[i]),
                    len(keys),
                    self._frames.shape[0],
                )
                for i in best
            ),
            limit,
        )

    def _build(self) -> list[str]:
        if self._order is None:
            order = list(self._fingerprints)
            keys = [self._keys[recording_id] for recording_id in order]
            values = np.concatenate([k.values for k in keys]) if keys else np.zeros(0, np.int32)
            frames = np.concatenate([k.frames for k in keys]) if keys else np.zeros(0, np.int32)
            recordings = np.repeat(np.arange(len(keys), dtype=np.int32), [len(k) for k in keys])
            by_key = np.argsort(values, kind="stable")
            self._starts[0] = 0
            np.cumsum(np.bincount(values, minlength=KEY_SPACE), out=self._starts[1:])
            self._recordings = recordings[by_key]
            self._frames = frames[by_key]
            self._order = order
        return self._order


def drop_near_offsets(best_first: Iterable[Candidate], limit: int) -> list[Candidate]:
    """Keep the first `limit` candidates. Drops those within two steps of a better one of a recording."""
    found: list[Candidate] = []
    taken: dict[str, list[int]] = {}
    for candidate in best_first:
        near = taken.setdefault(candidate.recording_id, [])
        if any(abs(candidate.lag_frames - other) <= 2 * LAG_STEP_FRAMES for other in near):
            continue
        near.append(candidate.lag_frames)
        found.append(candidate)
        if len(found) == limit:
            break
    return found


def _lag(place: int) -> int:
    """The middle of an offset step, in frames."""
    steps = place & ((1 << _RECORDING_SHIFT) - 1)
    return steps * LAG_STEP_FRAMES - _LAG_BIAS + LAG_STEP_FRAMES - 1


@compiled()
def _collect(
    values: npt.NDArray[np.int32],
    frames: npt.NDArray[np.int32],
    starts: npt.NDArray[np.int32],
    recordings: npt.NDArray[np.int32],
    stored_frames: npt.NDArray[np.int32],
) -> npt.NDArray[np.int64]:
    """One code per key that is held: the recording in the high half, the biased lag step in the low half."""
    total = 0
    for i in range(values.shape[0]):
        total += starts[values[i] + 1] - starts[values[i]]
    codes = np.empty(total, np.int64)
    n = 0
    for i in range(values.shape[0]):
        for j in range(starts[values[i]], starts[values[i] + 1]):
            lag = np.int64(stored_frames[j]) - frames[i] + _LAG_BIAS
            codes[n] = (np.int64(recordings[j]) << _RECORDING_SHIFT) | (lag // LAG_STEP_FRAMES)
            n += 1
    return codes


@compiled()
def _count(codes: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Count equal codes, together with those one step higher. Counts below two are left out."""
    places = np.empty(codes.shape[0], np.int64)
    counts = np.empty(codes.shape[0], np.int32)
    n = 0
    i = 0
    while i < codes.shape[0]:
        j = i
        while j < codes.shape[0] and codes[j] == codes[i]:
            j += 1
        k = j
        while k < codes.shape[0] and codes[k] == codes[i] + 1:
            k += 1
        if k - i >= 2:
            places[n] = codes[i]
            counts[n] = k - i
            n += 1
        i = j
    return places[:n].copy(), counts[:n].copy()
