"""A zip of files whose sizes are known beforehand, so that each byte has its place before any is written.

Files are stored as they are, without compression, each followed by its checksum. Bytes can therefore be made
from any place on, and the size of the whole is known at the beginning. The format, with the extension for
sizes above 4 GB (Zip64): https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3 and 4.5.3.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

MAX_32 = 0xFFFFFFFF
MAX_16 = 0xFFFF
FLAGS = 0x0808
"""The checksum follows the bytes; names are UTF-8."""
UNIX_FILE = 0o100600 << 16


@dataclass(frozen=True)
class ArchiveFile:
    """A file of the zip."""

    name: str
    size_bytes: int


class ZipArchive:
    """The layout of a zip.

    Parameters
    ----------
    files
        In their order in the zip.
    at
        The time that the files are given.
    """

    def __init__(self, files: Sequence[ArchiveFile], at: datetime) -> None:
        self.files = files
        self._time = at.hour << 11 | at.minute << 5 | at.second // 2
        self._date = (at.year - 1980) << 9 | at.month << 5 | at.day
        self.starts: list[int] = []
        """Where each file's header begins, in bytes from the beginning of the zip."""
        position = 0
        for place, file in enumerate(files):
            self.starts.append(position)
            position += len(self.make_header(place)) + file.size_bytes + len(self.make_descriptor(place, 0))
        self.directory_start = position
        self.size_bytes = position + len(self.make_directory([0] * len(files)))

    def make_header(self, place: int) -> bytes:
        """The bytes before a file's own."""
        file = self.files[place]
        name, is_large = file.name.encode(), file.size_bytes >= MAX_32
        # Where the checksum follows, the sizes here are zero.
        extra = struct.pack("<HHQQ", 1, 16, 0, 0) if is_large else b""
        size = MAX_32 if is_large else 0
        head = struct.pack(
            "<IHHHHHIIIHH",
            0x04034B50,
            45 if is_large else 20,
            FLAGS,
            0,
            self._time,
            self._date,
            0,
            size,
            size,
            len(name),
            len(extra),
        )
        return head + name + extra

    def make_descriptor(self, place: int, crc32: int) -> bytes:
        """The bytes behind a file's own."""
        size = self.files[place].size_bytes
        return struct.pack("<IIQQ" if size >= MAX_32 else "<IIII", 0x08074B50, crc32, size, size)

    def make_directory(self, checksums: Sequence[int]) -> bytes:
        """The end of the zip: every file, its checksum and its place."""
        entries = b"".join(
            self._make_entry(place, crc32)
            for place, crc32 in zip(range(len(self.files)), checksums, strict=True)
        )
        count, size, start = len(self.files), len(entries), self.directory_start
        end = b""
        if count >= MAX_16 or size >= MAX_32 or start >= MAX_32:
            end += struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, size, start)
            end += struct.pack("<IIQI", 0x07064B50, 0, start + size, 1)
        count, size, start = min(count, MAX_16), min(size, MAX_32), min(start, MAX_32)
        return entries + end + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, size, start, 0)

    def _make_entry(self, place: int, crc32: int) -> bytes:
        file, start = self.files[place], self.starts[place]
        name, size = file.name.encode(), file.size_bytes
        large = [value for value in (size, size, start) if value >= MAX_32]
        extra = struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""
        entry = struct.pack(
            "<IHHHHHHIIIHHHHHII",
            0x02014B50,
            3 << 8 | 45,
            45 if large else 20,
            FLAGS,
            0,
            self._time,
            self._date,
            crc32,
            min(size, MAX_32),
            min(size, MAX_32),
            len(name),
            len(extra),
            0,
            0,
            0,
            UNIX_FILE,
            min(start, MAX_32),
        )
        return entry + name + extra
