"""Uploads to the bucket audio-files, as a signed-in user: in one request, or resumable if larger.

A resumable upload goes on where it stopped, in another process too: its address is kept in a file.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import httpx
import platformdirs

from soundscape.project.objects import AUDIO_BUCKET
from soundscape.project.resumable import CHUNK_BYTES, ResumableUploads, UploadRefused
from soundscape.project.retries import retry


class Uploading(Protocol):
    """Who uploads; an `Account` is one."""

    url: str
    http: httpx.AsyncClient

    async def headers(self) -> dict[str, str]:
        """Return the headers of a request as this user."""
        ...


class Uploader:
    """Uploads files for one account.

    Parameters
    ----------
    account
        Who uploads.
    folder
        Where addresses of unfinished uploads are kept. By default, the platform's cache directory.
    """

    def __init__(self, account: Uploading, folder: Path | None = None) -> None:
        self._uploads = ResumableUploads(
            account.http, f"{account.url}/storage/v1", AUDIO_BUCKET, account.headers
        )
        self._folder = folder or platformdirs.user_cache_path("soundscape") / "uploads"

    async def upload(
        self,
        name: str,
        file: Path,
        content_type: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        sent: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Upload `file` under `name`, if nothing lies there.

        Parameters
        ----------
        name
            The object's name. Its bytes must be the same whenever the name is.
        file
            The file.
        content_type
            Its media type.
        metadata
            What the upload says of itself, for `storage.objects.user_metadata`.
        sent
            Called with how many bytes are stored so far.

        Raises
        ------
        UploadRefused
            If Storage does not take it.
        ProjectUnreachable
            If Storage does not answer, after several attempts.
        OSError
            If the file cannot be read.
        """
        size = (await asyncio.to_thread(file.stat)).st_size
        if size <= CHUNK_BYTES:
            data = await asyncio.to_thread(file.read_bytes)
            await retry(lambda: self._uploads.store(name, data, content_type, metadata))
            sent(size)
        else:
            await self._upload_in_chunks(name, file, size, content_type, metadata, sent)

    async def _upload_in_chunks(
        self,
        name: str,
        file: Path,
        size: int,
        content_type: str,
        metadata: Mapping[str, Any] | None,
        sent: Callable[[int], None],
    ) -> None:
        note = self._folder / f"{base64.urlsafe_b64encode(name.encode()).decode().rstrip('=')}.json"
        begun = await asyncio.to_thread(self._read_note, note) or ""
        offset = await retry(lambda: self._uploads.read_offset(begun)) if begun else None
        if offset is None:
            address = await retry(lambda: self._uploads.begin(name, size, content_type, metadata=metadata))
            if address is None:
                return
            begun, offset = address, 0
            await asyncio.to_thread(_write_note, note, begun)
        while offset < size:
            sent(offset)
            data = await asyncio.to_thread(_read_chunk, file, offset)
            if not data:
                raise UploadRefused(f"{file} became shorter while it was read.", remedy="Import it again.")
            at = offset
            offset = await retry(lambda: self._uploads.append(begun, at, data))  # noqa: B023 - awaited at once
        sent(size)
        await asyncio.to_thread(note.unlink, missing_ok=True)

    def _read_note(self, note: Path) -> str | None:
        with suppress(OSError, ValueError):
            content: Any = json.loads(note.read_text())
            # An address is asked with this account's token: it must be the project's own.
            if isinstance(content, dict) and str(content.get("url", "")).startswith(
                f"{self._uploads.storage_url}/"
            ):
                return str(content["url"])
        return None


async def read_in_chunks(file: Path, *, size: int = 1 << 20) -> AsyncIterator[bytes]:
    """Yield the bytes of a file without blocking the event loop."""
    with await asyncio.to_thread(file.open, "rb") as opened:
        while data := await asyncio.to_thread(opened.read, size):
            yield data


def _write_note(note: Path, address: str) -> None:
    note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = note.with_suffix(".new")
    aside.write_text(json.dumps({"url": address}))
    aside.replace(note)


def _read_chunk(file: Path, offset: int) -> bytes:
    with file.open("rb") as opened:
        opened.seek(offset)
        return opened.read(CHUNK_BYTES)
