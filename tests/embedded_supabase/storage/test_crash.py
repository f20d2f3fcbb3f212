"""Killed at each step of an upload: never a row without its bytes, and no stray bytes past a sweep."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from embedded_supabase.storage.files import Files
from tests.waiting import LIMIT_S

from .conftest import Project, User

SCRIPT = Path(__file__).with_name("crash.py")


def run(project: Project, data_dir: Path, **given: Any) -> subprocess.CompletedProcess[str]:
    postgres = project.embedded.postgres
    facts = {
        "home": str(postgres.home), "password": postgres.password, "port": postgres.port,
        "data_dir": str(data_dir), "die": "", "url": None, "body": "", "key": "", **given,
    }  # fmt: skip
    command = [sys.executable, str(SCRIPT), json.dumps(facts)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)


@pytest.mark.parametrize("die", ["received", "placed", "committed"])
def test_killed_at(project: Project, tmp_path: Path, die: str) -> None:
    key = f"crash/{uuid4()}"
    first = run(project, tmp_path, key=key, body="old")
    assert first.returncode == 0, first.stderr
    old = project.version("st-private", key)
    killed = run(project, tmp_path, key=key, body="new", die=die)
    assert killed.returncode == 9, killed.stderr
    now = project.version("st-private", key)
    assert (now != old) == (die == "committed")
    files = Files(tmp_path / "storage")
    # The row's bytes are whole, whichever it is.
    assert files.path(now).read_bytes() == (b"new" if die == "committed" else b"old")
    asyncio.run(_sweep_all(project, files))
    assert {path.name for path in files.objects.glob("*/*")} == {now}
    assert list(files.incoming.iterdir()) == []


async def _sweep_all(project: Project, files: Files) -> None:
    """A sweep as after a restart, with nothing spared for being young."""
    for path in files.incoming.iterdir():
        os.utime(path, (0, 0))
    await project.sweep(files=files)


def begin(project: Project, data_dir: Path, key: str, body: str, die: str = "") -> str:
    """Ten bytes are announced and `body` is sent before the process is killed; the upload's URL."""
    pairs = {"bucketName": "st-private", "objectName": key}
    metadata = ",".join(f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in pairs.items())
    killed = run(project, data_dir, url="", metadata=metadata, body=body, die=die)
    assert killed.returncode == 9, killed.stderr
    return killed.stdout.strip()


def test_a_resumable_upload_goes_on_after_a_restart(project: Project, tmp_path: Path) -> None:
    key = f"crash/{uuid4()}"
    url = begin(project, tmp_path, key, "01234")
    resumed = run(project, tmp_path, url=url, body="56789")
    assert (resumed.returncode, resumed.stdout.strip()) == (0, "5"), resumed.stderr
    version = project.version("st-private", key)
    assert Files(tmp_path / "storage").path(version).read_bytes() == b"0123456789"


@pytest.mark.parametrize(("die", "offset"), [("received", "10"), ("placed", "0"), ("committed", "10")])
def test_a_resumable_upload_killed_at_its_end(
    project: Project, tmp_path: Path, die: str, offset: str
) -> None:
    """Its URL says finished only where the object is there, and otherwise can be gone on with."""
    key = f"crash/{uuid4()}"
    url = begin(project, tmp_path, key, "0123456789", die)
    version = project.version("st-private", key)
    assert (version is not None) == (die == "committed")
    resumed = run(project, tmp_path, url=url, body="0123456789" if offset == "0" else "")
    assert (resumed.returncode, resumed.stdout.strip()) == (0, offset), resumed.stderr
    now = project.version("st-private", key)
    assert die != "committed" or now == version
    assert Files(tmp_path / "storage").path(now).read_bytes() == b"0123456789"


async def test_fifty_users_at_once(project: Project) -> None:
    async def live(user: User, number: int) -> None:
        body, headers = bytes([number]) * 20_000, user.headers
        async with httpx.AsyncClient(base_url=project.url, timeout=LIMIT_S) as http:
            for turn in range(3):
                path = f"/object/st-private/{user.id}/{turn}"
                assert (await http.post(path, content=body, headers=headers)).status_code == 200
                assert (await http.get(path, headers=headers)).content == body
            listed = await http.post("/object/list/st-private", json={"prefix": ""}, headers=headers)
            folders = {item["name"] for item in listed.json()}
            assert folders == {user.id}

    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(live(project.user(), number))
