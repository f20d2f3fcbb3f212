"""A worker process that is ended in the middle of a saved session: in order, and by the kernel."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from soundscape.cli.embedded_project import Project
from soundscape.live.journal import FOLDER
from tests.live.conversation import User, sign_up, talk
from tests.live.test_compressed import encode
from tests.live.test_live import make_sound
from tests.live.test_saving import rows, wait_until_ready
from tests.waiting import eventually

FRAME_BYTES = 19_200
Start = Callable[[], Awaitable[tuple[asyncio.subprocess.Process, str]]]


@pytest.fixture
async def user(embedded: Project) -> User:
    return await sign_up(embedded)


@pytest.fixture
async def start(embedded: Project, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a worker of the project, on a port of its own and always on the same disk."""
    started: list[asyncio.subprocess.Process] = []

    async def begin() -> tuple[asyncio.subprocess.Process, str]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "soundscape", "worker", "--port", str(port)),
            env=os.environ | embedded.environment() | {"SOUNDSCAPE_SCRATCH_DIR": str(tmp_path)},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        started.append(process)
        url = f"http://127.0.0.1:{port}"

        async def answers() -> bool:
            assert process.returncode is None, "the worker ended"
            try:
                async with httpx.AsyncClient() as http:
                    return (await http.get(f"{url}/api/health/live")).status_code == 200
            except httpx.HTTPError:
                return False

        await eventually(answers)
        return process, url

    yield begin
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_sigterm_ends_a_session_with_its_record_and_its_recording(
    embedded: Project, user: User, start: Start
) -> None:
    process, url = await start()
    async with talk(url) as conversation:
        await conversation.start(user.token, save={"title": "Ended in order"})
        await conversation.send(make_sound(1.5), frame_bytes=FRAME_BYTES)
        await conversation.say("flush")
        await conversation.answer("flushed")
        process.send_signal(signal.SIGTERM)
        code, reason = await conversation.end()
    assert (code, reason) == (4512, "The worker is going down. Start again in a moment.")
    assert conversation.of_kind("record")[0]["record"]["source"]["duration_s"] == 1.5
    assert conversation.of_kind("saved")
    await process.wait()
    assert process.returncode == 0
    row = await wait_until_ready(embedded, user)
    assert (row["title"], float(row["duration"])) == ("Ended in order", 1.5)


async def test_kill_9_loses_at_most_a_second_and_nothing_twice(
    embedded: Project, user: User, start: Start, tmp_path: Path
) -> None:
    process, url = await start()
    async with talk(url) as conversation:
        await conversation.start(user.token, save={"title": "Killed"})
        await conversation.send(make_sound(4), frame_bytes=FRAME_BYTES)
        # No flush: it would hurry what is written down.
        while (heard := await conversation.answer("levels"))["audio_time_s"] < 3.0:
            pass
        process.kill()
        await process.wait()
    assert [folder.name for folder in (tmp_path / FOLDER).iterdir()]
    await start()
    row = await wait_until_ready(embedded, user)
    assert row["title"] == "Killed"
    assert heard["audio_time_s"] - 1.0 <= float(row["duration"]) <= 4.0
    assert row["jobs"] == 1
    await eventually(lambda: not list((tmp_path / FOLDER).iterdir()))
    assert len(rows(embedded, user)) == 1


async def test_kill_9_leaves_nothing_of_opus_that_is_not_saved(
    embedded: Project, user: User, start: Start, tmp_path: Path
) -> None:
    """Neither the sound nor the folder of its child: the next worker on the disk removes both."""
    process, url = await start()
    async with talk(url) as conversation:
        await conversation.start(user.token, format="ogg-opus", features=["levels"])
        await conversation.send(encode("ogg-opus", 3.0), frame_bytes=1000)
        await conversation.answer("levels")
        left = [found for found in tmp_path.rglob("*") if found.name.startswith(("live-", "decoder-"))]
        assert {found.name.partition("-")[0] for found in left} == {"live", "decoder"}
        process.kill()
        await process.wait()
    await start()
    await eventually(lambda: not any(found.exists() for found in left))
