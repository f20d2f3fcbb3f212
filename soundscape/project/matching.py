"""Matching a fingerprint against the project's index."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from soundscape.project.fingerprint_index import FingerprintIndex, make_entry

if TYPE_CHECKING:
    from soundscape.audio.fingerprint import Candidate, Fingerprint, Keys, MatchResult

MAX_KEYS_PER_QUERY = 1500
"""Of a long recording, only so many keys are looked up, evenly spread over its length."""
FIRST_PASS_STEP = 3
"""The first pass looks up every third key: enough except in noise, and three times as fast."""
CANDIDATES_PER_MATCH = 4
"""So many times more candidates are asked for: several offsets of one recording become one candidate."""
QUERY_TIMEOUT_S = 60.0

T = TypeVar("T")


class IndexView:
    """The project's index as one viewer sees it: an `Index` of `soundscape.audio.fingerprint`.

    Its methods block. They are called from a thread while the event loop runs.

    Parameters
    ----------
    index
        The index in the database.
    loop
        The event loop that runs the queries.
    viewer, everybody, exclude
        As in `FingerprintIndex.find_candidates`.
    step
        Look up every n-th key.
    """

    def __init__(
        self,
        index: FingerprintIndex,
        loop: asyncio.AbstractEventLoop,
        *,
        viewer: str | None = None,
        everybody: bool = False,
        exclude: str | None = None,
        step: int = 1,
    ) -> None:
        self._index = index
        self._loop = loop
        self._viewer = viewer
        self._everybody = everybody
        self._exclude = exclude
        self._step = step
        self._fingerprints: dict[str, Fingerprint] = {}

    def find_candidates(self, keys: Keys, limit: int) -> list[Candidate]:
        """Find the `limit` best candidates, and read their fingerprints."""
        from soundscape.audio.fingerprint.index import drop_near_offsets

        sample = sample_keys(keys, step=self._step)
        if not len(sample):
            return []
        found = self._wait_for(
            self._index.find_candidates(
                sample,
                CANDIDATES_PER_MATCH * limit,
                viewer=self._viewer,
                everybody=self._everybody,
                exclude=self._exclude,
            )
        )
        best = drop_near_offsets(sorted(found, key=lambda candidate: -candidate.pairs), limit)
        missing = sorted({candidate.recording_id for candidate in best} - self._fingerprints.keys())
        if missing:
            self._fingerprints |= self._wait_for(self._index.read_fingerprints(missing))
        # A recording may have been deleted between the two queries.
        return [candidate for candidate in best if candidate.recording_id in self._fingerprints]

    def read_fingerprint(self, recording_id: str) -> Fingerprint:
        """The stored fingerprint of a candidate."""
        return self._fingerprints[recording_id]

    def _wait_for(self, query: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(query, self._loop).result(QUERY_TIMEOUT_S)


async def match_fingerprint(
    index: FingerprintIndex,
    fingerprint: Fingerprint,
    *,
    viewer: str | None = None,
    everybody: bool = False,
    exclude: str | None = None,
    any_speed: bool,
) -> MatchResult:
    """Match a fingerprint against the project's index.

    Parameters
    ----------
    index
        The index in the database.
    fingerprint
        The query.
    viewer, everybody, exclude
        As in `FingerprintIndex.find_candidates`.
    any_speed
        Also find recordings that the query plays up to 4 % too slowly or too fast.

    Raises
    ------
    ProjectUnreachable, ProjectError
        If the database does not answer as it should.
    """
    from soundscape.audio.fingerprint import Verdict, find_matches
    from soundscape.audio.fingerprint.match import SPEEDS

    loop = asyncio.get_running_loop()
    result = None
    for step, speeds in ((FIRST_PASS_STEP, SPEEDS[:1]), (1, SPEEDS if any_speed else SPEEDS[:1])):
        view = IndexView(index, loop, viewer=viewer, everybody=everybody, exclude=exclude, step=step)
        result = await asyncio.to_thread(partial(find_matches, fingerprint, view, speeds=speeds))
        if result.verdict is not Verdict.NO_MATCH:
            break
    assert result is not None
    return result


def sample_keys(keys: Keys, *, step: int) -> Keys:
    """Every `step`-th key, and no more than `MAX_KEYS_PER_QUERY`."""
    from soundscape.audio.fingerprint import Keys

    step = max(step, -(-len(keys) // MAX_KEYS_PER_QUERY))
    return Keys(keys.values[::step], keys.frames[::step])


def load_matcher() -> None:
    """Import and compile the matcher, on random peaks, so that no recording waits for it."""
    import numpy as np

    from soundscape.audio.fingerprint import Fingerprint, MemoryIndex, find_matches
    from soundscape.audio.fingerprint.levels import LEVEL_BANDS, count_rows

    random = np.random.default_rng(0)
    frame_count, peaks = 860, 600
    fingerprint = Fingerprint(
        frame_count=frame_count,
        frames=np.sort(random.integers(0, frame_count, peaks)).astype(np.int32),
        pitches=random.integers(0, 1000, peaks).astype(np.uint16),
        ranks=np.zeros(peaks, dtype=np.uint8),
        levels=random.integers(0, 256, (count_rows(frame_count), LEVEL_BANDS)).astype(np.uint8),
    )
    fingerprint = Fingerprint.from_bytes(fingerprint.to_bytes())
    index = MemoryIndex()
    index.add("itself", fingerprint)
    find_matches(fingerprint, index)
    make_entry(fingerprint)
