"""The worker's folder on disk: a budget for downloads, and the removal of folders of killed workers."""

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
"""Free disk that is left for other programs and for results."""
RETRY_S = 1.0
MAX_WAIT_S = 300.0


class Scratch:
    """The disk budget of downloads.

    Parameters
    ----------
    folder
        The worker's folder.
    budget_bytes
        How much all downloads may take together.
    min_free_bytes
        How much of the disk stays free.
    """

    def __init__(self, folder: Path, *, budget_bytes: int, min_free_bytes: int = MIN_FREE_BYTES) -> None:
        self.folder = folder
        self.budget_bytes = budget_bytes
        self._floor_bytes = min_free_bytes
        self._reserved_bytes = 0
        self._freed = asyncio.Event()

    @property
    def reserved_bytes(self) -> int:
        """How much the downloads take now."""
        return self._reserved_bytes

    @asynccontextmanager
    async def reserve(self, size_bytes: int) -> AsyncIterator[None]:
        """Reserve room for a download until the block ends, and wait for it if there is none.

        A download that is larger than the whole budget waits until it is the only one.

        Raises
        ------
        OSError
            After five minutes: another worker may have more room.
        """
        deadline = asyncio.get_running_loop().time() + MAX_WAIT_S
        while not self._fits(size_bytes):
            if asyncio.get_running_loop().time() > deadline:
                # Its message may reach the owner of the recording: without the folder.
                log.warning("a download found no room", problem=self.find_problem(), size_bytes=size_bytes)
                raise OSError(errno.ENOSPC, f"no room for {size_bytes:,} bytes")
            # Other programs free disk space without notice.
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_S):
                    await self._freed.wait()
            self._freed.clear()
        self._reserved_bytes += size_bytes
        try:
            yield
        finally:
            self._reserved_bytes -= size_bytes
            self._freed.set()

    def find_problem(self) -> str | None:
        """Find out why no download can begin, however small. None if one can."""
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
        # Reserved bytes that are written already are counted twice: that only makes a download wait.
        if shutil.disk_usage(self.folder).free - wanted_bytes < self._floor_bytes:
            return False
        return self._reserved_bytes == 0 or wanted_bytes <= self.budget_bytes


@contextmanager
def open_worker_folder(parent: Path) -> Iterator[Path]:
    """Make a folder in `parent` until the block ends. Folders of killed workers are removed first.

    A worker holds a lock on its folder. The kernel releases it when the worker dies.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for found in sorted(parent.glob(PREFIX + "*")):
        _remove_if_stale(found)
    made = Path(tempfile.mkdtemp(prefix=_NEW_PREFIX, dir=parent))
    lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # It gets the name that other workers look for only once it is locked.
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
        return  # it is another user's, gone, or not a folder
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        log.info("removing the folder of a killed worker", folder=str(folder))
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)
