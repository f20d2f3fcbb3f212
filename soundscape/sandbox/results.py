"""The files that a child leaves: only those that its record names, opened so that a name leads nowhere else.

The child has read a stranger's bytes and may still be running, so a name is never resolved twice. Each file
is opened once, without following links. It must be a plain file with one name, and is uploaded through the
descriptor that was checked.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soundscape.errors import AnalysisCrashed

if TYPE_CHECKING:
    from soundscape.audio.fingerprint import Fingerprint

# Sections of a record that name files; everything else in it is left alone.
FILE_SECTIONS = ("waveform", "pictures", "fingerprint", "preview")
CONTENT_TYPES = {
    ".dat": "application/octet-stream",
    ".bin": "application/octet-stream",
    ".json": "application/json",
    ".png": "image/png",
    ".webp": "image/webp",
    ".mp3": "audio/mpeg",
}
# Four hours are some 620 files; of stereo at 48 kHz they are 100 MB.
MAX_FILES = 1024
MAX_BYTES = 1 << 30
# The bucket takes no larger ones. Previews of five hours fit.
MAX_FILE_BYTES = 512 << 20
MAX_FINGERPRINT_BYTES = 32 << 20
"""A fingerprint of four hours takes two megabytes."""
# Parts of object names: nothing that leads elsewhere.
_VERSION = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def list_named_files(record: dict[str, Any]) -> list[str]:
    """The files that the record names, sorted. Raises `AnalysisCrashed` for names that no analysis makes."""
    names = sorted({name for section in FILE_SECTIONS for name in _names(record.get(section))})
    if len(names) > MAX_FILES:
        raise _make_files_error(f"{len(names)} files")
    for name in names:
        if _NAME.fullmatch(name) is None:
            raise _make_files_error(f"a file called {name[:100]!r}")
    return names


class Results:
    """The files of one record in the folder of the child that wrote them."""

    def __init__(self, record: dict[str, Any], folder: Path) -> None:
        """Raises `AnalysisCrashed` for a record that no analysis makes."""
        self.names = list_named_files(record)
        version = record.get("analysis_version")
        if not isinstance(version, str) or _VERSION.fullmatch(version) is None:
            raise _make_files_error(f"a version called {str(version)[:100]!r}")
        self.version = version
        self._folder = folder
        self._left_bytes = MAX_BYTES

    @contextmanager
    def open(self, name: str) -> Iterator[io.FileIO]:
        """Open one of the files for reading.

        Raises
        ------
        AnalysisCrashed
            If the file is missing, not a plain file, or too large by itself or together with those before it.
        """
        with _open(self._folder, name) as file:
            size_bytes = os.fstat(file.fileno()).st_size
            self._left_bytes -= size_bytes
            if size_bytes > MAX_FILE_BYTES or self._left_bytes < 0:
                raise _make_files_error(f"{size_bytes:,} bytes in {name}")
            yield file

    def read_fingerprint(self, record: dict[str, Any]) -> Fingerprint | None:
        """Read the fingerprint that the record names; None if it names none.

        Raises
        ------
        AnalysisCrashed
            If the file is not a fingerprint: the child that wrote it has read a stranger's bytes.
        """
        from soundscape.audio.fingerprint import Fingerprint, FingerprintError

        match record.get("fingerprint"):
            case {"path": str(name)} if name in self.names:
                with self.open(name) as file:
                    data = file.read(MAX_FINGERPRINT_BYTES)
            case _:
                return None
        try:
            return Fingerprint.from_bytes(data)
        except FingerprintError as error:
            raise _make_files_error(f"a file that is not a fingerprint ({error.message})") from error


def add_prefix(record: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The record with its file names turned into object names."""
    return record | {
        section: _prefix(record[section], prefix) for section in FILE_SECTIONS if record.get(section)
    }


def _open(folder: Path, name: str) -> io.FileIO:
    try:
        # Without waiting: a pipe in place of a file would make the worker wait for its writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        # Those above the folder are the worker's own; a child of the worker's user could have replaced it.
        within = os.open(folder, flags | os.O_DIRECTORY)
        try:
            descriptor = os.open(name, flags, dir_fd=within)
        finally:
            os.close(within)
    except OSError as error:
        raise _make_files_error(f"{name}, which cannot be opened ({error.strerror})") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        raise _make_files_error(f"{name}, which is no plain file")
    return io.FileIO(descriptor, "rb")


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _names(inner)
    elif _is_name(value):
        yield value


def _prefix(value: Any, prefix: str) -> Any:
    if isinstance(value, dict):
        return {name: _prefix(inner, prefix) for name, inner in value.items()}
    if isinstance(value, list):
        return [_prefix(inner, prefix) for inner in value]
    return prefix + value if _is_name(value) else value


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and Path(value).suffix in CONTENT_TYPES


def _make_files_error(what: str) -> AnalysisCrashed:
    return AnalysisCrashed(
        f"The analysis left {what}.", code="analysis_strange_files", remedy="The recording is analysed again."
    )
