"""What readiness says of each thing the worker stands on."""

from __future__ import annotations

from pathlib import Path

import pytest

from soundscape.audio import code_folder
from soundscape.audio.tagging import models
from soundscape.sandbox.confinement import NAMES, Protections
from soundscape.sandbox.protocol import CompiledCode
from soundscape.worker import readiness
from soundscape.worker.readiness import Check, LocalChecks, ProjectHealth, check_models, check_sandbox


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


class Clock:
    """A clock that is set by hand; notes when something happened."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.noted_s: list[float] = []

    def read(self) -> float:
        return self.now_s

    def note(self) -> None:
        self.noted_s.append(self.now_s)


def test_models_are_read_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    def statuses() -> list[models.ModelStatus]:
        clock.note()
        return []

    monkeypatch.setattr(models, "statuses", statuses)
    local = LocalChecks(clock=clock.read)
    for at_s in (100.0, 100.0, 109.9, 110.0, 119.9):
        clock.now_s = at_s
        assert local.check_models() == Check("ok")
    assert clock.noted_s == [100.0, 110.0]


def test_code_writes_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    def is_lasting() -> bool:
        clock.note()
        return clock.now_s >= 60.0

    monkeypatch.setattr(code_folder, "is_lasting", is_lasting)
    local, states = LocalChecks(clock=clock.read), []
    for at_s in (0.0, 30.0, 59.9, 60.0):
        clock.now_s = at_s
        states.append(local.check_code(CompiledCode(loaded=0, compiled=3)).state)
    assert states == ["degraded", "degraded", "degraded", "ok"]
    # Other children may have found another folder.
    local.check_code(CompiledCode(loaded=0, compiled=1))
    assert clock.noted_s == [0.0, 60.0, 60.0]


async def test_a_scrape_believes_an_older_answer() -> None:
    asked: list[str] = []

    class Asked(ProjectHealth):
        async def _ask_database(self) -> None:
            asked.append("database")

        async def _ask_storage(self) -> None:
            asked.append("storage")

    project = Asked(None)  # type: ignore[arg-type]
    for _ in range(3):
        checks = await project.run_checks(max_age_s=readiness.SCRAPES_CACHED_S)
    assert checks == {"database": Check("ok"), "storage": Check("ok")}
    assert sorted(asked) == ["database", "storage"]
    await project.run_checks(max_age_s=0.0)
    assert len(asked) == 4
