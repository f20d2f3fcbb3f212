"""Records that were made before their file was uploaded, by live sessions of this worker.

A job whose file has the very bytes of one takes it over. Which bytes those are is said by their SHA-256, so
that it does not matter who uploaded them, or whether somebody else did.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_AGE_S = 600.0
"""Another worker may have taken the job."""


@dataclass(frozen=True)
class PreparedRecord:
    """A record, and the folder of the files that it names."""

    record: dict[str, Any]
    folder: Path
    made_at_s: float


class PreparedRecords:
    """Records by the bytes of their file."""

    def __init__(self) -> None:
        self._records: dict[tuple[int, str], PreparedRecord] = {}

    def add(self, record: dict[str, Any], folder: Path) -> None:
        """Keep a record for some minutes. The folder is removed with it."""
        self._drop_old()
        source = record["source"]
        self._records[source["size_bytes"], source["sha256"]] = PreparedRecord(
            record, folder, time.monotonic()
        )

    def take(self, file: Path) -> PreparedRecord | None:
        """Take the record of a file out, if there is one. It blocks while it reads the file."""
        self._drop_old()
        size_bytes = file.stat().st_size
        if not any(size == size_bytes for size, _ in self._records):
            return None
        with file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        return self._records.pop((size_bytes, sha256), None)

    def _drop_old(self) -> None:
        oldest_s = time.monotonic() - MAX_AGE_S
        for key, prepared in list(self._records.items()):
            if prepared.made_at_s < oldest_s:
                del self._records[key]
                shutil.rmtree(prepared.folder, ignore_errors=True)
