"""Recordings that were there before are recognised: by the worker, on the embedded project."""

from __future__ import annotations

import asyncio
import io
from typing import Any, cast

import av
import numpy as np
import soundfile
from supabase import AsyncClient

from soundscape.dev import Project
from soundscape.project.visitor import Visitor, signed_up
from tests.audio.fingerprint.sounds import SAMPLE_RATE, Samples, melody

READY_WITHIN_S = 60.0


def wav(y: Samples) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, y, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def mp3(y: Samples, bit_rate: int = 64_000) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE, layout="mono", bit_rate=bit_rate)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(y[np.newaxis]), format="fltp", layout="mono")
        frame.rate = SAMPLE_RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return file.getvalue()


def part(y: Samples, start_s: float, length_s: float) -> Samples:
    return y[int(start_s * SAMPLE_RATE) :][: int(length_s * SAMPLE_RATE)]


async def added(visitor: Visitor, data: bytes, *, title: str, public: bool = False) -> str:
    """Upload a recording and wait for its analysis; returns its id."""
    name = f"{visitor.user_id}/{title}"
    kind = "audio/mpeg" if title.endswith("mp3") else "audio/wav"
    made = await visitor.describe(name, title, is_public=public)
    await visitor.upload(name, data, kind)
    async with asyncio.timeout(READY_WITHIN_S):
        while True:
            row = await one(visitor.client, "audio_files", made["id"])
            if row["status"] not in ("awaiting_upload", "queued", "analyzing"):
                break
            await asyncio.sleep(0.1)
    assert row["status"] == "ready", row
    return str(made["id"])


async def one(client: AsyncClient, table: str, audio_id: str) -> dict[str, Any]:
    rows = (await client.table(table).select("*").eq("id", audio_id).execute()).data
    return cast("dict[str, Any]", rows[0])


async def claims(visitor: Visitor) -> list[dict[str, Any]]:
    rows = (await visitor.client.table("audio_matches").select("*").order("created_at").execute()).data
    return cast("list[dict[str, Any]]", rows)


def test_an_owner_is_told_what_was_there_before(stack: Project) -> None:
    async def scenario() -> None:
        async with (
            signed_up(stack.url, stack.keys.publishable_key, called="first") as first,
            signed_up(stack.url, stack.keys.publishable_key, called="second") as second,
        ):
            y = melody(401, 24.0)
            whole = await added(first, wav(y), title="whole.wav", public=True)
            copy = await added(second, mp3(y), title="copy.mp3")
            excerpt = await added(second, mp3(part(y, 9.0, 10.0)), title="excerpt.mp3")
            await added(second, wav(melody(402)), title="another.wav")
            found = {(claim["audio_id"], claim["matched_audio_id"]): claim for claim in await claims(second)}
            assert {pair: claim["kind"] for pair, claim in found.items()} == {
                (copy, whole): "same_recording",
                (excerpt, whole): "contains",
                (excerpt, copy): "contains",
            }
            assert abs(found[excerpt, whole]["evidence"]["offset_s"] - 9.0) < 0.1
            assert all(claim["confidence"] >= 0.7 for claim in found.values())
            assert await claims(first) == []
            await second.client.rpc("dismiss_match", {"match": found[copy, whole]["id"]}).execute()
            dismissed = [claim["id"] for claim in await claims(second) if claim["dismissed_at"]]
            assert dismissed == [found[copy, whole]["id"]]

    asyncio.run(scenario())
