"""Resumable uploads on disk: the facts and the bytes of each. They survive a restart."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

from pydantic import BaseModel, Field

from embedded_supabase.storage.candidate import Candidate
from embedded_supabase.storage.errors import StorageError
from embedded_supabase.storage.files import discard_idle

LIFETIME_S = 24 * 3600
"""How long an unfinished upload may go on, as on hosted projects."""
LOCK_TIMEOUT_S = 10.0
"""How long a request waits until another request of the same upload ends."""


class TusUpload(BaseModel):
    """One upload, as its `.json` file describes it."""

    candidate: Candidate
    length: int
    header: str
    """`Upload-Metadata` as the client sent it: HEAD returns it."""
    id: str = Field(default_factory=lambda: str(uuid4()))
    expires_at: float = Field(default_factory=lambda: time.time() + LIFETIME_S)
    version: str = ""
    """Of the object, once all bytes have arrived. A row of that version means that the upload is finished."""
    finished: bool = False

    @property
    def is_expired(self) -> bool:
        return time.time() >= self.expires_at


class TusStore:
    """The folder of unfinished uploads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def save(self, upload: TusUpload) -> None:
        """Write the facts, all or nothing."""
        path = self._facts_path(upload.id)
        aside = path.with_suffix(f".{uuid4()}")
        aside.write_text(upload.model_dump_json())
        aside.rename(path)

    def find(self, identifier: str) -> TusUpload | None:
        """The upload of that id, expired ones included; None for an unknown or malformed id."""
        try:
            return TusUpload.model_validate_json(self._facts_path(str(UUID(identifier))).read_text())
        except (ValueError, FileNotFoundError):
            return None

    def read_offset(self, upload: TusUpload) -> int:
        """How many bytes have arrived."""
        if upload.finished:
            return upload.length
        with contextlib.suppress(FileNotFoundError):
            return self.bytes_path(upload).stat().st_size
        return 0

    def remove(self, upload: TusUpload) -> None:
        self.bytes_path(upload).unlink(missing_ok=True)
        self._facts_path(upload.id).unlink(missing_ok=True)

    def bytes_path(self, upload: TusUpload) -> Path:
        """The file of the bytes that have arrived."""
        return self.folder / upload.id

    def _facts_path(self, identifier: str) -> Path:
        return self.folder / f"{identifier}.json"

    @contextlib.asynccontextmanager
    async def lock(self, identifier: str) -> AsyncIterator[None]:
        """Wait for other requests of the same upload. Raises `StorageError` (423) when one does not end."""
        lock = self._locks.setdefault(identifier, asyncio.Lock())
        try:
            async with asyncio.timeout(LOCK_TIMEOUT_S):
                await lock.acquire()
        except TimeoutError as error:
            message = "Another request goes on with this upload\n"
            raise StorageError("InvalidRequest", message, status=423) from error
        try:
            yield
        finally:
            lock.release()

    def discard_expired(self) -> int:
        """Remove the files of expired uploads, and abandoned bytes; return how many files."""
        return discard_idle(self.folder, time.time() - LIFETIME_S)
