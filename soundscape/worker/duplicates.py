"""Duplicates: what the index stores of a recording, and what is claimed about it."""

from __future__ import annotations

import asyncio
import io
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from soundscape.errors import ProjectError, ProjectUnreachable, Refusal
from soundscape.project.fingerprint_index import FingerprintIndex, make_claim, make_entry
from soundscape.project.matching import match_fingerprint
from soundscape.project.objects import WAVEFORM_BUCKET, Objects
from soundscape.sandbox.results import MAX_FINGERPRINT_BYTES

if TYPE_CHECKING:
    from soundscape.audio.fingerprint import Fingerprint

log = structlog.get_logger(__name__)

COMPARED_PER_BATCH = 20
INDEXED_PER_BATCH = 20
MAX_INDEXING_S = 30.0
"""The sweep goes on after this time, and continues with the next recordings on its next run."""


async def find_claims(index: FingerprintIndex, fingerprint: Fingerprint, audio_id: str) -> dict[str, Any]:
    """Match a recording against the index.

    Returns
    -------
    dict
        What `complete_job` and `index_recording` take beside a record: `index`, the entry to store, and
        `matches`, the claims.
    """
    snapshot = await index.read_snapshot()
    # The owner's own view is searched separately: private copies of others could fill all candidates.
    matches = {
        match.recording_id: match
        for everybody in (True, False)
        for match in (
            await match_fingerprint(
                index, fingerprint, everybody=everybody, exclude=audio_id, any_speed=False
            )
        ).matches
    }
    entry = await asyncio.to_thread(make_entry, fingerprint)
    return {
        "index": entry | {"compared_in": snapshot},
        "matches": [make_claim(each) for each in matches.values()],
    }


async def compare_simultaneous(index: FingerprintIndex) -> int:
    """Compare recordings that were written to the index at the same time.

    Neither was there when the other was matched. A recording that is matched after both were written finds
    both.

    Returns
    -------
    int
        How many recordings were compared.

    Raises
    ------
    ProjectUnreachable, ProjectError
        If the database does not answer as it should.
    """
    from soundscape.audio.fingerprint import FingerprintError, MemoryIndex, find_matches
    from soundscape.audio.fingerprint.match import SPEEDS

    uncompared = await index.list_uncompared(COMPARED_PER_BATCH)
    for recording in uncompared:
        try:
            fingerprints = await index.read_fingerprints([recording.audio_id, *recording.others])
            query = fingerprints.pop(recording.audio_id)
        except (FingerprintError, KeyError) as error:
            # Damaged or deleted: there will never be anything to compare.
            log.warning(
                "a fingerprint could not be compared", **{"audio.id": recording.audio_id}, error=str(error)
            )
            await index.finish_comparison(recording, [])
            continue
        others = MemoryIndex()
        for audio_id, other in fingerprints.items():
            others.add(audio_id, other)
        result = await asyncio.to_thread(partial(find_matches, query, others, speeds=SPEEDS[:1]))
        await index.finish_comparison(recording, [make_claim(match) for match in result.matches])
    return len(uncompared)


async def index_older_recordings(index: FingerprintIndex, objects: Objects) -> int:
    """Index recordings that were analysed before there was an index.

    Their fingerprints are in Storage. One that cannot be read is skipped, and tried again on a later run.

    Returns
    -------
    int
        How many recordings were indexed.

    Raises
    ------
    ProjectUnreachable, ProjectError
        If the project does not answer as it should.
    """
    from soundscape.audio.fingerprint import Fingerprint, FingerprintError

    indexed, after = 0, None
    deadline = asyncio.get_running_loop().time() + MAX_INDEXING_S
    while batch := await index.list_unindexed(INDEXED_PER_BATCH, after=after):
        if asyncio.get_running_loop().time() > deadline:
            break
        for recording in batch:
            after = recording.audio_id
            try:
                file = io.BytesIO()
                await objects.fetch(WAVEFORM_BUCKET, recording.path, file, max_bytes=MAX_FINGERPRINT_BYTES)
                fingerprint = Fingerprint.from_bytes(file.getvalue())
                made = await find_claims(index, fingerprint, recording.audio_id)
            except (FingerprintError, Refusal, ProjectError) as error:
                if isinstance(error, ProjectUnreachable):
                    raise
                log.warning("a fingerprint could not be indexed", **{"audio.id": after}, error=str(error))
                continue
            indexed += await index.add(recording, made["index"], made["matches"])
    return indexed
