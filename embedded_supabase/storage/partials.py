"""Uploads that may go on later: what is known of each, and the bytes so far, across restarts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

from pydantic import BaseModel, Field

from embedded_supabase.storage.errors import StorageError
from embedded_supabase.storage.files import discard_idle
from embedded_supabase.storage.uploads import Candidate

LIFETIME_S = 24 * 3600
"""How long an unfinished upload may go on, as on hosted projects."""
PATIENCE_S = 10.0
"""How long a request waits for another one of the same upload to end."""


class Partial(BaseModel):
    """One upload, as its `.json` tells it."""

    candidate: Candidate
    length: int
    header: str
    """`Upload-Metadata` as it came: HEAD gives it back."""
    id: str = Field(default_factory=lambda: str(uuid4()))
    expires_at: float = Field(default_factory=lambda: time.time() + LIFETIME_S)
    version: str = ""
    """Of the object, once all bytes have come: a row with it says that the upload is finished."""
    finished: bool = False

    @property
    def expired(self) -> bool:
        return time.time() >= self.expires_at


class Partials:
    """The folder of unfinished uploads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def save(self, partial: Partial) -> None:
        """Write the facts whole or not at all."""
        path = self._facts(partial.id)
        aside = path.with_suffix(f".{uuid4()}")
        aside.write_text(partial.model_dump_json())
        aside.rename(path)

    def find(self, identifier: str) -> Partial | None:
        """The upload of that id, expired ones included; None for an unknown or malformed id."""
        try:
            return Partial.model_validate_json(self._facts(str(UUID(identifier))).read_text())
        except (ValueError, FileNotFoundError):
            return None

    def offset(self, partial: Partial) -> int:
        """How many bytes have come."""
        if partial.finished:
            return partial.length
        with contextlib.suppress(FileNotFoundError):
            return self.bytes_of(partial).stat().st_size
        return 0

    def remove(self, partial: Partial) -> None:
        self.bytes_of(partial).unlink(missing_ok=True)
        self._facts(partial.id).unlink(missing_ok=True)

    def bytes_of(self, partial: Partial) -> Path:
        """Where what has come lies."""
        return self.folder / partial.id

    def _facts(self, identifier: str) -> Path:
        return self.folder / f"{identifier}.json"

    @contextlib.asynccontextmanager
    async def turn(self, identifier: str) -> AsyncIterator[None]:
        """Wait for other requests of the same upload. Raises `StorageError` (423) when one does not end."""
        turn = self._turns.setdefault(identifier, asyncio.Lock())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await turn.acquire()
        except TimeoutError as error:
            message = "Another request goes on with this upload\n"
            raise StorageError("InvalidRequest", message, status=423) from error
        try:
            yield
        finally:
            turn.release()

    def discard_expired(self) -> int:
        """Remove what is known of uploads whose time is over, and bytes that got no more; how many files."""
        return discard_idle(self.folder, time.time() - LIFETIME_S)
