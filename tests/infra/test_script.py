"""`scripts/test-infra` where a download is not to be had: it says so and does not fail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import test_infra

    monkeypatch.setattr(test_infra, "FOLDER", tmp_path / "build")
    module: ModuleType = test_infra
    return module


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every program that downloads fails, as where no registry answers."""
    for name in ("uv", "npm", "apt-get"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho 'error sending request'\nexit 1\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", ["kubernetes", "workflows", "docker", "terraform"])
def test_offline(script: ModuleType, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main([name]) == 0
    shown = capsys.readouterr().out
    assert "could not download what it takes: error sending request" in shown
    assert shown.splitlines()[-1] == "0 passed, 0 failed, 1 skipped"


@pytest.mark.parametrize("words", ["error: Hash mismatch for `zizmor`", "npm error code EINTEGRITY"])
def test_wrong_bytes_are_a_failure(script: ModuleType, words: str) -> None:
    with pytest.raises(script.Failed):
        script.download(sys.executable, "-c", f"print({words!r}); raise SystemExit(1)")


def test_what_is_found_is_a_failure(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def check() -> Iterator[str]:
        yield "one thing is well"
        raise script.Failed("another is not")

    monkeypatch.setitem(script.CHECKS, "docker", check)
    assert script.main(["docker"]) == 1
