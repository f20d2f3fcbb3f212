"""The bytes of one zip of an export, from any place on: read from the records and from Storage."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from io import FileIO

from soundscape.errors import ProjectError
from soundscape.project.objects import CHUNK_BYTES, Objects, ObjectVersion
from soundscape.worker.export_parts import Part, Source
from soundscape.worker.zip_archive import ZipArchive


async def write_zip(
    part: Part, records: FileIO, objects: Objects, checksums: list[int], skip_bytes: int
) -> AsyncIterator[bytes]:
    """Yield the zip from `skip_bytes` on. Appends to `checksums`, which has those of its first files."""
    archive, sources = part.archive, part.sources
    place_of_first = next(
        (
            place
            for place in range(len(sources))
            if place >= len(checksums) or _end(archive, place) > skip_bytes
        ),
        len(sources),
    )
    position = archive.starts[place_of_first] if place_of_first < len(sources) else archive.directory_start

    def cut(data: bytes) -> bytes:
        """What of `data`, which begins at `position`, is not stored yet."""
        nonlocal position
        rest = data[max(0, skip_bytes - position) :]
        position += len(data)
        return rest

    for place in range(place_of_first, len(sources)):
        source, crc32 = sources[place], 0
        yield cut(archive.make_header(place))
        async for data in _read(source, records, objects):
            crc32 = zlib.crc32(data, crc32)
            yield cut(data)
        if place == len(checksums):
            checksums.append(crc32)
        elif crc32 != checksums[place]:
            raise ProjectError(f"{source.name} has other bytes than before.", code="object_changed")
        yield cut(archive.make_descriptor(place, crc32))
    yield cut(archive.make_directory(checksums))


def _end(archive: ZipArchive, place: int) -> int:
    """Where the next file begins."""
    return archive.starts[place + 1] if place + 1 < len(archive.starts) else archive.directory_start


async def _read(source: Source, records: FileIO, objects: Objects) -> AsyncIterator[bytes]:
    if source.text is not None:
        yield source.text.encode()
        return
    if source.bucket is not None:
        expected = ObjectVersion(source.version, source.size_bytes, source.etag)
        async for data in objects.stream(
            source.bucket, source.object_name, max_bytes=source.size_bytes, expected=expected
        ):
            yield data
        return
    for start in range(source.start, source.start + source.size_bytes, CHUNK_BYTES):
        records.seek(start)
        yield records.read(min(CHUNK_BYTES, source.start + source.size_bytes - start))
