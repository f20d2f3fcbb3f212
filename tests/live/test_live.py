"""`WS /api/live` of a running worker: what a client says, and what it is answered."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import numpy as np
import pytest

from soundscape.audio.analysis import analyze
from soundscape.audio.streaming.pcm import PcmFormat
from soundscape.cli.embedded_project import Project
from tests.live.conversation import User, sign_up, talk

STEREO = PcmFormat("s16le", 48_000, 2)


@pytest.fixture
async def user(embedded: Project) -> User:
    return await sign_up(embedded)


def make_sound(seconds: float, format: PcmFormat = STEREO) -> bytes:
    t = np.arange(int(seconds * format.sample_rate)) / format.sample_rate
    beat = 0.2 + 0.8 * ((t * 2) % 1 < 0.1)
    sound = 0.3 * np.sin(2 * np.pi * 440 * t) * beat + 0.01 * np.random.default_rng(1).standard_normal(len(t))
    channels = np.stack([sound * (0.9**c) for c in range(format.channels)], axis=1)
    if format.encoding == "s16le":
        return bytes((channels * 32767).astype("<i2").tobytes())
    return bytes(channels.astype("<f4").tobytes())


def comparable(record: dict[str, Any]) -> dict[str, Any]:
    """All of a record but the time that its stages took."""
    stages = [
        {name: value for name, value in stage.items() if name != "seconds"} for stage in record["stages"]
    ]
    return record | {"stages": stages}


def analyzed(data: bytes, format: PcmFormat) -> dict[str, Any]:
    return analyze(io.BytesIO(format.wave_header() + data), tags=False).as_dict()


@pytest.mark.parametrize("frame_bytes", [1501, 3840, 50_000])
async def test_the_record_is_that_of_a_file(embedded: Project, user: User, frame_bytes: int) -> None:
    sound = make_sound(3.7)
    async with talk(embedded.url) as conversation:
        await conversation.start(user.token, rate_hz=50)
        await conversation.send(sound, frame_bytes=frame_bytes)
        await conversation.say("stop")
        code, _ = await conversation.end()
    assert code == 1000
    assert comparable(conversation.of_kind("record")[0]["record"]) == comparable(analyzed(sound, STEREO))
    assert conversation.answers[-1] == {"type": "stopped", "reason": "stopped", "duration_s": 3.7}


async def test_floats_too(embedded: Project, user: User) -> None:
    format = PcmFormat("f32le", 44_100, 1)
    sound = make_sound(2.3, format)
    async with talk(embedded.url) as conversation:
        await conversation.start(user.token, format="f32le", sample_rate=44_100, channels=1)
        await conversation.send(sound)
        await conversation.say("stop")
        await conversation.end()
    assert comparable(conversation.of_kind("record")[0]["record"]) == comparable(analyzed(sound, format))


async def test_everything_that_is_asked_for_is_read(embedded: Project, user: User) -> None:
    features = ["levels", "spectrum", "pitch", "onset", "beat", "tempo", "key"]
    async with talk(embedded.url) as conversation:
        started = await conversation.start(user.token, features=features, rate_hz=20)
        assert started["features"] == features
        assert len(started["bands_hz"]) == 128
        await conversation.send(make_sound(8))
        await conversation.say("stop")
        await conversation.end()
    kinds = {answer["type"] for answer in conversation.answers}
    assert kinds >= {*features, "acknowledged", "record", "stopped"}
    assert conversation.of_kind("pitch")[-1]["frequency_hz"] == pytest.approx(440, rel=0.01)
    assert conversation.of_kind("tempo")[-1]["tempo_bpm"] == pytest.approx(120, rel=0.02)
    times = [answer["audio_time_s"] for answer in conversation.of_kind("levels")]
    assert times == sorted(times)
    assert times[-1] == 8.0


async def test_only_what_is_asked_for_is_read(embedded: Project, user: User) -> None:
    async with talk(embedded.url) as conversation:
        await conversation.start(user.token, features=["levels"])
        await conversation.send(make_sound(1))
        await conversation.say("stop")
        await conversation.end()
    assert {answer["type"] for answer in conversation.answers} <= {
        *("started", "levels", "acknowledged", "record", "stopped")
    }


async def test_a_flush_answers_for_all_that_was_sent(embedded: Project, user: User) -> None:
    async with talk(embedded.url) as conversation:
        await conversation.start(user.token, rate_hz=1)
        await conversation.send(make_sound(0.5))
        await conversation.say("flush")
        flushed = await conversation.answer("flushed")
        assert flushed["audio_time_s"] == 0.5
        assert conversation.of_kind("levels")[-1]["audio_time_s"] == 0.5
        assert conversation.of_kind("acknowledged")[-1]["received_bytes"] == len(make_sound(0.5))


async def test_a_session_without_sound_has_no_record(embedded: Project, user: User) -> None:
    async with talk(embedded.url) as conversation:
        await conversation.start(user.token)
        await conversation.say("stop")
        code, _ = await conversation.end()
    assert code == 1000
    assert [answer["type"] for answer in conversation.answers] == ["started", "warning", "stopped"]


async def test_a_broken_connection_is_continued(embedded: Project, user: User) -> None:
    sound = make_sound(3)
    async with talk(embedded.url) as first:
        started = await first.start(user.token)
        await first.send(sound[:200_001], frame_bytes=4000)
        first.socket.transport.abort()
    async with talk(embedded.url) as second:
        await second.say("resume", token=user.token, session_id=started["session_id"])
        resumed = await second.answer("resumed")
        assert 0 <= resumed["received_bytes"] <= 200_001
        await second.send(sound[resumed["received_bytes"] :])
        await second.say("stop")
        await second.end()
    assert comparable(second.of_kind("record")[0]["record"]) == comparable(analyzed(sound, STEREO))


async def test_a_second_connection_takes_the_session_over(embedded: Project, user: User) -> None:
    async with talk(embedded.url) as first, talk(embedded.url) as second:
        started = await first.start(user.token)
        await second.say("resume", token=user.token, session_id=started["session_id"])
        await second.answer("resumed")
        assert (await first.end())[0] == 4409
        await second.send(make_sound(0.2))
        await second.say("stop")
        assert (await second.end())[0] == 1000


async def test_nobody_continues_the_session_of_another(embedded: Project, user: User) -> None:
    stranger = await sign_up(embedded)
    async with talk(embedded.url) as first, talk(embedded.url) as second:
        started = await first.start(user.token)
        await second.say("resume", token=stranger.token, session_id=started["session_id"])
        assert (await second.end())[0] == 4404


async def test_a_newer_token_is_taken(embedded: Project, user: User) -> None:
    async with talk(embedded.url) as conversation:
        await conversation.start(user.token)
        await conversation.say("token", token=user.token)
        await conversation.say("keep_alive")
        await conversation.say("stop")
        assert (await conversation.end())[0] == 1000


async def test_a_token_of_another_user_ends_the_session(embedded: Project, user: User) -> None:
    stranger = await sign_up(embedded)
    async with talk(embedded.url) as conversation:
        await conversation.start(user.token)
        await conversation.say("token", token=stranger.token)
        assert (await conversation.end())[0] == 4401


async def test_a_user_has_three_sessions_at_most(embedded: Project, user: User) -> None:
    async with talk(embedded.url) as one, talk(embedded.url) as two, talk(embedded.url) as three:
        for conversation in (one, two, three):
            await conversation.start(user.token)
        async with talk(embedded.url) as fourth:
            await fourth.say("start", token=user.token, format="s16le", sample_rate=48_000, channels=2)
            code, reason = await fourth.end()
            assert (code, reason) == (4429, "You have 3 sessions, as many as a user may have.")
        await one.say("stop")
        await one.end()
        async with talk(embedded.url) as fifth:
            await fifth.start(user.token)


def start(**changed: Any) -> str:
    whole = {"type": "start", "token": "TOKEN", "format": "s16le", "sample_rate": 48_000, "channels": 2}
    return json.dumps({name: value for name, value in (whole | changed).items() if value is not None})


LIES = {
    "no JSON": ("{", 4400),
    "no object": ("[]", 4400),
    "another type": ('{"type": "begin"}', 4400),
    "stop before start": ('{"type": "stop"}', 4400),
    "no token": (start(token=None), 4400),
    "half a token": (start(token="HALF"), 4401),
    "no JWT": (start(token="x"), 4401),
    "an enormous token": (start(token="x" * 60_000), 4401),
    "an enormous message": (start(token="x" * 600_000), 4400),
    "an unknown format": (start(format="mp3"), 4400),
    "an unknown feature": (start(features=["mood"]), 4400),
    "an unknown name": (start(colour="red"), 4400),
    "no rate": (start(sample_rate=None), 4400),
    "a rate for Opus": (start(format="ogg-opus"), 4400),
    "a rate too low": (start(sample_rate=4_000), 4415),
    "a rate too high": (start(sample_rate=768_000), 4415),
    "no channels": (start(channels=0), 4400),
    "too many channels": (start(channels=9), 4415),
    "an infinite rate of answers": (start(rate_hz=1e400), 4400),
    "a text for a number": (start(channels="2"), 4400),
    "sound first": (b"\0" * 3840, 4400),
    "nested too deep": ("[" * 30_000, 4400),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_first_message_that_is_wrong_has_a_close_code(
    embedded: Project, user: User, lie: str
) -> None:
    message, expected = LIES[lie]
    if isinstance(message, str):
        message = message.replace("TOKEN", user.token).replace("HALF", user.token[: len(user.token) // 2])
    async with talk(embedded.url) as conversation:
        await conversation.socket.send(message)
        code, reason = await conversation.end()
    assert code == expected
    assert reason
    assert conversation.of_kind("error")[0]["message"].startswith(reason[:40])


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("{", 4400),
        ('{"type": "start"}', 4400),
        ('{"type": "flush", "now": true}', 4400),
        ('{"type": "token", "token": "x"}', 4401),
        (b"\0" * 400_000, 4413),
    ],
)
async def test_a_later_message_that_is_wrong_ends_the_session_with_its_record(
    embedded: Project, user: User, wrong: str | bytes, expected: int
) -> None:
    async with talk(embedded.url) as conversation:
        await conversation.start(user.token)
        await conversation.send(make_sound(0.3))
        await conversation.socket.send(wrong)
        code, _ = await conversation.end()
    assert code == expected
    assert [answer["type"] for answer in conversation.answers][-3:] == ["record", "error", "stopped"]
    assert comparable(conversation.of_kind("record")[0]["record"]) == comparable(
        analyzed(make_sound(0.3), STEREO)
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e9])
async def test_what_is_no_sound_ends_the_session_with_what_was(
    embedded: Project, user: User, value: float
) -> None:
    format = PcmFormat("f32le", 48_000, 1)
    sound = make_sound(0.5, format)
    async with talk(embedded.url) as conversation:
        await conversation.start(user.token, format="f32le", sample_rate=48_000, channels=1)
        await conversation.send(sound)
        await conversation.say("flush")
        await conversation.answer("flushed")
        await conversation.send(np.full(100, value, dtype="<f4").tobytes())
        code, _ = await conversation.end()
    assert code == 4415
    assert comparable(conversation.of_kind("record")[0]["record"]) == comparable(analyzed(sound, format))


async def test_a_gigabyte_is_not_received(embedded: Project, user: User) -> None:
    async with talk(embedded.url) as conversation:
        await conversation.start(user.token)
        with pytest.raises(Exception, match=r"1009|close|reset|Broken"):  # noqa: PT012
            # The frame's head alone: a final binary frame of 2^30 bytes, masked.
            conversation.socket.transport.write(bytes([0x82, 0xFF]) + (1 << 30).to_bytes(8, "big") + bytes(4))
            await conversation.answer("stopped")
    async with talk(embedded.url) as other:
        await other.start(user.token)


async def test_one_byte_at_a_time_is_heard_until_it_is_a_flood(embedded: Project, user: User) -> None:
    sound = make_sound(0.002)
    async with talk(embedded.url) as conversation:
        await conversation.start(user.token)
        await conversation.send(sound, frame_bytes=1)
        await conversation.say("flush")
        assert (await conversation.answer("flushed"))["audio_time_s"] == pytest.approx(0.002)
        flooding = asyncio.create_task(conversation.send(bytes(40_000), frame_bytes=1))
        code, reason = await conversation.end()
        await asyncio.gather(flooding, return_exceptions=True)
    assert (code, reason) == (4428, "Messages arrive too often. Send frames of 10 ms or more.")
