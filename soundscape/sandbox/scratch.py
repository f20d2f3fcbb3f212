"""The worker's folder on disk: how much may lie in it at once, and what killed workers left beside it."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

PREFIX = "soundscape-worker-"
_NEW_PREFIX = "soundscape-new-"
MIN_FREE_BYTES = 256 << 20
"""What is left free of the disk, for everybody else and for results."""
RETRY_S = 1.0
MAX_WAIT_S = 300.0


class Scratch:
    """Downloads take their size from it before they begin, and wait for room rather than fail."""

    def __init__(self, folder: Path, *, budget_bytes: int, min_free_bytes: int = MIN_FREE_BYTES) -> None:
        self.folder = folder
        self.budget_bytes = budget_bytes
        self._floor_bytes = min_free_bytes
        self._reserved_bytes = 0
        self._freed = asyncio.Event()

    @property
    def reserved_bytes(self) -> int:
        return self._reserved_bytes

    @asynccontextmanager
    async def reserve(self, size_bytes: int) -> AsyncIterator[None]:
        """Room for `size_bytes`, waited for, and given back when the block ends.

        What is larger than the whole budget waits until it is alone. Raises `OSError` after five minutes:
        another worker may have more room.
        """
        deadline = asyncio.get_running_loop().time() + MAX_WAIT_S
        while not self._fits(size_bytes):
            if asyncio.get_running_loop().time() > deadline:
                # Its message may reach the owner of the recording: without the folder.
                log.warning("a download found no room", problem=self.find_problem(), size_bytes=size_bytes)
                raise OSError(errno.ENOSPC, f"no room for {size_bytes:,} bytes")
            # Space on the disk is freed by others without a word.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._freed.wait(), RETRY_S)
            self._freed.clear()
        self._reserved_bytes += size_bytes
        try:
            yield
        finally:
            self._reserved_bytes -= size_bytes
            self._freed.set()

    def find_problem(self) -> str | None:
        """Why no download can begin now, however small; None when one can."""
        try:
            free_bytes = shutil.disk_usage(self.folder).free
        except OSError as error:
            return f"{self.folder}: {error.strerror}"
        if free_bytes < self._floor_bytes:
            return (
                f"{free_bytes / 1e6:.0f} MB are free at {self.folder}, {self._floor_bytes / 1e6:.0f} are kept"
            )
        return None

    def _fits(self, size_bytes: int) -> bool:
        if self.find_problem() is not None:
            return False
        wanted_bytes = self._reserved_bytes + size_bytes
        # What is reserved may be written already, and is then counted twice: that only makes it wait.
        if shutil.disk_usage(self.folder).free - wanted_bytes < self._floor_bytes:
            return False
        return self._reserved_bytes == 0 or wanted_bytes <= self.budget_bytes


@contextmanager
def open_worker_folder(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`, removed when the block ends; those of workers that were killed go first.

    A living worker holds a lock on its folder, which the kernel gives back when it dies.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for found in sorted(parent.glob(PREFIX + "*")):
        _remove_if_stale(found)
    made = Path(tempfile.mkdtemp(prefix=_NEW_PREFIX, dir=parent))
    lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Under the name that others look for only once it is locked.
        folder = made.rename(parent / (PREFIX + made.name.removeprefix(_NEW_PREFIX)))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _remove_if_stale(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return  # another user's, or gone, or no folder at all
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        log.info("removing what a killed worker left", folder=str(folder))
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)
