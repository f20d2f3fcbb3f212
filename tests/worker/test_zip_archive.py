"""The layout of a zip: what other programs read of it, beyond 4 GB and 65,535 files too."""

from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from soundscape.worker.zip_archive import ArchiveFile, ZipArchive

AT = datetime(2026, 11, 30, 16, 5, 7, tzinfo=UTC)


def write(contents: dict[str, bytes]) -> bytes:
    archive = ZipArchive([ArchiveFile(name, len(data)) for name, data in contents.items()], AT)
    checksums = [zlib.crc32(data) for data in contents.values()]
    made = b""
    for place, data in enumerate(contents.values()):
        assert len(made) == archive.starts[place]
        made += archive.make_header(place) + data + archive.make_descriptor(place, checksums[place])
    assert len(made) == archive.directory_start
    made += archive.make_directory(checksums)
    assert len(made) == archive.size_bytes
    return made


CONTENTS = {"data/users.json": b"[]", "originals/a.wav": b"RIFF" * 1000, "Größe ü.txt": b"x", "empty": b""}


def test_what_python_reads() -> None:
    with zipfile.ZipFile(io.BytesIO(write(CONTENTS))) as opened:
        assert opened.testzip() is None
        assert {info.filename: opened.read(info) for info in opened.infolist()} == CONTENTS
        assert {info.date_time for info in opened.infolist()} == {(2026, 11, 30, 16, 5, 6)}


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
def test_what_info_zip_reads(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(write(CONTENTS))
    told = subprocess.run(["unzip", "-t", tmp_path / "a.zip"], capture_output=True, text=True, check=False)
    assert "No errors detected" in told.stdout, told


def test_files_above_4_gb(tmp_path: Path) -> None:
    """Written with holes where the bytes would be."""
    sizes = (10, 5 << 30, 20, (4 << 30) - 2, 30)
    archive = ZipArchive([ArchiveFile(f"{size}.wav", size) for size in sizes], AT)
    with (tmp_path / "large.zip").open("wb") as file:
        for place, size in enumerate(sizes):
            file.seek(archive.starts[place])
            file.write(archive.make_header(place))
            file.seek(size, io.SEEK_CUR)
            file.write(archive.make_descriptor(place, place))
        assert file.tell() == archive.directory_start
        file.write(archive.make_directory(range(len(sizes))))
        assert file.tell() == archive.size_bytes
    with zipfile.ZipFile(tmp_path / "large.zip") as opened:
        infos = opened.infolist()
        assert [(info.file_size, info.header_offset, info.CRC) for info in infos] == [
            (size, archive.starts[place], place) for place, size in enumerate(sizes)
        ]
        for info in infos:
            opened.open(info).close()


def test_more_files_than_sixteen_bits_count() -> None:
    archive = ZipArchive([ArchiveFile(str(number), 0) for number in range(70_000)], AT)
    made = b"".join(archive.make_header(place) + archive.make_descriptor(place, 0) for place in range(70_000))
    with zipfile.ZipFile(io.BytesIO(made + archive.make_directory([0] * 70_000))) as opened:
        assert len(opened.infolist()) == 70_000
