"""Opus: heard while it arrives, and the record of its file at the end."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import psycopg
import pytest

from soundscape.audio.analysis import analyze
from soundscape.cli.embedded_project import Project
from tests.live.conversation import User, sign_up, talk
from tests.live.test_live import comparable, make_sound
from tests.live.test_saving import download, wait_until_ready

CONTAINERS = {"webm-opus": "webm", "ogg-opus": "ogg"}


@pytest.fixture
async def user(embedded: Project) -> User:
    return await sign_up(embedded)


def encode(
    format: str, seconds: float = 3.0, *, codec: str = "libopus", container: str | None = None
) -> bytes:
    with io.BytesIO() as file:
        with av.open(file, "w", format=container or CONTAINERS[format]) as output:
            stream = output.add_stream(codec, rate=48_000)
            assert isinstance(stream, av.AudioStream)
            stream.layout = "stereo"
            t = np.arange(int(seconds * 48_000)) / 48_000
            sound = (0.3 * np.sin(2 * np.pi * 440 * t) * (0.3 + 0.7 * ((t * 2) % 1 < 0.2))).astype(np.float32)
            for start in range(0, len(sound), 960):
                piece = sound[start : start + 960]
                frame = av.AudioFrame.from_ndarray(np.stack([piece, piece]), format="fltp", layout="stereo")
                frame.sample_rate, frame.pts = 48_000, start
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return file.getvalue()


def without_tags(record: dict[str, Any]) -> dict[str, Any]:
    """What does not depend on whether this machine has a model, nor on files that a live record has."""
    left_out = ("tags", "embedding", "stages", "analysis_version", "waveform", "pictures")
    plain = {name: value for name, value in comparable(record).items() if name not in left_out}
    return plain | {"fingerprint": plain["fingerprint"] | {"path": None}}


@pytest.mark.parametrize("format", CONTAINERS)
@pytest.mark.parametrize("message_bytes", [97, 4000])
async def test_it_is_read_while_it_arrives_and_has_the_record_of_its_file(
    embedded: Project, user: User, format: str, message_bytes: int
) -> None:
    file = encode(format)
    async with talk(embedded.url) as conversation:
        await conversation.start(user.token, format=format, features=["levels", "pitch"], rate_hz=20)
        await conversation.send(file, frame_bytes=message_bytes)
        await conversation.say("stop")
        code, reason = await conversation.end()
    assert (code, reason) == (1000, "The session has ended as you asked.")
    assert conversation.of_kind("pitch")[-1]["frequency_hz"] == pytest.approx(440, rel=0.01)
    of_file = analyze(io.BytesIO(file), tags=False).as_dict()
    assert without_tags(conversation.of_kind("record")[0]["record"]) == without_tags(of_file)


@pytest.mark.parametrize("format", CONTAINERS)
async def test_it_is_saved_as_it_came(embedded: Project, user: User, format: str) -> None:
    file = encode(format)
    async with talk(embedded.url) as conversation:
        await conversation.start(user.token, format=format, save={"title": "Spoken"})
        await conversation.send(file)
        await conversation.say("stop")
        await conversation.end()
    row = await wait_until_ready(embedded, user)
    assert await download(embedded, user, row["file_path"]) == file


async def test_a_broken_connection_keeps_what_arrived(
    embedded: Project, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soundscape.live.session.RESUME_S", 0.2)
    file = encode("webm-opus")
    async with talk(embedded.url) as conversation:
        await conversation.start(user.token, format="webm-opus", save={"title": "Cut off"})
        await conversation.send(file[:20_000])
        await conversation.answer("levels")
        conversation.socket.transport.abort()
    row = await wait_until_ready(embedded, user)
    content = await download(embedded, user, row["file_path"])
    assert file.startswith(content)
    assert content


@pytest.mark.parametrize(
    "data",
    [b"nonsense" * 200, encode("ogg-opus"), encode("webm-opus", codec="flac", container="matroska")],
    ids=["nonsense", "ogg", "flac"],
)
async def test_what_is_no_opus_in_webm_is_refused(embedded: Project, user: User, data: bytes) -> None:
    async with talk(embedded.url) as conversation:
        await conversation.start(user.token, format="webm-opus", save={"title": "Nothing"})
        await conversation.send(data)
        await conversation.say("stop")
        code, reason = await conversation.end()
    assert (code, reason) == (4415, "The sound is not webm-opus, or it is damaged.")
    with psycopg.connect(embedded.db_url) as connection:
        left = connection.execute("select 1 from public.audio_files where user_id = %s", [user.id]).fetchall()
    assert left == []


@pytest.mark.parametrize(
    ("format", "more"),
    [
        ("s16le", {"sample_rate": 48_000, "channels": 2, "save": {"title": "Without tags"}}),
        ("webm-opus", {}),
        ("ogg-opus", {"rate_hz": 20}),
    ],
)
async def test_a_session_leaves_no_folder_in_scratch(
    embedded: Project, user: User, format: str, more: dict[str, Any]
) -> None:
    assert embedded.worker is not None
    scratch = embedded.worker.scratch_folder
    before = set(scratch.glob("live-*"))
    async with talk(embedded.url) as conversation:
        await conversation.start(user.token, format=format, features=["levels"], **more)
        await conversation.send(make_sound(1) if format == "s16le" else encode(format, 1.0))
        await conversation.say("stop")
        await conversation.end()
    assert conversation.of_kind("record")
    assert set(scratch.glob("live-*")) <= before
