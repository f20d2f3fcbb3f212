"""A session by itself: when it ends, what it keeps, and that nothing in it grows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from soundscape.audio.limits import Limits
from soundscape.live import pace
from soundscape.live import session as session_module
from soundscape.live.endings import SessionEnded
from soundscape.live.owner import Owner
from soundscape.live.requests import Start
from soundscape.live.session import Session
from soundscape.live.sessions import LiveLimits, Sessions
from tests.live.test_live import make_sound
from tests.waiting import LIMIT_S, eventually

NOW_S = 1_000_000.0


def start(**more: Any) -> Start:
    whole = {"type": "start", "token": "t", "format": "s16le", "sample_rate": 48_000, "channels": 2}
    return Start.model_validate(whole | more)


def make_sessions(clock: Callable[[], float] = lambda: NOW_S, **more: Any) -> Sessions:
    limits = {"max_sessions": 2, "max_sessions_per_user": 2, "max_duration_s": 3600.0}
    return Sessions(LiveLimits(**(limits | more)), Limits(), scratch=Path, clock=clock)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time limits of a test."""
    monkeypatch.setattr(session_module, "WATCH_EVERY_S", 0.02)
    monkeypatch.setattr(session_module, "IDLE_S", 0.3)
    monkeypatch.setattr(session_module, "RESUME_S", 0.3)


async def read_to_end(session: Session) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = []
    async with asyncio.timeout(LIMIT_S):
        while taken := await session.outbox.take():
            answers += taken
    return answers


async def open_session(sessions: Sessions, expires_at_s: float = NOW_S + 60, **more: Any) -> Session:
    session, _ = await sessions.open(Owner("somebody", expires_at_s), start(**more), match=None)
    session.presence.attach()
    return session


@pytest.mark.usefixtures("quick")
async def test_nothing_for_too_long_ends_it() -> None:
    sessions = make_sessions()
    session = await open_session(sessions)
    answers = await read_to_end(session)
    assert answers[-1]["reason"] == "idle"
    assert sessions.count == 0
    await sessions.stop()


@pytest.mark.usefixtures("quick")
async def test_an_expired_token_ends_it_with_the_record() -> None:
    now_s = [NOW_S]
    sessions = make_sessions(lambda: now_s[0])
    session = await open_session(sessions)
    await session.feed(make_sound(0.5))
    now_s[0] += 61
    answers = await read_to_end(session)
    assert answers[-1]["reason"] == "not_authorised"
    assert [answer for answer in answers if answer["type"] == "record"]
    await sessions.stop()


@pytest.mark.usefixtures("quick")
async def test_a_connection_that_broke_is_waited_for_and_no_longer() -> None:
    sessions = make_sessions()
    session, _ = await sessions.open(Owner("somebody", NOW_S + 60), start(), match=None)
    session.presence.detach(session.presence.attach())
    assert (await read_to_end(session))[-1]["reason"] == "broken"
    await sessions.stop()


@pytest.mark.usefixtures("quick")
async def test_it_lasts_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "MAX_SPEED", 100.0)
    sessions = make_sessions(max_duration_s=0.5)
    session = await open_session(sessions, rate_hz=50)
    await session.feed(make_sound(0.6))
    answers = await read_to_end(session)
    assert answers[-1] == {"type": "stopped", "reason": "too_long", "duration_s": 0.6}
    await sessions.stop()


async def test_there_is_room_for_so_many_and_room_again() -> None:
    sessions = make_sessions()
    first, _second = await open_session(sessions), await open_session(sessions)
    with pytest.raises(SessionEnded) as refused:
        await sessions.open(Owner("somebody", NOW_S + 60), start(), match=None)
    assert refused.value.ending.name == "too_many_yours"
    with pytest.raises(SessionEnded) as refused:
        await sessions.open(Owner("another", NOW_S + 60), start(), match=None)
    assert refused.value.ending.name == "too_many_here"
    first.end(session_module.endings.STOPPED)
    await read_to_end(first)
    await eventually(lambda: sessions.count == 1)
    await sessions.open(Owner("another", NOW_S + 60), start(), match=None)
    await sessions.stop()


async def test_no_session_is_offered_where_there_are_to_be_none() -> None:
    with pytest.raises(SessionEnded) as refused:
        await make_sessions(max_sessions=0).open(Owner("somebody", NOW_S + 60), start(), match=None)
    assert refused.value.ending.name == "not_offered"


async def test_a_format_that_is_refused_takes_no_room() -> None:
    sessions = make_sessions()
    for _ in range(3):
        with pytest.raises(SessionEnded):
            await sessions.open(Owner("somebody", NOW_S + 60), start(channels=40), match=None)
    assert sessions.count == 0


async def test_a_worker_that_goes_down_ends_sessions_with_their_records() -> None:
    sessions = make_sessions()
    session = await open_session(sessions)
    await session.feed(make_sound(1.5))
    await sessions.stop()
    answers = await read_to_end(session)
    assert [answer["type"] for answer in answers[-3:]] == ["record", "error", "stopped"]
    assert answers[-1] == {"type": "stopped", "reason": "going_down", "duration_s": 1.5}
    with pytest.raises(SessionEnded) as refused:
        await sessions.open(Owner("somebody", NOW_S + 60), start(), match=None)
    assert refused.value.ending.name == "going_down"


