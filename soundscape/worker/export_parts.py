"""The zips of an export: which file is in which, and where each zip lies in the stream of all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from soundscape.worker.zip_archive import ArchiveFile, ZipArchive

MANIFEST = "manifest.json"
# At most: header, descriptor and directory entry of a file with their extra fields, and the end of a zip.
_FILE_BYTES, _END_BYTES = 30 + 20 + 24 + 46 + 28, 22 + 76


@dataclass(frozen=True)
class Source:
    """Where the bytes of one file come from: the records, an object, or here."""

    name: str
    size_bytes: int
    start: int = 0
    bucket: str | None = None
    object_name: str = ""
    version: str | None = None
    etag: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Part:
    """One zip. `start`: its first byte in the stream of all. `first_place`: its first file among all."""

    number: int
    start: int
    first_place: int
    sources: tuple[Source, ...]
    archive: ZipArchive

    @property
    def end(self) -> int:
        """The byte behind it in the stream of all."""
        return self.start + self.archive.size_bytes


def lay_out(plan: dict[str, Any]) -> list[Part]:
    """Spread the files of an export over zips.

    Parameters
    ----------
    plan
        `at`, the time that the files are given, `files`, and `part_bytes`: the size of a zip at most. Without
        it there is one zip.

    Returns
    -------
    list of Part
        The same for the same plan. If there are several, the last one has a manifest. A file that is too
        large for a zip by itself is left out; the manifest says where its owner downloads it.
    """
    at, limit = datetime.fromisoformat(plan["at"]), plan.get("part_bytes")
    sources = [Source(**file) for file in plan["files"]]
    if limit is None:
        return _number([sources], at)
    left_out = [each for each in sources if each.bucket is not None and _count(each) + _END_BYTES > limit]
    groups = list(_fill([each for each in sources if each not in left_out], limit))
    manifest = _make_manifest(groups, left_out)
    if sum(map(_count, groups[-1])) + _count(manifest) + _END_BYTES > limit:
        groups.append([])
        manifest = _make_manifest(groups, left_out)
    groups[-1].append(manifest)
    return _number(groups, at)


def _fill(sources: Sequence[Source], limit: int) -> Iterator[list[Source]]:
    """Groups of files, in their order, each as large as a zip may be."""
    group: list[Source] = []
    size = _END_BYTES
    for source in sources:
        if group and size + _count(source) > limit:
            yield group
            group, size = [], _END_BYTES
        group.append(source)
        size += _count(source)
    yield group


def _count(source: Source) -> int:
    """Bytes that a file takes in a zip, at most."""
    return source.size_bytes + _FILE_BYTES + 2 * len(source.name.encode())


def _make_manifest(groups: Sequence[Sequence[Source]], left_out: Sequence[Source]) -> Source:
    said = {
        "parts": [{"part": n, "files": [each.name for each in group]} for n, group in enumerate(groups, 1)],
        "not_included": [
            {
                "name": each.name,
                "bucket": each.bucket,
                "object": each.object_name,
                "size_bytes": each.size_bytes,
                "reason": "It is too large for a zip of this project. Download it from its bucket.",
            }
            for each in left_out
        ],
    }
    text = json.dumps(said, ensure_ascii=False, indent=1)
    return Source(MANIFEST, len(text.encode()), text=text)


def _number(groups: Sequence[Sequence[Source]], at: datetime) -> list[Part]:
    parts: list[Part] = []
    for group in groups:
        archive = ZipArchive([ArchiveFile(each.name, each.size_bytes) for each in group], at)
        before = parts[-1] if parts else None
        parts.append(
            Part(
                number=len(parts) + 1,
                start=before.end if before else 0,
                first_place=before.first_place + len(before.sources) if before else 0,
                sources=tuple(group),
                archive=archive,
            )
        )
    return parts
