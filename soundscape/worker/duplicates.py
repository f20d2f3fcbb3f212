"""Recognising a recording by its fingerprint: what the index keeps of it, and what it matches there."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from soundscape.errors import AnalysisCrashed, ProjectError, ProjectUnreachable, Refusal
from soundscape.project.fingerprints import Fingerprints
from soundscape.project.objects import WAVEFORM_BUCKET, Objects
from soundscape.worker.results import Results

if TYPE_CHECKING:
    from soundscape.audio.fingerprint import Candidate, Fingerprint, Hit, Keys, Matches

log = structlog.get_logger(__name__)

MOST_BYTES = 32 << 20
"""Of a fingerprint as a file; four hours take two megabytes."""
MOST_KEYS_ASKED = 1500
"""Of long recordings, only so many keys are looked up, spread over the whole."""
FIRST_ONE_IN = 3
"""Of a sound's keys, one in so many is looked up first: enough but in noise, and three times as fast."""
CANDIDATES_PER_HIT = 4
"""Asked for so many times over, since several offsets of one recording are one candidate in the end."""
SETTLED_AT_ONCE = 20
FORMER_AT_ONCE = 20
FORMER_FOR_S = 30.0
"""After which the sweep goes on, and comes back to them."""
ANSWER_TIMEOUT_S = 60.0
KINDS = {"same recording": "same_recording", "excerpt": "contains", "shared material": "shared_passage"}
"""What the matcher calls a match, and what a claim is called."""

T = TypeVar("T")


def warm_up() -> None:
    """Import and load what comparing takes, on peaks of no sound, so that no recording waits for it."""
    import numpy as np

    from soundscape.audio.fingerprint import Fingerprint, Index, match

    chance = np.random.default_rng(0)
    frame_count, peaks = 860, 600
    peaky = Fingerprint(
        frame_count=frame_count,
        frames=np.sort(chance.integers(0, frame_count, peaks)).astype(np.int32),
        pitches=chance.integers(0, 1000, peaks).astype(np.uint16),
        ranks=np.zeros(peaks, dtype=np.uint8),
    )
    heard = parsed(peaky.to_bytes())
    index = Index()
    index.add("itself", heard)
    match(heard, index)
    entry(heard)


