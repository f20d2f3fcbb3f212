"""The worker of compose.yaml, twice: both take recordings, and both stop in time.

The engine of `scripts/test-infra` has no networks, so the workers are on the host's, each on a port of its
own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.waiting import until
from tests.worker.test_worker import Bench, served_bench

IMAGE = os.environ.get("SOUNDSCAPE_TEST_IMAGE")
COMPOSE_FILE = Path(__file__).resolve().parents[2] / "infra" / "docker" / "compose.yaml"


def find_compose() -> list[str] | None:
    """The command of Compose 2, or of Debian's Compose 1."""
    plugin = ["docker", "compose"]
    if shutil.which("docker") and not subprocess.run([*plugin, "version"], capture_output=True).returncode:
        return plugin
    return ["docker-compose"] if shutil.which("docker-compose") else None


pytestmark = [
    pytest.mark.skipif(IMAGE is None, reason="SOUNDSCAPE_TEST_IMAGE names no image"),
    pytest.mark.skipif(find_compose() is None, reason="needs Compose"),
]


@pytest.fixture(scope="module")
def project(data_dirs: Path) -> Iterator[Bench]:
    with served_bench(data_dirs / "compose") as bench:
        yield bench


@pytest.fixture
def compose(project: Bench, tmp_path: Path) -> Iterator[list[str]]:
    """The command, on the worker of compose.yaml alone."""
    worker: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())["services"]["worker"]
    for name in ("build", "expose"):
        del worker[name]
    settings = tmp_path / "env"
    settings.write_text("".join(f"{name}={value}\n" for name, value in project.project.environment().items()))
    worker |= {
        "image": IMAGE,
        "env_file": str(settings),
        "network_mode": "host",
        "command": ["worker", "--host", "127.0.0.1", "--port", "0"],
    }
    file = tmp_path / "compose.yaml"
    file.write_text(yaml.safe_dump({"version": "3.9", "services": {"worker": worker}}))
    command = find_compose()
    assert command is not None
    # Compose 1 reads the number of replicas and the limits only so.
    yield (command := [*command, "--compatibility", "-p", "soundscape-test", "-f", str(file)])
    run([*command, "down", "--volumes"])


def run(command: list[str]) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_two_workers(project: Bench, compose: list[str]) -> None:
    run([*compose, "up", "--detach"])
    try:
        until(lambda: len(project.sql("select name from soundscape.workers")) == 2)
        recordings = [project.recording()[0] for _ in range(3)]
        until(lambda: all(project.status(audio_id) == "ready" for audio_id in recordings))
    finally:
        run([*compose, "stop"])
    containers = run([*compose, "ps", "--all", "--quiet"]).split()
    states = run(["docker", "inspect", "--format", "{{.State.ExitCode}}", *containers]).split()
    assert states == ["0", "0"]
