"""`GET /api/audio/{id}/…`: addresses of a recording's files that stay the same.

Each answers with a redirect to a signed address. When a recording is no longer public, its objects get new
names, which ends every address that was signed before. docs/data-model.md#signed-urls says how soon.

Chromium and Firefox ask again at the signed address, not at this one, when a listener seeks. So the address
of a sound is valid for longer than the sound lasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from starlette.responses import RedirectResponse, Response

from soundscape.api.tokens import Caller
from soundscape.api.visitor import VisitorRights
from soundscape.errors import RequestRefused
from soundscape.project.objects import AUDIO_BUCKET, WAVEFORM_BUCKET

Part = Literal["preview", "original", "peaks", "waveform", "spectrogram", "thumbnail"]
Theme = Literal["light", "dark"]

PICTURE_SIGNED_FOR_S = 60
SOUND_SIGNED_FOR_S = 900
"""How long an address of a sound is valid, beyond its duration."""
MAX_SIGNED_FOR_S = 6 * 3600
REDIRECT_CACHED_S = 30
"""How long browsers and proxies may keep a redirect of a public recording."""
PREVIEW_RETRY_S = 30
PUBLIC_CACHE = f"public, max-age={REDIRECT_CACHED_S}"
COLUMNS = (
    "id,file_path,duration,playable,preview_path,is_listed,status,audio_features(waveform_path,pictures)"
)


class RecordingNotFound(RequestRefused):
    """There is no such recording, or the caller may not see it: both look the same."""

    code = "recording_not_found"
    status = 404

    def __init__(self) -> None:
        super().__init__(
            "There is no recording with this id that you may see.",
            remedy="Sign in as its owner if it is private, and send the access token.",
            headers={"Cache-Control": "no-store"},
        )


class FileMissing(RequestRefused):
    """The recording is there, and this file of it is not, or not yet."""

    code = "file_missing"
    status = 404


@dataclass(frozen=True)
class StoredFile:
    """Where a file of a recording lies."""

    bucket: str
    name: str


class Media:
    """Redirects from stable addresses to signed ones."""

    def __init__(self, rights: VisitorRights) -> None:
        self._rights = rights

    async def redirect(self, caller: Caller | None, audio_id: UUID, part: Part, theme: Theme) -> Response:
        """Redirect to a file of a recording.

        Parameters
        ----------
        caller
            Who asks; None for a stranger.
        audio_id
            The recording.
        part
            Which of its files.
        theme
            The page that a picture is for.

        Raises
        ------
        RecordingNotFound, FileMissing
            If the caller may not see the recording, or it has no such file.
        ProjectError
            If the project does not answer as it should.
        """
        rows = await self._rights.read_rows(caller, "audio_files", select=COLUMNS, id=f"eq.{audio_id}")
        if not rows:
            raise RecordingNotFound
        (recording,) = rows
        file = find_file(recording, part, theme)
        url = await self._rights.sign(
            caller, file.bucket, file.name, valid_s=choose_validity_s(recording, part)
        )
        if url is None:
            # Deleted, renamed or hidden since the row was read.
            raise RecordingNotFound
        is_shared = caller is None and recording["is_listed"]
        return RedirectResponse(
            url,
            status_code=302,
            headers={
                "Cache-Control": PUBLIC_CACHE if is_shared else "private, no-store",
                "Vary": "Authorization",
                # No cookie is read: a page of any site may ask for what a stranger may see.
                "Access-Control-Allow-Origin": "*",
            },
        )


def choose_validity_s(recording: dict[str, Any], part: Part) -> int:
    """How long a signed address of a part of a recording is valid, in seconds."""
    if part not in ("preview", "original"):
        return PICTURE_SIGNED_FOR_S
    # Until the analysis, the duration is what the client says.
    return min(SOUND_SIGNED_FOR_S + round(recording["duration"] or 0), MAX_SIGNED_FOR_S)


def find_file(recording: dict[str, Any], part: Part, theme: Theme) -> StoredFile:
    """Where a part of a recording lies. Raises `FileMissing`.

    Parameters
    ----------
    recording
        A row of `COLUMNS`.
    part, theme
        As in `Media.redirect`.
    """
    if part == "original":
        return StoredFile(AUDIO_BUCKET, recording["file_path"])
    features: dict[str, Any] = recording["audio_features"] or {}
    if part == "preview":
        if recording["preview_path"] is not None:
            return StoredFile(WAVEFORM_BUCKET, recording["preview_path"])
        # Null: not analysed, or before there were previews. Most browsers play most originals.
        if recording["playable"] is not False:
            return StoredFile(AUDIO_BUCKET, recording["file_path"])
        raise FileMissing(
            "The preview of this recording is not made yet.",
            code="preview_missing",
            remedy="Try again later, or use the original.",
            headers={"Cache-Control": "no-store", "Retry-After": str(PREVIEW_RETRY_S)},
        )
    if part == "peaks":
        overview = features.get("waveform_path")
        name = overview and overview.removesuffix(".dat") + ".json"
    elif part == "thumbnail":
        name = features.get("pictures", {}).get("thumbnail")
    else:
        name = features.get("pictures", {}).get(part if theme == "light" else f"{part}_dark")
    if not name:
        raise FileMissing(
            f"This recording has no {part}.",
            remedy="Wait until it is analysed, or analyse it again.",
            headers={"Cache-Control": "no-store"},
        )
    return StoredFile(WAVEFORM_BUCKET, name)
