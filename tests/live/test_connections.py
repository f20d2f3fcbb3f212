"""Connections of one session: which of them counts, when it may begin, and how it is told the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.exceptions import InvalidStatus

from soundscape.api import live as live_module
from soundscape.api.access import Access
from soundscape.api.identify import Identifier
from soundscape.api.live import LiveSocket
from soundscape.api.rates import Rates
from soundscape.api.serve import listen, serving
from soundscape.api.visitor import VisitorRights
from soundscape.cli.embedded_project import Project
from soundscape.live import session as session_module
from soundscape.live.compressed import CompressedSource
from soundscape.live.inbox import Inbox
from soundscape.live.room import Room
from soundscape.live.sessions import Sessions
from soundscape.sandbox.stream_decoder import StreamDecoder
from soundscape.settings import Settings
from tests.live.conversation import User, sign_up, talk
from tests.live.test_live import make_sound
from tests.live.test_session import make_sessions, open_session, read_to_end
from tests.waiting import LIMIT_S, eventually

Serve = Callable[..., AbstractAsyncContextManager[tuple[str, Sessions]]]


@pytest.fixture
async def user(embedded: Project) -> User:
    return await sign_up(embedded)


@pytest.fixture
def serve(embedded: Project) -> Serve:
    """Serves live sessions of the project, by settings of their own."""

    @asynccontextmanager
    async def begin(**settings: str) -> AsyncIterator[tuple[str, Sessions]]:
        given = Settings.from_environment(embedded.environment() | settings)
        access, rights = Access(given), VisitorRights(given)
        sessions = make_sessions(time.time)

        async def is_offered(_: str) -> bool:
            return True

        live = LiveSocket(sessions, access, rights, cast(Identifier, None), is_offered)
        app = Starlette(routes=[WebSocketRoute("/api/live", live.serve)])
        with listen("127.0.0.1", 0) as listener:
            async with serving(app, listener):
                yield f"http://127.0.0.1:{listener.getsockname()[1]}", sessions
                await sessions.stop()
        await access.close()
        await rights.close()

    return begin


async def test_what_the_old_connection_brings_after_a_take_over_does_not_count() -> None:
    sessions = make_sessions()
    session = await open_session(sessions)
    old = session.presence.attach()
    await session.feed(make_sound(0.1), old)
    received_bytes = session.received_bytes
    assert received_bytes == len(make_sound(0.1))
    new = session.presence.attach()
    await session.feed(make_sound(0.1), old)
    session.flush(old)
    session.end(session_module.endings.STOPPED, old)
    assert session.received_bytes == received_bytes
    assert session.ending is None
    await session.feed(make_sound(0.1), new)
    session.end(session_module.endings.STOPPED, new)
    assert (await read_to_end(session))[-1]["duration_s"] == 0.2
    await sessions.stop()


async def test_what_still_waited_for_room_at_a_take_over_does_not_count() -> None:
    inbox = Inbox(max_bytes=100)
    await inbox.put(b"a" * 100)
    is_current = True
    putting = asyncio.create_task(inbox.put(b"b" * 50, is_wanted=lambda: is_current))
    await asyncio.sleep(0)
    is_current = False
    inbox.take()
    await putting
    assert inbox.received_bytes == 100
    assert not inbox.waiting_bytes


async def test_empty_messages_leave_nothing_behind() -> None:
    inbox = Inbox(max_bytes=100)
    for _ in range(100):
        await inbox.put(b"")
    assert not inbox._pieces


class SlowDecoder:
    """Takes what it is given when it may."""

    def __init__(self) -> None:
        self.may_go_on = asyncio.Event()
        self.received = b""

    async def write(self, data: bytes) -> None:
        await self.may_go_on.wait()
        self.received += data

    async def stop(self) -> None:
        pass


async def test_bytes_of_opus_are_written_whole_and_in_order_though_their_connection_ends(
    tmp_path: Path,
) -> None:
    decoder = SlowDecoder()
    source = CompressedSource(cast(StreamDecoder, decoder), tmp_path / "sound", room=Room(None, lambda: None))
    first = asyncio.create_task(source.write(b"first"))
    await eventually(lambda: source.received_bytes == 5)
    first.cancel()
    late = asyncio.create_task(source.write(b"late", is_wanted=lambda: False))
    second = asyncio.create_task(source.write(b"second"))
    await asyncio.sleep(0)
    decoder.may_go_on.set()
    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(late, second)
    assert source.received_bytes == len(b"firstsecond")
    assert decoder.received == source.file.read_bytes() == b"firstsecond"
    await source.close()


async def test_an_address_over_its_rate_is_refused_before_the_handshake(serve: Serve, user: User) -> None:
    async with serve(SOUNDSCAPE_RATE_PER_ADDRESS="1") as (url, _):
        async with talk(url) as conversation:
            await conversation.start(user.token)
        with pytest.raises(InvalidStatus) as refused:
            async with talk(url):
                pass
        assert refused.value.response.status_code == 429


async def expect_warning(serve: Serve, user: User, **settings: str) -> None:
    async with serve(**settings) as (url, _), talk(url) as conversation:
        await conversation.start(user.token)
        await conversation.say("token", token=user.token)
        assert (await conversation.answer("warning"))["code"] == "token_not_taken"
        await conversation.send(make_sound(0.2))
        await conversation.say("stop")
        assert (await conversation.end())[0] == 1000
        assert conversation.of_kind("record")


@pytest.mark.parametrize("rate", ["SOUNDSCAPE_RATE_PER_CALLER", "SOUNDSCAPE_RATE_PER_ADDRESS"])
async def test_a_newer_token_over_the_rate_is_a_warning(serve: Serve, user: User, rate: str) -> None:
    await expect_warning(serve, user, **{rate: "1"})


async def test_a_newer_token_while_the_project_is_away_is_a_warning(
    serve: Serve, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    require = VisitorRights.require_session
    asked = 0

    async def require_once(self: VisitorRights, caller: Any) -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise live_module.ProjectError("away", code="project_unreachable")
        await require(self, caller)

    monkeypatch.setattr(VisitorRights, "require_session", require_once)
    await expect_warning(serve, user)


async def test_newer_tokens_of_all_users_are_not_counted_as_one_address(
    serve: Serve, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str | None] = []
    async with serve() as (url, _), talk(url) as conversation:
        count_address = Rates.count_address

        def note(self: Rates, address: str | None) -> None:
            counted.append(address)
            count_address(self, address)

        monkeypatch.setattr(Rates, "count_address", note)
        await conversation.start(user.token)
        await conversation.say("token", token=user.token)
        await conversation.say("stop")
        await conversation.end()
    assert counted == ["127.0.0.1"]


async def test_the_longest_message_that_is_announced_is_taken(serve: Serve, user: User) -> None:
    """Of every format: two seconds of this one are 24 MB, which the server would not read."""
    async with serve() as (url, _), talk(url) as conversation:
        started = await conversation.start(user.token, format="f32le", sample_rate=384_000, channels=8)
        size = started["limits"]["max_frame_bytes"]
        await conversation.send(bytes(size), frame_bytes=size)
        await conversation.say("stop")
        assert (await conversation.end())[0] == 1000


async def test_who_reads_nothing_is_told_so_when_it_reads_again(
    serve: Serve, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "SEND_TIMEOUT_S", 0.3)
    async with serve() as (url, sessions), talk(url) as conversation:
        started = await conversation.start(user.token, features=["spectrum"], rate_hz=50)
        session = sessions._sessions[started["session_id"]]
        conversation.socket.transport.pause_reading()
        # More than the buffers of both ends take.
        for _ in range(200):
            session.outbox.put({"type": "warning", "code": "long", "message": "x" * 200_000})
            await asyncio.sleep(0)
            if session.ending is not None:
                break
        await eventually(lambda: session.ending is not None)
        assert session.ending.name == "not_reading"
        conversation.socket.transport.resume_reading()
        assert (await conversation.end())[0] == 4504