class ProjectIndex:
    """The project's index as `soundscape.audio.fingerprint.match` asks one: from a thread, while `loop` runs.

    viewer: whose eyes it is seen with; without one, those of the owner of `besides`, a recording that is left
    out. everybody: with everybody's. one_in: of so many keys, one is looked up.
    """

    def __init__(
        self,
        fingerprints: Fingerprints,
        loop: asyncio.AbstractEventLoop,
        *,
        viewer: str | None = None,
        everybody: bool = False,
        besides: str | None = None,
        one_in: int = 1,
    ) -> None:
        self._fingerprints = fingerprints
        self._one_in = one_in
        self._loop = loop
        self._viewer = viewer
        self._everybody = everybody
        self._besides = besides
        self._stored: dict[str, Fingerprint] = {}

    def candidates(self, keys: Keys, limit: int) -> list[Candidate]:
        """The `limit` best (recording, offset), their fingerprints fetched with them."""
        from soundscape.audio.fingerprint.index import spaced_out

        some = _some(keys, one_in=self._one_in)
        if not len(some):
            return []
        found = self._await(
            self._fingerprints.candidates(
                some,
                CANDIDATES_PER_HIT * limit,
                viewer=self._viewer,
                everybody=self._everybody,
                besides=self._besides,
            )
        )
        best = spaced_out(sorted(found, key=lambda candidate: -candidate.pairs), limit)
        wanted = sorted({candidate.recording_id for candidate in best} - self._stored.keys())
        if wanted:
            self._stored |= self._await(self._fingerprints.stored(wanted))
        # One may have gone in between.
        return [candidate for candidate in best if candidate.recording_id in self._stored]

    def fingerprint(self, recording_id: str) -> Fingerprint:
        """The stored fingerprint of a candidate."""
        return self._stored[recording_id]

    def _await(self, question: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(question, self._loop).result(ANSWER_TIMEOUT_S)


async def matches(
    fingerprints: Fingerprints,
    heard: Fingerprint,
    *,
    viewer: str | None = None,
    everybody: bool = False,
    besides: str | None = None,
    any_speed: bool,
) -> Matches:
    """What the index holds of this sound, seen as by `ProjectIndex`.

    any_speed: also where it is played up to 4 % too slow or too fast.
    Raises `ProjectUnreachable` or `ProjectError`.
    """
    from soundscape.audio.fingerprint import Answer, match
    from soundscape.audio.fingerprint.match import SPEEDS

    loop = asyncio.get_running_loop()
    found = None
    for one_in, speeds in ((FIRST_ONE_IN, SPEEDS[:1]), (1, SPEEDS if any_speed else SPEEDS[:1])):
        index = ProjectIndex(
            fingerprints, loop, viewer=viewer, everybody=everybody, besides=besides, one_in=one_in
        )
        found = await asyncio.to_thread(partial(match, heard, index, speeds=speeds))
        if found.answer is not Answer.NO_MATCH:
            break
    assert found is not None
    return found


async def recognised(fingerprints: Fingerprints, heard: Fingerprint, audio_id: str) -> dict[str, Any]:
    """What `complete_job` and `index_recording` take beside a record: the index entry, and claims."""
    asked_in = await fingerprints.moment()
    # What the owner sees apart, or other people's private copies could take all the places there are.
    hits = {
        hit.recording_id: hit
        for everybody in (True, False)
        for hit in (
            await matches(fingerprints, heard, everybody=everybody, besides=audio_id, any_speed=False)
        ).hits
    }
    written = await asyncio.to_thread(entry, heard)
    return {"index": written | {"compared_in": asked_in}, "matches": [claim(hit) for hit in hits.values()]}


async def settle(fingerprints: Fingerprints) -> int:
    """Compare with each other what was written to the index at one moment; how many recordings there were.

    Neither was there when the other asked. Whoever asks after both were written sees both.
    Raises `ProjectUnreachable` or `ProjectError`.
    """
    from soundscape.audio.fingerprint import FingerprintError, Index, match
    from soundscape.audio.fingerprint.match import SPEEDS

    waiting = await fingerprints.unsettled(SETTLED_AT_ONCE)
    for compared in waiting:
        try:
            stored = await fingerprints.stored([compared.audio_id, *compared.others])
            heard = stored.pop(compared.audio_id)
        except (FingerprintError, KeyError) as error:
            # Damaged, or gone: there is nothing to compare, now or later.
            log.warning("a fingerprint was not compared", **{"audio.id": compared.audio_id}, error=str(error))
            await fingerprints.settle(compared, [])
            continue
        index = Index()
        for audio_id, other in stored.items():
            index.add(audio_id, other)
        found = await asyncio.to_thread(partial(match, heard, index, speeds=SPEEDS[:1]))
        await fingerprints.settle(compared, [claim(hit) for hit in found.hits])
    return len(waiting)


async def index_former(fingerprints: Fingerprints, objects: Objects) -> int:
    """Index recordings that were analysed before there was an index; returns how many.

    Their fingerprints lie in Storage. One that cannot be read is left out, and tried again another time.
    Raises `ProjectUnreachable` or `ProjectError`.
    """
    indexed, after = 0, None
    until_s = asyncio.get_running_loop().time() + FORMER_FOR_S
    while found := await fingerprints.unindexed(FORMER_AT_ONCE, after=after):
        if asyncio.get_running_loop().time() > until_s:
            break
        for recording in found:
            after = recording.audio_id
            try:
                file = io.BytesIO()
                await objects.fetch(WAVEFORM_BUCKET, recording.path, file, max_bytes=MOST_BYTES)
                heard = parsed(file.getvalue())
                made = await recognised(fingerprints, heard, recording.audio_id)
            except (AnalysisCrashed, Refusal, ProjectError) as error:
                if isinstance(error, ProjectUnreachable):
                    raise
                log.warning("a fingerprint was not indexed", **{"audio.id": after}, error=str(error))
                continue
            indexed += await fingerprints.index(recording, made["index"], made["matches"])
    return indexed


def entry(heard: Fingerprint) -> dict[str, Any]:
    """What the index keeps of a fingerprint: some 85 kB a quarter of an hour, as JSON."""
    from soundscape.audio.fingerprint import VERSION, stored_keys

    keys = stored_keys(heard)
    return {
        "version": VERSION,
        "peaks": base64.b64encode(heard.to_bytes()).decode(),
        "keys": keys.values.tolist(),
        "frames": keys.frames.tolist(),
    }


def claim(hit: Hit) -> dict[str, Any]:
    """A hit as a row of `audio_matches`."""
    return {
        "audio_id": hit.recording_id,
        "kind": KINDS[hit.kind.value],
        "probability": round(hit.probability, 6),
        "evidence": evidence(hit),
    }


def evidence(hit: Hit) -> dict[str, Any]:
    """Where and how much the two share."""
    return {
        "offset_s": round(hit.offset_s, 3),
        "span_s": [round(end_s, 3) for end_s in hit.span_s],
        "share": round(hit.share_of_query, 4),
        "share_of_matched": round(hit.share_of_recording, 4),
        "speed": round(hit.speed, 4),
        "score": round(hit.score, 1),
        "other_offsets_s": [round(offset_s, 3) for offset_s in hit.other_offsets_s],
    }


def fingerprint_of(record: dict[str, Any], results: Results) -> Fingerprint | None:
    """The fingerprint that an analysis left; None where it made none.

    Raises `AnalysisCrashed` where the file is none: the child that wrote it has read a stranger's bytes.
    """
    match record.get("fingerprint"):
        case {"path": str(name)} if name in results.names:
            with results.open(name) as file:
                data = file.read(MOST_BYTES)
        case _:
            return None
    return parsed(data)


def parsed(data: bytes) -> Fingerprint:
    """The bytes as a fingerprint. Raises `AnalysisCrashed` where they are none."""
    from soundscape.audio.fingerprint import Fingerprint, FingerprintError

    try:
        return Fingerprint.from_bytes(data)
    except FingerprintError as error:
        raise AnalysisCrashed(
            f"The analysis left a fingerprint that is none: {error.message}",
            code="analysis_strange_files",
            remedy="It is tried again.",
        ) from error


def _some(keys: Keys, *, one_in: int) -> Keys:
    from soundscape.audio.fingerprint import Keys

    step = max(one_in, -(-len(keys) // MOST_KEYS_ASKED))
    return Keys(keys.values[::step], keys.frames[::step])
