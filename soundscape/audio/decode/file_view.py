"""A part of an open file that looks like a whole one, with corrected bytes where a header needs them."""

from __future__ import annotations

import io
import os
from typing import BinaryIO


class FileView:
    """A seekable, read-only file on the bytes from `start` to `end` of another.

    Decoders are given a view where they would stumble over what lies around their data, as an ID3 tag before
    a WavPack file or the next link of a chained Ogg stream.
    """

    def __init__(
        self,
        file: BinaryIO,
        start: int = 0,
        end: int | None = None,
        patches: tuple[tuple[int, bytes], ...] = (),
    ) -> None:
        """Make a view; the file stays the caller's to close.

        Parameters
        ----------
        file
            A seekable binary file. Only one reader may use it at a time.
        start, end
            Offsets in bytes; `end` None is the end of the file.
        patches
            Offsets in the view and the bytes that are to be read there.
        """
        self._file = file
        self._start = start
        self._end = file.seek(0, os.SEEK_END) if end is None else end
        self._patches = patches
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes; all that are left where it is negative."""
        left = self._end - self._start - self._position
        size = left if size < 0 else min(size, left)
        if size <= 0:
            return b""
        self._file.seek(self._start + self._position)
        data = self._file.read(size)
        for offset, correct in self._patches:
            at = offset - self._position
            if -len(correct) < at < len(data):
                first = max(0, -at)
                part = correct[first : first + len(data) - max(0, at)]
                data = data[: max(0, at)] + part + data[max(0, at) + len(part) :]
        self._position += len(data)
        return data

    def tell(self) -> int:
        """The position in the view, in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset and return the new position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end - self._start}[whence]
        self._position = max(0, base + offset)
        return self._position

    def fileno(self) -> int:
        """Fail: whoever reads the descriptor would miss the limits of the view."""
        raise io.UnsupportedOperation("a view of a file has no descriptor of its own")
