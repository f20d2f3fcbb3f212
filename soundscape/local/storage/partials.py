"""Uploads that may go on later: what is known of each, and the bytes so far, across restarts."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

from soundscape.local.storage.files import Received, gather
from soundscape.local.storage.tus import TAKEN_OVER, Refused
from soundscape.local.storage.uploads import Candidate

LIFETIME_S = 24 * 3600
"""How long an unfinished upload may go on, as on hosted projects."""
STALL_S = 1.0
"""A request that has waited this long for bytes gives way to a newer one for the same upload."""
LOCK_PATIENCE_S = 30.0


@dataclass
class Partial:
    """One upload, as its `.json` tells it."""

    id: str
    candidate: Candidate
    length: int
    header: str
    """`Upload-Metadata` as it came: HEAD gives it back."""
    expires_at: float
    finished: bool = False

    @property
    def expired(self) -> bool:
        return time.time() >= self.expires_at


@dataclass
class Turn:
    """Whose turn an upload is: one request at a time, the stalled one gives way."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    patience: asyncio.Timeout | None = None
    waiting_since: float | None = None
    """When the holder began to wait for bytes; None while it writes."""
    __weakref__: Any = field(default=None, init=False, repr=False)


class Partials:
    """The folder of unfinished uploads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._turns: WeakValueDictionary[str, Turn] = WeakValueDictionary()

    def create(self, candidate: Candidate, length: int, header: str) -> Partial:
        partial = Partial(str(uuid4()), candidate, length, header, time.time() + LIFETIME_S)
        self.save(partial)
        return partial

    def save(self, partial: Partial) -> None:
        """Write the facts whole or not at all."""
        path = self._facts(partial.id)
        aside = path.with_suffix(f".{uuid4()}")
        aside.write_text(json.dumps(asdict(partial)))
        aside.rename(path)

    def find(self, identifier: str) -> Partial | None:
        """The upload of that id, expired ones included; None for an unknown or malformed id."""
        try:
            facts = json.loads(self._facts(str(UUID(identifier))).read_text())
            return Partial(**facts | {"candidate": Candidate(**facts["candidate"])})
        except (ValueError, FileNotFoundError, KeyError, TypeError):  # the last two: of an earlier version
            return None

    def offset(self, partial: Partial) -> int:
        """How many bytes have come."""
        if partial.finished:
            return partial.length
        with contextlib.suppress(FileNotFoundError):
            return self.bytes_path(partial).stat().st_size
        return 0

    def remove(self, partial: Partial) -> None:
        self.bytes_path(partial).unlink(missing_ok=True)
        self._facts(partial.id).unlink(missing_ok=True)

    def bytes_path(self, partial: Partial) -> Path:
        return self.folder / partial.id

    def _facts(self, identifier: str) -> Path:
        return self.folder / f"{identifier}.json"

    @contextlib.asynccontextmanager
    async def turn(self, identifier: str) -> AsyncIterator[Turn]:
        """Wait for the upload; make a holder that has stalled give way. Raises `Refused` (500) in the end."""
        turn = self._turns.setdefault(identifier, Turn())
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LOCK_PATIENCE_S
        while True:
            try:
                async with asyncio.timeout(STALL_S / 4):
                    await turn.lock.acquire()
                break
            except TimeoutError:
                if loop.time() > deadline:
                    raise Refused(500, "failed to acquire lock before timeout\n") from None
                since = turn.waiting_since
                if turn.patience and since is not None and loop.time() - since >= STALL_S:
                    turn.patience.reschedule(loop.time())
        try:
            yield turn
        finally:
            turn.lock.release()

    async def append(self, partial: Partial, turn: Turn, chunks: AsyncIterator[bytes], *, most: int) -> bool:
        """Add bytes at the end, `most` at the utmost; False when more came, which undoes this call.

        What arrived before the connection broke stays. Raises `Refused` (423).
        """
        loop = asyncio.get_running_loop()
        start, written = self.offset(partial), 0
        try:
            with self.bytes_path(partial).open("ab") as file:
                async with asyncio.timeout(None) as turn.patience:
                    turn.waiting_since = loop.time()
                    async for block in gather(chunks):
                        turn.waiting_since = None
                        written += len(block)
                        if written > most:
                            file.truncate(start)
                            return False
                        await asyncio.to_thread(file.write, block)
                        turn.waiting_since = loop.time()
        except TimeoutError as error:
            raise Refused(*TAKEN_OVER) from error
        finally:
            turn.patience = turn.waiting_since = None
        return True

    async def whole(self, partial: Partial, *, durable: bool) -> Received:
        """The finished bytes, hashed."""
        return await asyncio.to_thread(self._whole, self.bytes_path(partial), durable)

    @staticmethod
    def _whole(path: Path, durable: bool) -> Received:
        with path.open("ab+") as file:
            if durable:
                os.fsync(file.fileno())
            file.seek(0)
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
            return Received(path, file.tell(), digest.hexdigest())

    def discard_expired(self) -> int:
        """Remove uploads whose time is over, and files that belong to none; how many."""
        count = 0
        for path in self.folder.iterdir():
            partial = self.find(path.name.partition(".")[0])
            if partial is None:
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < time.time() - LIFETIME_S:
                        path.unlink()
                        count += 1
            elif partial.expired:
                self.remove(partial)
                count += 1
        return count
