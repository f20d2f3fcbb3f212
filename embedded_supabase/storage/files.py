"""Bytes on disk, under the version of their object, never under a name that a client chose.

    storage/incoming/<uuid>            being received; nobody reads it
    storage/resumable/<uuid>(.json)    uploads that may go on later (see tus_store.py)
    storage/objects/<xx>/<version>     whole and immutable; <xx> begins the version

New bytes are stored before the row commits, and old bytes are removed after. A crash in between leaves bytes
without a row, which the sweep removes, but never a row without bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from embedded_supabase.storage.errors import StorageError

WRITE_BYTES = 1 << 20
"""How many received bytes a thread writes at once."""


@dataclass(frozen=True)
class ReceivedFile:
    """A complete body in a file of its own."""

    path: Path
    size: int
    md5: str

    def metadata(self, mime_type: str, cache_control: str) -> dict[str, Any]:
        """`storage.objects.metadata` as the real server writes it; the eTag carries its quotes."""
        return {
            "eTag": f'"{self.md5}"',
            "size": self.size,
            "mimetype": mime_type,
            "cacheControl": cache_control,
            "lastModified": iso_time(datetime.now(UTC)),
            "contentLength": self.size,
            "httpStatusCode": 200,
        }


def iso_time(moment: datetime) -> str:
    """As the real server writes times: in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Files:
    """The folder of bytes of one project."""

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        self.incoming = root / "incoming"
        self.resumable = root / "resumable"
        self.objects = root / "objects"
        self.durable = durable
        # Other users of this machine must not read private recordings.
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.incoming, self.resumable, self.objects):
            folder.mkdir(exist_ok=True)

    async def receive(self, chunks: AsyncIterator[bytes], *, limit: int) -> ReceivedFile:
        """Write a body to a file. Raises `EntityTooLarge` past `limit` bytes, and leaves nothing then."""
        path = self.incoming / str(uuid4())
        try:
            if not await append(path, chunks, max_bytes=limit):
                raise StorageError("EntityTooLarge")
            return await asyncio.to_thread(self.finish, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def finish(self, path: Path) -> ReceivedFile:
        """Hash a complete body."""
        with path.open("ab+") as file:
            if self.durable:
                os.fsync(file.fileno())
            file.seek(0)
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
            return ReceivedFile(path, file.tell(), digest.hexdigest())

    def path(self, version: str | None) -> Path:
        """The file of a version. Raises FileNotFoundError for a version that is no uuid."""
        try:
            name = str(UUID(version or ""))
        except ValueError as error:
            raise FileNotFoundError(version) from error
        return self.objects / name[:2] / name

    def store(self, source: Path, version: str) -> None:
        """Move received bytes to their version, so that a row may name it."""
        target = self.path(version)
        target.parent.mkdir(exist_ok=True)
        os.utime(source)  # the sweep keeps what is new
        source.rename(target)
        self._sync_folder(target.parent)

    def duplicate(self, version: str | None, new_version: str) -> None:
        """Give `new_version` the same bytes. They never change, so a hard link is enough."""
        source, target = self.path(version), self.path(new_version)
        target.parent.mkdir(exist_ok=True)
        try:
            os.utime(source)
            target.hardlink_to(source)
        except (OSError, NotImplementedError):  # a file system without hard links
            shutil.copyfile(source, target)
        self._sync_folder(target.parent)

    def remove(self, version: str | None) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.path(version).unlink()

    def find_older_versions(self, age_s: float) -> list[str]:
        """Versions on disk that were stored at least `age_s` ago."""
        return [path.name for path in _find_untouched(time.time() - age_s, self.objects.glob("*/*"))]

    def _sync_folder(self, folder: Path) -> None:
        """Make a rename survive a power cut, if the database's commits do."""
        if not self.durable or os.name == "nt":
            return
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def discard_idle(folder: Path, before: float) -> int:
    """Remove the files that were not written since `before` (Unix time); return how many."""
    idle = list(_find_untouched(before, folder.iterdir()))
    for path in idle:
        path.unlink(missing_ok=True)
    return len(idle)


def _find_untouched(moment: float, paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime <= moment:
                yield path


async def append(path: Path, chunks: AsyncIterator[bytes], *, max_bytes: int) -> bool:
    """Append at most `max_bytes`. When more arrive, append nothing and return False.

    When the connection breaks, the bytes that arrived before stay.
    """
    with path.open("ab") as file:
        start, written = file.tell(), 0
        async for block in _gather(chunks):
            written += len(block)
            if written > max_bytes:
                file.truncate(start)
                return False
            await asyncio.to_thread(file.write, block)
    return True


async def _gather(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Join chunks to larger blocks. Bytes that arrived before a failure are yielded too."""
    held = bytearray()
    try:
        async for chunk in chunks:
            held += chunk
            if len(held) >= WRITE_BYTES:
                block, held = bytes(held), bytearray()
                yield block
    except (Exception, asyncio.CancelledError):
        yield bytes(held)
        raise
    if held:
        yield bytes(held)
