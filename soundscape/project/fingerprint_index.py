"""The project's index of fingerprints. The SQL behind each call: supabase/migrations/*_fingerprints.sql.

The chain is index → candidate → match → claim. The index finds candidates, `soundscape.audio.fingerprint`
verifies them and calls the real ones matches, and a match about a recording is stored as a claim.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from soundscape.project.client import translate_errors
from soundscape.project.functions import Functions

if TYPE_CHECKING:
    from soundscape.audio.fingerprint import Candidate, Fingerprint, Keys, Match

CLAIM_KINDS = {
    "same recording": "same_recording",
    "excerpt": "contains",
    "shared material": "shared_passage",
}
"""The kind of a claim, by the kind of its match."""


@dataclass(frozen=True)
class UnindexedRecording:
    """A recording whose fingerprint is in Storage, under `path`, but not in the index."""

    audio_id: str
    object_version: str
    path: str


@dataclass(frozen=True)
class UncomparedRecording:
    """A recording that was never compared with `others`: they were written to the index at the same time."""

    audio_id: str
    others: list[str]


class FingerprintIndex(Functions):
    """The index in the project's database. Every method raises `ProjectUnreachable` or `ProjectError`."""

    async def read_snapshot(self) -> str:
        """Read the state of the index.

        Stored with a fingerprint, it says which other fingerprints the new one could not be compared with.
        """
        return str(await self._call("index_snapshot"))

    async def find_candidates(
        self,
        keys: Keys,
        limit: int,
        *,
        viewer: str | None = None,
        everybody: bool = False,
        exclude: str | None = None,
    ) -> list[Candidate]:
        """Find the recordings and offsets that hold most of the keys.

        Parameters
        ----------
        keys
            Keys of the query.
        limit
            How many candidates to return at most.
        viewer
            User whose rights decide which recordings are searched. None: the owner of `exclude`.
        everybody
            Search all recordings. Only for claims, which are shown to whoever may see both recordings.
        exclude
            A recording to leave out.

        Returns
        -------
        list of Candidate
            One per recording and offset.
        """
        from soundscape.audio.fingerprint import VERSION, Candidate

        rows = await self._call(
            "fingerprint_candidates",
            keys=keys.values.tolist(),
            frames=keys.frames.tolist(),
            version=VERSION,
            max_candidates=limit,
            viewer=viewer,
            all_owners=everybody,
            for_recording=exclude,
        )
        with translate_errors("fingerprint_candidates"):
            return [
                Candidate(
                    row["audio_id"], int(row["lag_frames"]), int(row["pairs"]), len(keys), int(row["among"])
                )
                for row in rows
            ]

    async def read_fingerprints(self, recordings: list[str]) -> dict[str, Fingerprint]:
        """Read the fingerprints of those recordings that are still indexed.

        Raises
        ------
        FingerprintError
            If one of them is damaged.
        """
        from soundscape.audio.fingerprint import Fingerprint

        rows = await self._call("stored_fingerprints", recordings=recordings)
        with translate_errors("stored_fingerprints"):
            packed = {str(row["audio_id"]): base64.b64decode(row["peaks"]) for row in rows}
        return {audio_id: Fingerprint.from_bytes(peaks) for audio_id, peaks in packed.items()}

    async def list_unindexed(self, limit: int, *, after: str | None) -> list[UnindexedRecording]:
        """List recordings with an id above `after` that were analysed before there was an index."""
        from soundscape.audio.fingerprint import VERSION

        rows = await self._call("unindexed_recordings", version=VERSION, max_recordings=limit, after=after)
        with translate_errors("unindexed_recordings"):
            return [UnindexedRecording(row["audio_id"], row["object_version"], row["path"]) for row in rows]

    async def add(
        self, recording: UnindexedRecording, entry: dict[str, Any], claims: list[dict[str, Any]]
    ) -> bool:
        """Write a recording's entry and claims. Returns False if the recording's file has changed."""
        return bool(
            await self._call(
                "index_recording",
                recording=recording.audio_id,
                object_version=recording.object_version,
                result={"index": entry, "matches": claims},
            )
        )

    async def list_uncompared(self, limit: int) -> list[UncomparedRecording]:
        """List recordings that were written to the index at the same time as others."""
        rows = await self._call("pending_comparisons", max_fingerprints=limit)
        with translate_errors("pending_comparisons"):
            return [
                UncomparedRecording(str(row["audio_id"]), [str(other) for other in row["others"]])
                for row in rows
            ]

    async def finish_comparison(self, compared: UncomparedRecording, claims: list[dict[str, Any]]) -> None:
        """Write the claims of a comparison, and note that it is done."""
        await self._call(
            "complete_comparison", recording=compared.audio_id, others=compared.others, matches=claims
        )


def make_entry(fingerprint: Fingerprint) -> dict[str, Any]:
    """Make what the index stores of a fingerprint: about 85 kB of JSON for a quarter of an hour."""
    from soundscape.audio.fingerprint import VERSION, make_stored_keys

    keys = make_stored_keys(fingerprint)
    return {
        "version": VERSION,
        "peaks": base64.b64encode(fingerprint.to_bytes()).decode(),
        "keys": keys.values.tolist(),
        "frames": keys.frames.tolist(),
    }


def make_claim(match: Match) -> dict[str, Any]:
    """Make a row of `audio_matches` from a match."""
    return {
        "audio_id": match.recording_id,
        "kind": CLAIM_KINDS[match.kind.value],
        "probability": round(match.probability, 6),
        "evidence": describe_evidence(match),
    }


def describe_evidence(match: Match) -> dict[str, Any]:
    """Where and how much the two sounds share."""
    return {
        "offset_s": round(match.offset_s, 3),
        "span_s": [round(end_s, 3) for end_s in match.span_s],
        "share": round(match.share_of_query, 4),
        "share_of_matched": round(match.share_of_recording, 4),
        "share_of_energy": None if match.share_of_energy is None else round(match.share_of_energy, 4),
        "level_correlation": None if match.level_correlation is None else round(match.level_correlation, 4),
        "speed": round(match.speed, 4),
        "score": round(match.score, 1),
        "other_offsets_s": [round(offset_s, 3) for offset_s in match.other_offsets_s],
    }
