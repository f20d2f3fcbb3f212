"""What a session asks of the project, by the rights of its user: a row, a limit, an upload."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import structlog

from soundscape.errors import ProjectError
from soundscape.live.journal import Journal, Note
from soundscape.project.client import http_client, translate_errors
from soundscape.project.objects import AUDIO_BUCKET
from soundscape.project.resumable import UploadRefused
from soundscape.project.retries import raise_if_passing
from soundscape.project.uploads import Uploader

log = structlog.get_logger(__name__)

TOKEN_MARGIN_S = 60.0
"""So near its end a token counts as expired: services allow for clocks that differ, each in its own way."""
LIMIT_KEPT_S = 60.0


class TokenRefused(ProjectError):
    """The user's token is not taken any more. A newer one may be."""

    code = "token_refused"


class RecordingDeleted(UploadRefused):
    """The user deleted the recording before its sound was stored."""

    code = "recording_deleted"


class _Account:
    """The user of a note, as `Uploader` wants one."""

    def __init__(self, url: str, public_key: str, http: httpx.AsyncClient, note: Note) -> None:
        self.url = url
        self.http = http
        self._public_key = public_key
        self._note = note

    async def headers(self) -> dict[str, str]:
        return _make_headers(self._public_key, self._note.token)


class UserRequests:
    """Requests to one project, each by the rights of a user.

    Parameters
    ----------
    url, public_key
        The project.
    clock
        Seconds since 1970.
    """

    def __init__(self, url: str, public_key: str, *, clock: Callable[[], float] = time.time) -> None:
        self._url = url
        self._public_key = public_key
        self._clock = clock
        self._http = http_client()
        self._max_bytes: int | None = None
        self._limit_read_at_s = -LIMIT_KEPT_S

    async def describe(self, token: str, row: dict[str, Any]) -> dict[str, Any]:
        """Write the row of a recording. Returns what `describe_audio` says of it; raises `ProjectError`."""
        described: dict[str, Any] = (await self._call("describe_audio", {"rows": [row]}, token))[0]
        return described

    async def read_max_bytes(self, token: str) -> int | None:
        """Read how large a recording may be; None where the project sets no limit. Raises `ProjectError`."""
        now_s = time.monotonic()
        if now_s - self._limit_read_at_s >= LIMIT_KEPT_S:
            found = (await self._call("accepted_uploads", {}, token))[0]["max_bytes"]
            self._max_bytes = None if found is None else int(found)
            self._limit_read_at_s = now_s
        return self._max_bytes

    async def upload(self, journal: Journal, file: Path) -> None:
        """Upload a sound, unless it is there already.

        Raises
        ------
        TokenRefused
            Only the token is refused, and the sound may still be taken with another.
        RecordingDeleted
            Nobody wants the sound any more.
        UploadRefused, ProjectUnreachable, OSError
            As by `Uploader.upload`.
        """
        note = journal.note
        await self._require_row(note)
        uploader = Uploader(_Account(self._url, self._public_key, self._http, note), journal.folder)
        try:
            await uploader.upload(note.file_path, file, note.content_type)
        except UploadRefused as refused:
            # Storage refuses a token as it refuses a user who may not upload: with 403.
            if note.expires_at_s < self._clock() + TOKEN_MARGIN_S:
                raise _refuse_token() from refused
            await self._require_row(note)
            raise
        await self._require_row(note)

    async def delete_row(self, note: Note) -> None:
        """Delete the row of a recording that has no sound."""
        try:
            with translate_errors("deleting an empty live recording"):
                await self._http.delete(
                    f"{self._url}/rest/v1/audio_files",
                    params={"id": f"eq.{note.audio_id}", "status": "eq.awaiting_upload"},
                    headers=_make_headers(self._public_key, note.token),
                )
        except ProjectError as error:
            # Its user sees it as one that waits for its file, and may delete it.
            log.warning("an empty live recording was not deleted", error=str(error))

    async def close(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def _require_row(self, note: Note) -> None:
        """Raise `RecordingDeleted` where nobody describes the recording any more, and remove its sound.

        Storage takes a sound that no row describes, and the sweep makes a draft of it. An upload after which
        the project was away may have left one, and its draft.
        """
        if await self._has_row(note):
            return
        headers = _make_headers(self._public_key, note.token)
        with translate_errors("removing the sound of a deleted live recording"):
            # It answers alike whether there is such an object.
            removed = await self._http.request(
                "DELETE",
                f"{self._url}/storage/v1/object/{AUDIO_BUCKET}",
                json={"prefixes": [note.file_path]},
                headers=headers,
            )
            raise_if_passing(removed, "Storage")
            drafts = await self._http.delete(
                f"{self._url}/rest/v1/audio_files",
                params={"file_path": f"eq.{note.file_path}"},
                headers=headers,
            )
            raise_if_passing(drafts, "The Data API")
        if removed.is_error or drafts.is_error:
            raise _refuse_token()
        raise RecordingDeleted("The recording was deleted before it was stored.")

    async def _has_row(self, note: Note) -> bool:
        """Whether the recording is still described. Raises `TokenRefused` or `ProjectUnreachable`."""
        with translate_errors("asking for the row of a live recording"):
            answer = await self._http.get(
                f"{self._url}/rest/v1/audio_files",
                params={"id": f"eq.{note.audio_id}", "select": "id"},
                headers=_make_headers(self._public_key, note.token),
            )
        raise_if_passing(answer, "The Data API")
        if answer.is_error:
            raise _refuse_token()
        return bool(answer.json())

    async def _call(self, function: str, arguments: dict[str, Any], token: str) -> Any:
        with translate_errors(function):
            response = await self._http.post(
                f"{self._url}/rest/v1/rpc/{function}",
                json=arguments,
                headers=_make_headers(self._public_key, token),
            )
            answer: Any = response.json()
            if response.is_error:
                raise ProjectError(str(answer.get("message")), code="project_refused")
        return answer


def _make_headers(public_key: str, token: str) -> dict[str, str]:
    return {"apikey": public_key, "authorization": f"Bearer {token}"}


def _refuse_token() -> TokenRefused:
    return TokenRefused(
        "The access token is not valid any more.",
        remedy="The recording is uploaded when you start another session.",
    )