@pytest.mark.parametrize("quiet_s", [0.0, 1_800.0])
async def test_whoever_floods_has_to_wait_and_is_heard_at_twice_the_speed(
    monkeypatch: pytest.MonkeyPatch, quiet_s: float
) -> None:
    """Half an hour of keep_alive before it is not saved up."""
    monkeypatch.setattr(session_module, "MAX_WAITING_S", 0.5)
    monkeypatch.setattr(pace, "MAX_AHEAD_S", 0.5)
    sessions = make_sessions()
    session = await open_session(sessions, rate_hz=50, features=["levels"])
    loop = asyncio.get_running_loop()
    session._pace._began_at -= quiet_s
    began_at = loop.time()
    sound = make_sound(3)
    for first in range(0, len(sound), 9600):
        await session.feed(sound[first : first + 9600])
        assert session._inbox.waiting_bytes <= 0.5 * 192_000
    session.end(session_module.endings.STOPPED)
    await read_to_end(session)
    # Three seconds at twice the speed, less what may be ahead and what may wait.
    assert loop.time() - began_at > (3 - 0.5) / 2 - 0.5
    await sessions.stop()


async def test_answers_that_nobody_reads_do_not_grow() -> None:
    sessions = make_sessions()
    session = await open_session(sessions, rate_hz=50, features=["levels", "spectrum", "pitch", "onset"])
    sound = make_sound(3)
    for first in range(0, len(sound), 19_200):
        await session.feed(sound[first : first + 19_200])
        session.flush()
        heard = first + 19_200
        await eventually(lambda heard=heard: session._heard_bytes >= heard)  # type: ignore[misc]
        assert len(session.outbox) <= 6
    session.end(session_module.endings.STOPPED)
    await eventually(lambda: sessions.count == 0)
    answers = await session.outbox.take()
    levels = [answer for answer in answers if answer["type"] == "levels"]
    assert len(levels) == 1
    assert levels[0]["merged"] > 10
    assert [answer for answer in answers if answer["type"] == "record"]
    await sessions.stop()


@pytest.mark.usefixtures("quick")
async def test_a_record_that_cannot_be_kept_ends_the_session_and_gives_its_place_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However much waits by then, and though the client stays."""
    monkeypatch.setattr(pace, "MAX_SPEED", 1000.0)
    sessions = make_sessions()
    session = await open_session(sessions, rate_hz=50)
    began = threading.Event()

    def keep(_: object) -> list[dict[str, Any]]:
        # What is heard meanwhile is more than may wait.
        began.wait(LIMIT_S)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(session._listening, "keep", keep)
    monkeypatch.setattr(type(session._listening), "keep_frames", 4800)
    sound = make_sound(1)
    await session.feed(sound[: 192_000 // 5])
    await eventually(lambda: session._heard_bytes > 0)
    await session.feed(sound)
    await session.feed(sound)
    began.set()
    answers = await read_to_end(session)
    assert answers[-1]["reason"] == "failed"
    await eventually(lambda: sessions.count == 0)
    await sessions.stop()


async def test_a_flush_is_answered_when_everything_was_heard_before() -> None:
    sessions = make_sessions()
    session = await open_session(sessions)
    session.flush()
    assert [answer["type"] for answer in await session.outbox.take()] == ["acknowledged", "flushed"]
    await session.feed(make_sound(0.2))
    await eventually(lambda: session._heard_bytes == len(make_sound(0.2)))
    await session.outbox.take()
    session.flush()
    async with asyncio.timeout(LIMIT_S):
        answers = await session.outbox.take()
    assert answers[-1] == {"type": "flushed", "audio_time_s": 0.2}
    assert not session._flushes
    session.end(session_module.endings.STOPPED)
    await sessions.stop()


async def test_flushes_that_wait_are_answered_together() -> None:
    sessions = make_sessions()
    session = await open_session(sessions, rate_hz=50)
    session._inbox.received_bytes = len(make_sound(0.2))
    count = 1000
    for _ in range(count):
        session.flush()
    assert len(session._flushes) == count
    session._heard_bytes = session._inbox.received_bytes
    session._answer_flushes()
    assert not session._flushes
    answers = await session.outbox.take()
    assert [(answer["type"], answer.get("merged", 0)) for answer in answers] == [
        ("acknowledged", 0),
        ("flushed", count - 1),
    ]
    session.end(session_module.endings.STOPPED)
    await sessions.stop()


@pytest.mark.parametrize(
    ("frames", "more", "expected"),
    [
        (4_800, {}, "event loop"),
        (4_801, {}, "thread"),
        (800, {"sample_rate": 8_000}, "event loop"),
        (801, {"sample_rate": 8_000}, "thread"),
        (19_200, {"sample_rate": 192_000}, "event loop"),
        (19_201, {"sample_rate": 192_000}, "thread"),
    ],
)
async def test_only_short_pieces_are_heard_on_the_event_loop(
    monkeypatch: pytest.MonkeyPatch, frames: int, more: dict[str, Any], expected: str
) -> None:
    sessions = make_sessions()
    session = await open_session(sessions, **more)
    hear, heard_in = session._listening.hear, []

    def note(data: bytes) -> Any:
        is_here = threading.current_thread() is threading.main_thread()
        heard_in.append("event loop" if is_here else "thread")
        return hear(data)

    monkeypatch.setattr(session._listening, "hear", note)
    await session.feed(bytes(frames * 4))
    session.end(session_module.endings.STOPPED)
    await read_to_end(session)
    assert heard_in == [expected]
    await sessions.stop()
