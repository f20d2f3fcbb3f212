"""Previews in a running project: made behind the analyses, played by whoever may hear the recording."""

from __future__ import annotations

import asyncio
import io
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psycopg
import pytest
import soundfile

from soundscape.audio.analysis import analyze
from soundscape.cli.embedded_project import Project
from soundscape.project.visitor import Visitor, sign_up
from soundscape.worker.previews import PreviewAttempt
from tests.waiting import LIMIT_S, eventually

SAMPLE_RATE = 44_100


def sound(kind: str, hz: float, seconds: float = 2.0) -> bytes:
    file = io.BytesIO()
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    soundfile.write(file, 0.2 * np.sin(2 * np.pi * hz * t), SAMPLE_RATE, format=kind)
    return file.getvalue()


@pytest.fixture
async def owner(embedded: Project) -> AsyncIterator[Visitor]:
    visitor = await sign_up(embedded.url, embedded.keys.publishable_key, called="owner")
    yield visitor
    await visitor.client.realtime.close()


async def add(user: Visitor, kind: str, hz: float, **columns: Any) -> str:
    name = f"{user.user_id}/{secrets.token_hex(6)}.{kind.lower()}"
    await user.upload(name, sound(kind, hz), f"audio/{kind.lower()}")
    return str((await user.describe(name, "A sound", **columns))["id"])


async def row_once(user: Visitor, audio_id: str, column: str, *values: Any) -> dict[str, Any]:
    """The row once a column has one of the values, or any but null."""

    async def look() -> dict[str, Any] | None:
        rows: Any = (await user.client.table("audio_files").select("*").eq("id", audio_id).execute()).data
        found = rows[0][column]
        return dict(rows[0]) if (found in values if values else found is not None) else None

    row = await eventually(look, f"{column} does not come")
    assert row is not None
    return row


async def test_a_recording_that_no_browser_plays_gets_one(
    embedded: Project, owner: Visitor, tmp_path: Path
) -> None:
    audio_id = await add(owner, "AIFF", 431.0, is_public=True)
    row = await row_once(owner, audio_id, "preview_path")
    assert (row["status"], row["playable"]) == ("ready", False)
    async with httpx.AsyncClient(base_url=f"{embedded.url}/api", timeout=LIMIT_S) as http:
        address = f"/audio/{audio_id}/preview"
        played = await http.get(address, follow_redirects=True)
        assert played.headers["content-type"] == "audio/mpeg"
        assert len(played.content) == row["preview_size_bytes"]
        heard = analyze(io.BytesIO(played.content), tags=False)
        assert heard.source.duration_s == row["duration"] == 2.0
        feed = (await http.get(f"/users/{owner.user_id}/feed.xml")).text
        assert f"{embedded.url}/api{address}.mp3" in feed
        assert f'length="{row["preview_size_bytes"]}"' in feed
        assert 'type="audio/mpeg"' in feed

        await owner.client.table("audio_files").update({"is_public": False}).eq("id", audio_id).execute()
        assert (await http.get(address)).status_code == 404
        stranger = httpx.AsyncClient(headers={"apikey": embedded.keys.publishable_key})
        direct = await stranger.get(
            f"{embedded.url}/storage/v1/object/authenticated/waveforms/{row['preview_path']}",
            headers={"authorization": f"Bearer {embedded.keys.publishable_key}"},
        )
        assert direct.status_code == 400
        await stranger.aclose()

    # What belongs to the recording goes with it.
    await owner.client.table("audio_files").delete().eq("id", audio_id).execute()

    def is_gone() -> bool:
        with psycopg.connect(embedded.db_url) as connection:
            found = connection.execute(
                "select from storage.objects where bucket_id = 'waveforms' and name like %s",
                (f"{audio_id}/%",),
            ).fetchall()
        return not found

    await eventually(is_gone, "the preview is not deleted")


async def test_ready_does_not_wait_for_previews(owner: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a preview takes for ever, recordings become ready as before."""
    began, may_end = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    work = PreviewAttempt._work

    async def stuck(self: PreviewAttempt, job: Any, folder: Path) -> dict[str, Any]:
        # The worker has a loop of its own.
        loop.call_soon_threadsafe(began.set)
        while not may_end.is_set():
            await asyncio.sleep(0.02)
        return await work(self, job, folder)

    monkeypatch.setattr(PreviewAttempt, "_work", stuck)
    try:
        first = await add(owner, "AIFF", 432.0)
        async with asyncio.timeout(LIMIT_S):
            await began.wait()
        assert (await row_once(owner, first, "status", "ready"))["preview_path"] is None
        others = [await add(owner, kind, hz) for kind, hz in (("WAV", 433.0), ("AIFF", 434.0))]
        for audio_id in others:
            row = await row_once(owner, audio_id, "status", "ready")
            assert row["preview_path"] is None
    finally:
        may_end.set()
    for audio_id in (first, others[1]):
        await row_once(owner, audio_id, "preview_path")
    assert (await row_once(owner, others[0], "playable"))["preview_path"] is None
