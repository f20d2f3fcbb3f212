"""A saved sound grows no further than the project takes and the worker's disk allows, and is kept then."""

from __future__ import annotations

import asyncio
import io
import shutil
import time
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import psycopg
import pytest
import soundfile

from soundscape.audio.limits import Limits
from soundscape.audio.streaming.pcm import Encoding, PcmFormat
from soundscape.cli.embedded_project import Project
from soundscape.live.compressed import CompressedSource
from soundscape.live.endings import STOPPED, SessionEnded
from soundscape.live.journal import Journal
from soundscape.live.listener import Listener
from soundscape.live.owner import Owner
from soundscape.live.recordings import Recordings
from soundscape.live.requests import Start
from soundscape.live.room import Room
from soundscape.live.session import Session
from soundscape.live.sessions import LiveLimits, Sessions
from soundscape.sandbox.stream_decoder import StreamDecoder
from tests.live.conversation import User, sign_up
from tests.live.test_compressed import encode
from tests.live.test_connections import SlowDecoder
from tests.live.test_delayed_saving import make_note
from tests.live.test_saving import download, rows, wait_until_ready
from tests.live.test_session import read_to_end

MAX_BYTES = 100_000


@pytest.fixture
async def user(embedded: Project) -> User:
    return await sign_up(embedded)


def make_noise(seconds: float, format: PcmFormat) -> bytes:
    """What FLAC makes no smaller."""
    random = np.random.default_rng(3)
    shape = (int(seconds * format.sample_rate), format.channels)
    if format.encoding == "s16le":
        return random.integers(-32768, 32768, shape, dtype=np.int16).astype("<i2").tobytes()
    return random.uniform(-1, 1, shape).astype("<f4").tobytes()


def says_nothing() -> str | None:
    return None


@pytest.mark.parametrize("frames", [77, 4096, 20_000])
@pytest.mark.parametrize(("encoding", "channels"), [("s16le", 1), ("s16le", 2), ("f32le", 1), ("f32le", 8)])
def test_a_file_is_never_larger_than_it_may_be(
    tmp_path: Path, encoding: Encoding, channels: int, frames: int
) -> None:
    format = PcmFormat(encoding, 8_000, channels)
    journal = Journal.make(tmp_path, "abc", make_note(bit_depth=16 if encoding == "s16le" else 24))
    piece = make_noise(frames / 8_000, format)
    buffered_bytes = 8192 * format.frame_bytes
    max_bytes = MAX_BYTES + buffered_bytes + 3 * len(piece)
    listener = Listener(
        format, frozenset(), journal=journal, room=Room(max_bytes, says_nothing), out_dir=tmp_path / "out"
    )
    assert not listener.is_quick(piece), "a disk may be slow"

    def hear_for_ever() -> None:
        while True:
            listener.hear(piece)

    with pytest.raises(SessionEnded) as ended:
        hear_for_ever()
    assert ended.value.ending.name == "recording_full"
    record = listener.finish().record
    assert journal.sound.stat().st_size <= max_bytes
    heard, _ = soundfile.read(journal.sound)
    assert len(heard) / 8_000 == record["source"]["duration_s"] == listener.duration_s
    assert journal.sound.stat().st_size >= max_bytes - 1.02 * (buffered_bytes + len(piece)) - 1024
    journal.remove()


@contextmanager
def limit_uploads(project: Project, max_bytes: int) -> Iterator[None]:
    """Let the project take no larger files."""
    with psycopg.connect(project.db_url, autocommit=True) as connection:
        row = connection.execute("select file_size_limit from storage.buckets where id = 'audio-files'")
        before = row.fetchone()
        assert before is not None
        change = "update storage.buckets set file_size_limit = %s where id = 'audio-files'"
        connection.execute(change, [max_bytes])
        try:
            yield
        finally:
            connection.execute(change, before)


@contextmanager
def make_sessions(project: Project, folder: Path) -> Iterator[tuple[Sessions, Recordings]]:
    recordings = Recordings(
        project.url,
        project.keys.publishable_key,
        parent=folder,
        scratch=lambda: folder,
        add_prepared=lambda _, __: None,
        min_free_bytes=0,
    )
    limits = LiveLimits(max_sessions=2, max_sessions_per_user=2, max_duration_s=600.0)
    yield Sessions(limits, Limits(), scratch=lambda: folder, recordings=recordings), recordings


async def begin(sessions: Sessions, user: User, **more: Any) -> Session:
    start = {"type": "start", "token": user.token, "save": {"title": "Long"}, "features": []}
    session, _ = await sessions.open(
        Owner(user.id, time.time() + 3600, user.token), Start.model_validate(start | more), match=None
    )
    session.presence.attach()
    return session


