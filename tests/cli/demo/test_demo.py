"""`soundscape demo`, as somebody types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from soundscape.cli.demo import sounds


def demo(*files: str | Path, data_dir: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "soundscape", "demo", "--data-dir", str(data_dir), *map(str, files)],
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"COLUMNS": "140"},
        check=False,
    )


@pytest.fixture(scope="module")
def data_dir(data_dirs: Path) -> Path:
    return data_dirs / "demo"


def row(output: str, name: str) -> str:
    return next(line for line in output.splitlines() if name in line)


def test_with_sounds_of_its_own(data_dir: Path) -> None:
    shown = demo(data_dir=data_dir)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    for name, length in {
        "rain-like noise.": "12.0 s",
        "chirping bird": "8.0 s",
        "chords in C": "19.2 s",
        "speech-like formants": "9.0 s",
    }.items():
        line = row(shown.stdout, name)
        assert "ready" in line
        assert length in line
    assert "synthesising four sounds" in shown.stdout, "made-up sounds are said to be made up"
    assert shown.stdout.count("refused") >= 10, "each try of a stranger's"
    assert "GOT THROUGH" not in shown.stdout
    assert "4 ready, 0 refused with a reason, nothing leaked." in shown.stdout
    assert "Traceback" not in shown.stderr


def test_what_is_no_audio_is_reported_and_no_failure(data_dir: Path, tmp_path: Path) -> None:
    good = next(path for path in sounds.write_all(tmp_path) if path.suffix == ".flac")
    text = tmp_path / "a shopping list.wav"
    text.write_text("eggs\nmilk\nbread\n" * 40)
    empty = tmp_path / "nothing.wav"
    empty.touch()
    shown = demo(good, text, empty, data_dir=data_dir)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "ready" in row(shown.stdout, "chirping bird")
    assert "failed" in row(shown.stdout, "a shopping list")
    said = " ".join(shown.stdout.split())
    assert "a shopping list.wav: not_audio." in said
    assert "nothing.wav: empty_file." in said
    assert "1 ready, 2 refused with a reason, nothing leaked." in said


def test_with_nothing_readable_it_fell_short(data_dir: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.wav"
    text.write_text("no sound at all\n" * 40)
    shown = demo(text, data_dir=data_dir)
    assert shown.returncode == 1
    assert "no recording became ready" in shown.stdout
