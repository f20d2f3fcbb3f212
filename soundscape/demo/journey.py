"""What a user does with a recording, and what a stranger cannot: through supabase-py, as anybody would."""

from __future__ import annotations

import asyncio
import mimetypes
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from postgrest.exceptions import APIError
from realtime.types import RealtimePostgresChangesListenEvent
from storage3.exceptions import StorageApiError
from supabase import AsyncClient, AsyncClientOptions, acreate_client

FINAL = frozenset({"ready", "failed", "rejected"})
SILENCE_S = 180.0
"""Nothing heard from realtime for this long means that something is broken."""
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
    """From the upload's answer to `ready`, as a realtime client sees it."""

    @property
    def ended(self) -> bool:
        return self.status in FINAL or self.status == "refused"


@dataclass(frozen=True)
class Trespass:
    """One thing a stranger tried, and whether the project withstood."""

    who: str
    what: str
    refused: bool


class Visitor:
    """A signed-up user of the project."""

    def __init__(self, client: AsyncClient, user_id: str) -> None:
        self.client = client
        self.user_id = user_id

    async def send(self, recording: Recording) -> None:
        """Upload the file, then describe it."""
        recording.status = "uploading"
        suffix = recording.path.suffix.lower()
        name = f"{self.user_id}/{uuid.uuid4()}{suffix if suffix.isascii() else ''}"
        content_type = AUDIO_TYPES.get(suffix) or mimetypes.guess_type(recording.path.name)[0]
        try:
            await self.client.storage.from_("audio-files").upload(
                name, recording.path, {"content-type": content_type or "application/octet-stream"}
            )
            recording.uploaded_at = time.monotonic()
            rows = await selected(
                self.client.table("audio_files").insert(
                    {"title": recording.path.stem[:200], "file_path": name}
                )
            )
        except StorageApiError as error:
            recording.status, recording.code, recording.reason = "refused", str(error.code), error.message
            return
        # A row made before its event arrives; an event that was quicker has said more already.
        recording.audio_id = rows[0]["id"]
        recording.status = rows[0]["status"]

    async def collect(self, recording: Recording) -> None:
        """Fetch what the analysis found, as the owner."""
        features = self.client.table("audio_features").select("*").eq("audio_id", recording.audio_id)
        rows = await selected(features)
        recording.features = rows[0]
        recording.waveform = await self.client.storage.from_("waveforms").download(rows[0]["waveform_path"])

    async def follow(self, recordings: list[Recording], changed: Callable[[], None]) -> None:
        """Send every file, and wait on realtime until each has ended. Raises `TimeoutError`."""
        heard = asyncio.Event()
        seen: dict[str, dict[str, Any]] = {}

        def note(payload: Any) -> None:
            row = payload["data"]["record"]
            seen[row["id"]] = row
            heard.set()

        async with self._listening(note):
            gate = asyncio.Semaphore(UPLOADS_AT_ONCE)

            async def send(recording: Recording) -> None:
                async with gate:
                    await self.send(recording)
                heard.set()

            sending = asyncio.gather(*(send(recording) for recording in recordings))
            try:
                while not all(recording.ended for recording in recordings) or not sending.done():
                    await asyncio.wait_for(heard.wait(), SILENCE_S)
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

    @asynccontextmanager
    async def _listening(self, note: Callable[[Any], None]) -> AsyncIterator[None]:
        subscribed = asyncio.Event()
        failures: list[str] = []

        def joined(state: Any, error: Exception | None) -> None:
            if str(state).endswith("SUBSCRIBED"):
                subscribed.set()
            elif error is not None:
                failures.append(str(error))

        listening = asyncio.Event()

        def system(payload: Any) -> None:
            if payload.extension == "postgres_changes":
                listening.set()

        channel = self.client.channel(f"recordings-of-{self.user_id}")
        channel.on_postgres_changes(
            RealtimePostgresChangesListenEvent.All,
            schema="public",
            table="audio_files",
            filter=f"user_id=eq.{self.user_id}",
            callback=note,
        )
        channel.on_system(system)
        await channel.subscribe(joined)
        try:
            async with asyncio.timeout(30):
                await subscribed.wait()
                await listening.wait()
        except TimeoutError as error:
            raise TimeoutError(f"realtime did not subscribe: {failures or 'no answer'}") from error
        try:
            yield
        finally:
            await self.client.remove_channel(channel)


@asynccontextmanager
async def signed_up(url: str, public_key: str) -> AsyncIterator[Visitor]:
    """A new user with an address nobody has, signed in; the sockets are closed afterwards."""
    client = await acreate_client(url, public_key, AsyncClientOptions(auto_refresh_token=False))
    answer = await client.auth.sign_up(
        {"email": f"demo-{secrets.token_hex(6)}@example.com", "password": secrets.token_urlsafe(16)}
    )
    if answer.user is None or answer.session is None:
        raise RuntimeError("The project wants e-mail addresses confirmed; this needs sign-up without.")
    await client.realtime.set_auth(answer.session.access_token)
    try:
        yield Visitor(client, answer.user.id)
    finally:
        await client.realtime.close()


async def trespass(url: str, public_key: str, recording: Recording, file_path: str) -> list[Trespass]:
    """Try to reach a private recording as another user and as nobody; every try should be refused."""
    waveform_path = (recording.features or {})["waveform_path"]
    anonymous = await acreate_client(url, public_key)
    tries: list[Trespass] = []
    async with signed_up(url, public_key) as stranger:
        for who, client in (("another user", stranger.client), ("nobody", anonymous)):
            storage = client.storage
            attempts: dict[str, Awaitable[Any]] = {
                "read its row": selected(
                    client.table("audio_files").select("*").eq("id", recording.audio_id)
                ),
                "read its features": selected(
                    client.table("audio_features").select("*").eq("audio_id", recording.audio_id)
                ),
                "download the file": storage.from_("audio-files").download(file_path),
                "sign a URL for it": storage.from_("audio-files").create_signed_url(file_path, 60),
                "download the waveform": storage.from_("waveforms").download(waveform_path),
            }
            for what, attempt in attempts.items():
                tries.append(Trespass(who, what, await _is_refused(attempt)))
    return tries


async def selected(query: Any) -> list[dict[str, Any]]:
    """The rows that a query answers."""
    rows: list[dict[str, Any]] = (await query.execute()).data
    return rows


async def _is_refused(attempt: Awaitable[Any]) -> bool:
    """Whether the attempt came back empty-handed. Only the project's own refusals count as one."""
    try:
        return not await attempt
    except (APIError, StorageApiError):
        return True
