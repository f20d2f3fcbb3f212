"""The folder of an analysis child: where its results lie, and how much it may leave there."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

MAX_FOLDER_BYTES = 1 << 30
MAX_FOLDER_FILES = 2_000
"""What a child may leave on disk at once."""


class ChildFolder:
    """A folder that the child may look into, with the folder `out` that it may write to.

    Parameters
    ----------
    scratch_dir
        Where the folder is made.
    user
        The child's user. None: it runs as we do.
    """

    def __init__(self, scratch_dir: Path, user: int | None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="child-", dir=scratch_dir))
        self._user = user
        # Not owned by the child: it could replace `out` by a link that the worker follows.
        self.path.chmod(0o711)

    def empty(self) -> Path:
        """Empty it, and make the folder for the next results, which is returned."""
        out_dir = self.path / "out"
        for left in self.path.iterdir():
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()
        out_dir.mkdir(mode=0o700)
        if self._user is not None:
            os.chown(out_dir, self._user, self._user, follow_symlinks=False)
        return out_dir

    def is_too_full(self) -> bool:
        """Whether it holds too many files or bytes. Counting stops there: files may never end."""
        size_bytes = 0
        entries = (
            Path(where) / name for where, folders, files in os.walk(self.path) for name in (*folders, *files)
        )
        for count, path in enumerate(entries, start=1):
            with suppress(OSError):  # gone meanwhile
                size_bytes += path.lstat().st_blocks * 512
            if count > MAX_FOLDER_FILES or size_bytes > MAX_FOLDER_BYTES:
                return True
        return False

    def remove(self) -> None:
        """Remove it with all that it holds, as far as that can be removed."""
        shutil.rmtree(self.path, ignore_errors=True)
