"""Recordings of ../shared/cases that were heard wrongly once: their tempi, and that level does not matter."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from signals import RECORDINGS

from soundscape.audio import analyze

CASES = RECORDINGS.parent / "cases" / "make_cases.py"
TEMPI = {
    **{f"four_on_the_floor_{bpm}.flac": bpm for bpm in (110, 120, 126, 132)},
    **{f"rock_{bpm}.flac": bpm for bpm in (75, 90, 140, 160, 174)},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cases of tempo and of a quiet recording."""
    if not CASES.exists():
        pytest.skip(f"{CASES} is not here")
    spec = importlib.util.spec_from_file_location("make_cases", CASES)
    assert spec is not None
    assert spec.loader is not None
    cases = importlib.util.module_from_spec(spec)
    monkeypatch = pytest.MonkeyPatch()
    # The folder cannot be written to.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    spec.loader.exec_module(cases)
    monkeypatch.undo()
    folder = tmp_path_factory.mktemp("cases")
    cases.rhythms(folder)
    cases.quiet(folder)
    (folder / "cases.json").write_text(json.dumps(cases.CASES))
    return folder


def heard(path: Path) -> dict[str, Any]:
    record = analyze(path, tags=False, draw=False)
    assert record.rhythm is not None
    assert record.tonality is not None
    return {
        "tempo_bpm": record.rhythm.tempo_bpm,
        "key": (record.tonality.key, record.tonality.mode),
    }


@pytest.mark.parametrize("name", TEMPI)
def test_tempo_of_a_case(made: Path, name: str) -> None:
    truth = json.loads((made / "cases.json").read_text())[name]["true"]
    assert truth["tempo_bpm"] == TEMPI[name]
    assert heard(made / name)["tempo_bpm"] == pytest.approx(TEMPI[name], rel=0.04)


def test_a_quiet_recording_has_the_tempo_and_key_of_a_loud_one(made: Path) -> None:
    assert heard(made / "quiet_40.flac") == heard(made / "quiet_0.flac")
