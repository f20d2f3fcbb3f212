"""The project's index of fingerprints. The SQL behind each call: supabase/migrations/*_fingerprints.sql."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from soundscape.project.client import translated
from soundscape.project.functions import Functions

if TYPE_CHECKING:
    from soundscape.audio.fingerprint import Candidate, Fingerprint, Keys


@dataclass(frozen=True)
class Unindexed:
    """A recording whose fingerprint lies in Storage, under `path`, but not in the index."""

    audio_id: str
    object_version: str
    path: str


@dataclass(frozen=True)
class Unsettled:
    """A recording, and those that neither it nor they were compared with, being written at one moment."""

    audio_id: str
    others: list[str]


class Fingerprints(Functions):
    """Whose sound is it? Every method raises `ProjectUnreachable` or `ProjectError`."""

    async def moment(self) -> str:
        """What the index holds now: said with a fingerprint that was compared with it, for `unsettled`."""
        return str(await self._call("index_snapshot"))

    async def candidates(
        self,
        keys: Keys,
        most: int,
        *,
        viewer: str | None = None,
        everybody: bool = False,
        besides: str | None = None,
    ) -> list[Candidate]:
        """Up to `most` (recording, offset) that hold most of the keys, of recordings that `viewer` sees.

        Without a viewer those that the owner of `besides` sees; everybody: everybody's, for claims, which are
        then shown to whoever may see them. `besides` itself is left out.
        """
        from soundscape.audio.fingerprint import VERSION, Candidate

        rows = await self._call(
            "fingerprint_candidates",
            keys=keys.values.tolist(),
            frames=keys.frames.tolist(),
            version=VERSION,
            max_candidates=most,
            viewer=viewer,
            all_owners=everybody,
            for_recording=besides,
        )
        with translated("fingerprint_candidates"):
            return [
                Candidate(
                    row["audio_id"], int(row["lag_frames"]), int(row["pairs"]), len(keys), int(row["among"])
                )
                for row in rows
            ]

    async def stored(self, recordings: list[str]) -> dict[str, Fingerprint]:
        """The fingerprints of those that are still indexed. Raises `FingerprintError` for a damaged one."""
        from soundscape.audio.fingerprint import Fingerprint

        rows = await self._call("stored_fingerprints", recordings=recordings)
        with translated("stored_fingerprints"):
            packed = {str(row["audio_id"]): base64.b64decode(row["peaks"]) for row in rows}
        return {audio_id: Fingerprint.from_bytes(peaks) for audio_id, peaks in packed.items()}

    async def unindexed(self, most: int, *, after: str | None) -> list[Unindexed]:
        """Recordings after an id that were analysed before there was an index."""
        from soundscape.audio.fingerprint import VERSION

        rows = await self._call("unindexed_recordings", version=VERSION, max_recordings=most, after=after)
        with translated("unindexed_recordings"):
            return [Unindexed(row["audio_id"], row["object_version"], row["path"]) for row in rows]

    async def index(self, recording: Unindexed, entry: dict[str, Any], claims: list[dict[str, Any]]) -> bool:
        """Index such a recording and claim what it matches; False where it has other bytes by now."""
        return bool(
            await self._call(
                "index_recording",
                recording=recording.audio_id,
                object_version=recording.object_version,
                result={"index": entry, "matches": claims},
            )
        )

    async def unsettled(self, most: int) -> list[Unsettled]:
        """Fingerprints that were compared with the index while others were written to it."""
        rows = await self._call("pending_comparisons", max_fingerprints=most)
        with translated("pending_comparisons"):
            return [Unsettled(str(row["audio_id"]), [str(other) for other in row["others"]]) for row in rows]

    async def settle(self, compared: Unsettled, claims: list[dict[str, Any]]) -> None:
        """Claim what came of comparing them."""
        await self._call(
            "complete_comparison", recording=compared.audio_id, others=compared.others, matches=claims
        )
