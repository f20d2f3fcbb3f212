"""What readiness says of each thing the worker stands on."""

from __future__ import annotations

from pathlib import Path

import pytest

from soundscape.audio.tagging import models
from soundscape.sandbox.confinement import NAMES, Protections
from soundscape.worker.readiness import Check, check_models, check_sandbox


def test_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUNDSCAPE_MODELS_DIR", str(tmp_path))
    missing = check_models()
    assert (missing.state, "models pull" in missing.reason) == ("degraded", True)
    (tmp_path / models.YAMNET.filename).write_bytes(b"other bytes")
    wrong = check_models()
    assert (wrong.state, "yamnet" in wrong.reason) == ("failed", True)


def test_models_that_are_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"")
    whole = models.ModelStatus(models.YAMNET, tmp_path / "m", "present")
    monkeypatch.setattr(models, "statuses", lambda: [whole])
    assert check_models() == Check("ok")


@pytest.mark.parametrize(
    ("off", "state"),
    [
        ({}, "ok"),
        ({"user": "the worker does not run as root"}, "ok"),
        ({"files": "this kernel has no Landlock"}, "degraded"),
        (dict.fromkeys(NAMES, "only Linux has it"), "degraded"),
    ],
)
def test_sandbox(off: dict[str, str], state: str) -> None:
    found = check_sandbox(Protections(tuple(name for name in NAMES if name not in off), off))
    assert found.state == state
    for name, why in off.items():
        assert (why in found.reason) == (state == "degraded"), name
