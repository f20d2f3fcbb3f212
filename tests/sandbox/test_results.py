"""What comes out of a child is not believed: names, kinds and sizes of files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from soundscape.errors import AnalysisCrashed
from soundscape.sandbox import results
from soundscape.sandbox.results import Results, list_named_files

VERSION = "a1-0123456789"


def naming(*names: str, version: Any = VERSION) -> dict[str, Any]:
    return {"analysis_version": version, "pictures": {"tiles": {"paths": list(names)}}}


def test_only_files_that_the_record_names(tmp_path: Path) -> None:
    for name in ("a.png", "b.dat", "left.png"):
        (tmp_path / name).write_bytes(name.encode())
    record = naming("a.png", "a.png") | {
        "waveform": {"path": "b.dat", "bits": 16},
        "source": {"x": "left.png"},
    }
    found = Results(record, tmp_path)
    assert found.names == ["a.png", "b.dat"]
    for name in found.names:
        with found.open(name) as file:
            assert file.read() == name.encode()


@pytest.mark.parametrize(
    "name",
    [
        *("../secret.png", "/etc/secret.png", "a/b.png", ".hidden.png"),
        *("a\x00.png", "a\n.png", "ä.png", "x" * 100 + ".png"),
    ],
)  # fmt: skip
def test_names_that_no_analysis_gives(name: str) -> None:
    with pytest.raises(AnalysisCrashed) as strange:
        list_named_files(naming(name))
    assert strange.value.code == "analysis_strange_files"


@pytest.mark.parametrize("version", ["", "../a1", "a1/../..", "A1", "a1\n", "x" * 65, None, 1, ["a1"]])
def test_versions_that_no_analysis_gives(tmp_path: Path, version: Any) -> None:
    with pytest.raises(AnalysisCrashed):
        Results(naming(version=version), tmp_path)


def test_files_without_number() -> None:
    assert len(list_named_files(naming(*(f"{n}.png" for n in range(results.MAX_FILES))))) == results.MAX_FILES
    with pytest.raises(AnalysisCrashed, match="1025 files"):
        list_named_files(naming(*(f"{n}.png" for n in range(results.MAX_FILES + 1))))


@pytest.mark.parametrize("kind", ["missing", "symlink", "hard link", "pipe", "folder", "device"])
def test_what_is_no_plain_file(tmp_path: Path, kind: str) -> None:
    """The child's folder is its own to fill: a name in it may lead to the worker's files, or block."""
    secret, path = tmp_path / "secret", tmp_path / "out" / "a.png"
    secret.write_text("sb_secret_of_the_worker")
    path.parent.mkdir()
    match kind:
        case "symlink":
            path.symlink_to(secret)
        case "hard link":
            path.hardlink_to(secret)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
    with pytest.raises(AnalysisCrashed) as strange, Results(naming("a.png"), path.parent).open("a.png"):
        pass
    assert strange.value.code == "analysis_strange_files"


def test_a_link_in_the_place_of_the_folder(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.png").write_text("somebody else's")
    (tmp_path / "out").symlink_to(elsewhere)
    with (
        pytest.raises(AnalysisCrashed, match="cannot be opened"),
        Results(naming("a.png"), tmp_path / "out").open("a.png"),
    ):
        pass


def test_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "MAX_FILE_BYTES", 100)
    monkeypatch.setattr(results, "MAX_BYTES", 250)
    for name, size in (("a.dat", 100), ("b.dat", 100), ("c.dat", 100), ("d.dat", 101)):
        (tmp_path / name).write_bytes(bytes(size))
    found = Results(naming("a.dat", "b.dat", "c.dat", "d.dat"), tmp_path)
    for name, fits in (("d.dat", False), ("a.dat", True), ("c.dat", False)):
        if fits:
            with found.open(name):
                continue
        with pytest.raises(AnalysisCrashed, match="bytes in"), found.open(name):
            pass
