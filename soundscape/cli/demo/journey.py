"""A user's journey with supabase-py: upload, follow, read. And what a stranger must not reach."""

from __future__ import annotations

import asyncio
import mimetypes
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from postgrest.exceptions import APIError
from storage3.exceptions import StorageApiError
from supabase import acreate_client

from soundscape.project.visitor import Visitor, signed_up_visitor

FINAL = frozenset({"ready", "failed", "rejected"})
SILENCE_S = 180.0
"""If realtime sends nothing for this long, something is broken."""
UPLOADS_AT_ONCE = 3

# What `mimetypes` does not know, or knows differently on each system.
AUDIO_TYPES = {
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
    ".aif": "audio/aiff",
    ".aiff": "audio/aiff",
    ".webm": "audio/webm",
    ".mp4": "video/mp4",
    ".caf": "audio/x-caf",
    ".w64": "audio/x-w64",
}


@dataclass
class Recording:
    """One file on its way."""

    path: Path
    status: str = "waiting"
    audio_id: str | None = None
    code: str | None = None
    reason: str | None = None
    features: dict[str, Any] | None = None
    waveform: bytes | None = field(default=None, repr=False)
    uploaded_at: float = 0.0
    seconds: float | None = None
    """From the end of the upload to `ready`, as a realtime client sees it."""

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to the file."""
        return self.status in FINAL or self.status == "refused"


@dataclass(frozen=True)
class AccessAttempt:
    """One thing a stranger tried, and whether the project refused it."""

    who: str
    what: str
    refused: bool


class DemoUser:
    """A visitor who brings recordings."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.client = visitor.client

    async def send(self, recording: Recording) -> None:
        """Upload the file, then describe it."""
        recording.status = "uploading"
        suffix = recording.path.suffix.lower()
        name = f"{self.visitor.user_id}/{uuid.uuid4()}{suffix if suffix.isascii() else ''}"
        content_type = AUDIO_TYPES.get(suffix) or mimetypes.guess_type(recording.path.name)[0]
        try:
            await self.visitor.upload(name, recording.path, content_type or "application/octet-stream")
            recording.uploaded_at = time.monotonic()
            row = await self.visitor.describe(name, recording.path.stem[:200])
        except StorageApiError as error:
            recording.status, recording.code, recording.reason = "refused", str(error.code), error.message
            return
        # A row made before its event arrives; an event that was quicker has said more already.
        recording.audio_id = row["id"]
        recording.status = row["status"]

    async def collect(self, recording: Recording) -> None:
        """Fetch what the analysis found, as the owner."""
        recording.features = await self.visitor.features(str(recording.audio_id))
        assert recording.features is not None
        recording.waveform = await self.client.storage.from_("waveforms").download(
            recording.features["waveform_path"]
        )

    async def follow(self, recordings: list[Recording], changed: Callable[[], None]) -> None:
        """Send every file, and wait on realtime until each has ended. Raises `TimeoutError`."""
        heard = asyncio.Event()
        seen: dict[str, dict[str, Any]] = {}

        def note(row: dict[str, Any]) -> None:
            seen[row["id"]] = row
            heard.set()

        async with self.visitor.listening(note):
            gate = asyncio.Semaphore(UPLOADS_AT_ONCE)

            async def send(recording: Recording) -> None:
                async with gate:
                    await self.send(recording)
                heard.set()

            sending = asyncio.gather(*(send(recording) for recording in recordings))
            try:
                while not all(recording.ended for recording in recordings) or not sending.done():
                    async with asyncio.timeout(SILENCE_S):
                        await heard.wait()
                    heard.clear()
                    for recording in recordings:
                        await self._apply(recording, seen)
                    changed()
                    if sending.done():
                        sending.result()
            finally:
                sending.cancel()

    async def _apply(self, recording: Recording, seen: dict[str, dict[str, Any]]) -> None:
        row = seen.get(recording.audio_id or "")
        if row is None or recording.ended:
            return
        recording.status = row["status"]
        recording.code, recording.reason = row["error_code"], row["error_message"]
        if recording.status in FINAL:
            recording.seconds = time.monotonic() - recording.uploaded_at
        if recording.status == "ready":
            await self.collect(recording)


async def try_forbidden_access(
    url: str, public_key: str, recording: Recording, file_path: str
) -> list[AccessAttempt]:
    """Try to reach a private recording as another user and as nobody. Every attempt should be refused."""
    waveform_path = (recording.features or {})["waveform_path"]
    anonymous = await acreate_client(url, public_key)
    tries: list[AccessAttempt] = []
    async with signed_up_visitor(url, public_key) as stranger:
        for who, client in (("another user", stranger.client), ("nobody", anonymous)):
            storage = client.storage
            attempts: dict[str, Awaitable[Any]] = {
                "read its row": fetch_rows(
                    client.table("audio_files").select("*").eq("id", recording.audio_id)
                ),
                "read its features": fetch_rows(
                    client.table("audio_features").select("*").eq("audio_id", recording.audio_id)
                ),
                "download the file": storage.from_("audio-files").download(file_path),
                "sign a URL for it": storage.from_("audio-files").create_signed_url(file_path, 60),
                "download the waveform": storage.from_("waveforms").download(waveform_path),
            }
            for what, attempt in attempts.items():
                tries.append(AccessAttempt(who, what, await _is_refused(attempt)))
    return tries


async def fetch_rows(query: Any) -> list[dict[str, Any]]:
    """Return the rows of a query."""
    rows: list[dict[str, Any]] = (await query.execute()).data
    return rows


async def _is_refused(attempt: Awaitable[Any]) -> bool:
    """Tell whether the attempt returned nothing. Other failures than the project's refusals are raised."""
    try:
        return not await attempt
    except (APIError, StorageApiError):
        return True