async def feed_until_ended(session: Session, sound: bytes, piece_bytes: int) -> list[dict[str, Any]]:
    """Send more than fits, as a socket does: what has no room ends the session."""
    reading = asyncio.create_task(read_to_end(session))
    try:
        for first in range(0, len(sound), piece_bytes):
            await session.feed(sound[first : first + piece_bytes])
            if session.ending is not None:
                break
    except SessionEnded as ended:
        session.end(ended.ending)
    session.end(STOPPED)
    return await reading


MONO = PcmFormat("s16le", 8_000, 1)


@pytest.mark.parametrize("format", ["s16le", "f32le", "ogg-opus", "webm-opus"])
async def test_a_recording_that_is_full_ends_the_session_and_is_kept(
    embedded: Project, user: User, tmp_path: Path, format: str
) -> None:
    is_pcm = format in ("s16le", "f32le")
    max_bytes = MAX_BYTES if is_pcm else 20_000
    more: dict[str, Any] = {"sample_rate": 8_000, "channels": 1} if is_pcm else {}
    sound = make_noise(20, PcmFormat(cast(Encoding, format), 8_000, 1)) if is_pcm else encode(format, 4.0)
    assert len(sound) > max_bytes
    with limit_uploads(embedded, max_bytes), make_sessions(embedded, tmp_path) as (sessions, recordings):
        session = await begin(sessions, user, format=format, **more)
        answers = await feed_until_ended(session, sound, 1600)
        assert answers[-1]["reason"] == "recording_full"
        failure = answers[-2]
        assert failure["type"] == "error"
        assert failure["message"] == f"The recording is as large as it may be: {max_bytes:,} bytes."
        saved = next(answer for answer in answers if answer["type"] == "saved")
        content = await download(embedded, user, saved["file_path"])
        assert max_bytes / 4 < len(content) <= max_bytes
        record = next(answer["record"] for answer in answers if answer["type"] == "record")
        row = await wait_until_ready(embedded, user)
        assert float(row["duration"]) == pytest.approx(record["source"]["duration_s"], abs=1e-3)
        if is_pcm:
            heard, _ = soundfile.read(io.BytesIO(content))
            assert len(heard) / 8_000 == answers[-1]["duration_s"]
        await sessions.stop()
        await recordings.close()


Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """A disk on which only the files of a test lie. What they take is what they really take."""
    size = 200_000

    def read_usage(folder: Path) -> Usage:
        used = sum(found.stat().st_size for found in tmp_path.rglob("*") if found.is_file())
        return Usage(size, used, size - used)

    monkeypatch.setattr(shutil, "disk_usage", read_usage)
    return size


async def test_a_full_disk_ends_the_session_and_what_was_heard_is_kept(
    embedded: Project, user: User, tmp_path: Path, small_disk: int
) -> None:
    with make_sessions(embedded, tmp_path) as (sessions, recordings):
        session = await begin(sessions, user, format="s16le", sample_rate=8_000, channels=1)
        answers = await feed_until_ended(session, make_noise(60, MONO), 1600)
        assert answers[-1]["reason"] == "no_room"
        saved = next(answer for answer in answers if answer["type"] == "saved")
        assert str(tmp_path) not in str(answers), "no path of the worker's"
        # A second of sound at twice the speed, and two at once, may come between two looks.
        assert small_disk / 2 < len(await download(embedded, user, saved["file_path"])) < 2 * small_disk
        await sessions.stop()
        await recordings.close()


@pytest.mark.usefixtures("small_disk")
async def test_no_session_begins_to_save_on_a_full_disk(
    embedded: Project, user: User, tmp_path: Path
) -> None:
    (tmp_path / "others").write_bytes(bytes(200_001))
    with make_sessions(embedded, tmp_path) as (sessions, recordings):
        with pytest.raises(SessionEnded) as ended:
            await begin(sessions, user, format="s16le", sample_rate=8_000, channels=1)
        assert ended.value.ending.code == 4507
        assert rows(embedded, user) == []
        await sessions.stop()
        await recordings.close()


async def test_opus_that_the_disk_did_not_take_is_not_followed_by_more(tmp_path: Path) -> None:
    decoder = SlowDecoder()
    decoder.may_go_on.set()
    source = CompressedSource(
        cast(StreamDecoder, decoder), Path("/dev/full"), room=Room(None, says_nothing), folder=None
    )
    for _ in range(2):
        with pytest.raises(SessionEnded) as ended:
            await source.write(b"sound")
        assert ended.value.ending.name == "no_room"
    assert decoder.received == b""
    await source.close()
