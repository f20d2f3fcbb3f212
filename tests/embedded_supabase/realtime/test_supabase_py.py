"""The real Python client: supabase-py's realtime, unmodified."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from realtime import AsyncRealtimeClient, RealtimeSubscribeStates
from realtime.exceptions import RealtimeHTTPError
from realtime.types import RealtimePostgresChangesListenEvent as On

from tests.waiting import LIMIT_S, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.embedded_supabase.realtime.conftest import Server


@contextlib.asynccontextmanager
async def signed_in(server: Server, token: str | None = None) -> AsyncIterator[AsyncRealtimeClient]:
    client = AsyncRealtimeClient(f"{server.url}/realtime/v1", token=server.keys.publishable_key)
    if token is not None:
        await client.set_auth(token)
    try:
        yield client
    finally:
        await client.remove_all_channels()


async def subscribe(channel: Any) -> RealtimeSubscribeStates:
    states: list[RealtimeSubscribeStates] = []
    await channel.subscribe(lambda state, _error: states.append(state))
    return states[0]


async def next_of(queue: asyncio.Queue[Any], timeout_s: float = LIMIT_S) -> Any:
    return await asyncio.wait_for(queue.get(), timeout_s)


async def test_changes(server: Server, alice: str, bob: str, topic: str) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()
    unheard: asyncio.Queue[Any] = asyncio.Queue()
    ready = asyncio.Event()
    async with (
        signed_in(server, server.token(alice)) as mine,
        signed_in(server, server.token(bob)) as theirs,
        signed_in(server) as anonymous,
    ):
        channel = mine.channel(topic).on_system(lambda _: ready.set())
        channel.on_postgres_changes(
            On.All, heard.put_nowait, table="notes", schema="heard", filter="title=like.a%"
        )
        assert await subscribe(channel) is RealtimeSubscribeStates.SUBSCRIBED
        for client in (theirs, anonymous):
            other = client.channel(topic).on_postgres_changes(
                On.Insert, unheard.put_nowait, table="notes", schema="heard"
            )
            assert await subscribe(other) is RealtimeSubscribeStates.SUBSCRIBED
        await asyncio.wait_for(ready.wait(), LIMIT_S)
        ((note,),) = server.sql(
            "insert into heard.notes (owner, title) values (%s, 'abc') returning id", alice
        )
        server.sql("insert into heard.notes (owner, title) values (%s, 'bcd')", alice)
        inserted = (await next_of(heard))["data"]
        assert (inserted["type"], inserted["record"]["id"]) == ("INSERT", note)
        server.sql("delete from heard.notes where id = %s", note)
        await asyncio.sleep(0.2)
        assert heard.empty()  # what is left of a deleted row has no title to compare
        assert unheard.empty()


async def test_a_refused_binding_is_an_error(server: Server, topic: str) -> None:
    states: list[Any] = []
    async with signed_in(server) as client:
        channel = client.channel(topic).on_postgres_changes(
            On.All, print, table="unpublished", schema="heard"
        )
        await channel.subscribe(lambda state, error: states.append((state, str(error))))
        refused = RealtimeSubscribeStates.CHANNEL_ERROR
        await eventually(lambda: states and states[-1][0] is refused)
        error = states[-1][1]
        assert "check Realtime is enabled" in error


@pytest.mark.row("realtime.private", by="py")
async def test_a_private_topic(server: Server, alice: str) -> None:
    team = f"team-{uuid.uuid4().hex[:8]}"
    params: Any = {"config": {"broadcast": {"ack": True, "self": True}, "presence": None, "private": True}}
    async with signed_in(server, server.token(alice)) as outsider:
        assert await subscribe(outsider.channel(team, params)) is RealtimeSubscribeStates.CHANNEL_ERROR
    async with signed_in(server, server.token(alice, team=team, writer="yes")) as member:
        heard: asyncio.Queue[Any] = asyncio.Queue()
        channel = member.channel(team, params).on_broadcast("*", heard.put_nowait)
        assert await subscribe(channel) is RealtimeSubscribeStates.SUBSCRIBED
        await channel.send_broadcast("e", {"a": 1})
        assert (await next_of(heard))["payload"] == {"a": 1}
        server.sql("select realtime.send('{\"b\": 2}', 'e', %s)", team)
        message = await next_of(heard)
        assert message["payload"]["b"] == 2
        assert message["meta"]["id"] == message["payload"]["id"]


@pytest.mark.row("realtime.expiry", by="py")
async def test_a_channel_ends_with_its_token(server: Server, alice: str, topic: str) -> None:
    async with signed_in(server, server.token(alice, lives_s=5)) as client:
        channel = client.channel(topic)
        assert await subscribe(channel) is RealtimeSubscribeStates.SUBSCRIBED
        async with asyncio.timeout(LIMIT_S):
            while not channel.is_closed:
                await asyncio.sleep(0.01)


async def test_broadcast_over_http(server: Server, topic: str) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()
    async with signed_in(server) as client, signed_in(server) as sender:
        await subscribe(client.channel(topic).on_broadcast("my event", heard.put_nowait))
        await sender.channel(topic).http_send("my event", {"a": 1})
        assert (await next_of(heard))["payload"] == {"a": 1}
        with pytest.raises(RealtimeHTTPError):
            await sender.channel(topic).http_send("e", "x" * 300_000)


async def test_presence(server: Server, topic: str) -> None:
    joined: asyncio.Queue[Any] = asyncio.Queue()
    left: asyncio.Queue[Any] = asyncio.Queue()

    def params(key: str) -> Any:
        return {"config": {"broadcast": None, "presence": {"key": key, "enabled": True}, "private": False}}

    async with signed_in(server) as watcher:
        channel = watcher.channel(topic, params("watcher"))
        channel.on_presence_join(lambda key, _current, new: joined.put_nowait((key, new)))
        channel.on_presence_leave(lambda key, _current, gone: left.put_nowait((key, gone)))
        await subscribe(channel)
        async with signed_in(server) as client:
            tracked = client.channel(topic, params("alice"))
            await subscribe(tracked)
            await tracked.track({"mood": "calm"})
            key, (entry,) = await next_of(joined)
            assert (key, entry["mood"]) == ("alice", "calm")
            await eventually(lambda: list(channel.presence_state()) == ["alice"])
        assert (await next_of(left))[0] == "alice"
        assert channel.presence_state() == {}


async def test_the_client_comes_back_after_its_socket_was_cut(server: Server, topic: str) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()
    client = AsyncRealtimeClient(f"{server.url}/realtime/v1", token=server.keys.publishable_key)
    try:
        await subscribe(client.channel(topic).on_broadcast("e", heard.put_nowait))
        assert client._ws_connection is not None
        client._ws_connection.transport.abort()
        async with asyncio.timeout(LIMIT_S):
            while heard.empty():
                server.sql("select realtime.send('{}', 'e', %s, false)", topic)
                await asyncio.sleep(0.05)
    finally:
        await client.remove_all_channels()
