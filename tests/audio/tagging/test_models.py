"""The models directory, with a small model of known bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from soundscape.audio.tagging import models
from soundscape.errors import ModelError

CONTENT = bytes(range(256)) * 1000
WRONG = b"\xff" * len(CONTENT)
TINY = models.Model(
    name="tiny",
    filename="tiny.bin",
    urls=("http://127.0.0.1:9/never",),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    size_bytes=len(CONTENT),
    licence="CC0-1.0",
    purpose="tests",
)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(models.REGISTRY, "tiny", TINY)


def test_missing_model_names_its_mend(tmp_path: Path) -> None:
    with pytest.raises(models.ModelMissing) as raised:
        models.find("tiny", directory=tmp_path)
    assert raised.value.remedy == "Run `soundscape models pull tiny` once."


def test_unknown_model() -> None:
    with pytest.raises(ModelError) as raised:
        models.find("nobody")
    assert raised.value.code == "model_unknown"
    assert "yamnet" in raised.value.remedy


def test_statuses(tmp_path: Path) -> None:
    def state() -> str:
        return next(each.state for each in models.statuses(directory=tmp_path) if each.model is TINY)

    assert state() == "missing"
    (tmp_path / "tiny.bin").write_bytes(WRONG)
    assert state() == "corrupt"
    (tmp_path / "tiny.bin").write_bytes(CONTENT)
    assert state() == "present"


def test_digest_is_computed_once_and_again_when_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"one")
    computed: list[int] = []
    original = hashlib.file_digest

    def counted(*args: Any) -> Any:
        computed.append(1)
        return original(*args)

    monkeypatch.setattr("soundscape.audio.tagging.models.hashlib.file_digest", counted)
    assert models.digest(file) == models.digest(file) == hashlib.sha256(b"one").hexdigest()
    assert len(computed) == 1
    file.write_bytes(b"three")
    assert models.digest(file) == hashlib.sha256(b"three").hexdigest()


def test_directory_is_taken_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUNDSCAPE_MODELS_DIR", str(tmp_path))
    assert models.models_directory() == tmp_path
    monkeypatch.delenv("SOUNDSCAPE_MODELS_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert models.models_directory().name == "models"
