"""Joining, leaving, tokens, limits, and frames that are none."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import websockets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.embedded_supabase.realtime.conftest import Server


@pytest.fixture
def limits(server: Server) -> Iterator[Any]:
    """Change the limits of connections made from here on: `limits(queue_bytes=…)`."""
    before = server.service.limits

    def change(**values: Any) -> None:
        server.service.limits = replace(before, **values)

    yield change
    server.service.limits = before


@pytest.mark.row("realtime.protocols", by="http")
@pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])
async def test_heartbeat(server: Server, vsn: str) -> None:
    async with server.connect(vsn) as client:
        ref = await client.send("phoenix", "heartbeat", {})
        reply = await client.receive()
        assert (reply["topic"], reply["event"], reply["ref"]) == ("phoenix", "phx_reply", ref)
        assert reply["payload"] == {"status": "ok", "response": {}}


@pytest.mark.row("realtime.handshake", by="http")
@pytest.mark.parametrize("query", ["apikey=wrong&vsn=1.0.0", "vsn=1.0.0", "apikey={key}&vsn=9.9.9"])
async def test_the_handshake_refuses(server: Server, query: str) -> None:
    address = server.url.replace("http", "ws") + "/realtime/v1/websocket?"
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(address + query.format(key=server.keys.publishable_key))
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("key", ["publishable_key", "secret_key", "anon_jwt", "service_role_jwt"])
async def test_every_key_may_join(server: Server, topic: str, key: str) -> None:
    async with server.connect(key=getattr(server.keys, key)) as client:
        assert (await client.join(topic)) == {"status": "ok", "response": {"postgres_changes": []}}


@pytest.mark.row("realtime.no-replay", by="http")
@pytest.mark.parametrize(
    ("name", "payload", "reason"),
    [
        ("realtime:", {}, "TopicNameRequired"),
        ("room", {}, "unmatched topic"),
        ("realtime:x", {"access_token": "not a token"}, "MalformedJWT"),
        ("realtime:x", {"access_token": "a.b.c"}, "JwtSignatureError"),
        ("realtime:x", {"config": {"broadcast": {"replay": {"since": 0}}}}, "UnableToReplayMessages"),
        ("realtime:x", {"config": {"broadcast": {"persist": True}}}, "persist is not supported"),
    ],
)
async def test_joins_are_refused_with_a_reason(
    server: Server, name: str, payload: dict[str, Any], reason: str
) -> None:
    async with server.connect() as client:
        await client.send(name, "phx_join", payload)
        reply = (await client.receive())["payload"]
        assert reply["status"] == "error"
        assert reason in reply["response"]["reason"]


@pytest.mark.parametrize(
    "config",
    [
        None,
        [],
        "x",
        {"broadcast": 7, "presence": "x"},
        {"postgres_changes": {"a": 1}},
        {"postgres_changes": [None, 3]},
    ],
)
async def test_a_strange_configuration_is_read_as_the_default(
    server: Server, topic: str, config: Any
) -> None:
    async with server.connect() as client:
        await client.send(f"realtime:{topic}", "phx_join", {"config": config})
        reply = await client.until("phx_reply")
        assert reply["payload"] == {"status": "ok", "response": {"postgres_changes": []}}


async def test_leave_is_answered_and_ends_the_channel(server: Server, topic: str) -> None:
    async with server.connect() as client:
        await client.join(topic)
        ref = await client.send(f"realtime:{topic}", "phx_leave", {})
        assert (await client.receive())["ref"] == ref
        assert (await client.receive())["event"] == "phx_close"
        await client.send(f"realtime:{topic}", "broadcast", {"event": "x", "payload": {}})
        assert (await client.receive())["payload"]["response"] == {"reason": "unmatched topic"}
        await client.send(f"realtime:{topic}", "phx_leave", {})
        assert (await client.receive())["payload"]["status"] == "ok"


async def test_an_unknown_event_is_refused(server: Server, topic: str) -> None:
    async with server.connect() as client:
        await client.join(topic)
        await client.send(f"realtime:{topic}", "dance", {})
        reply = (await client.receive())["payload"]
        assert reply == {"status": "error", "response": {"reason": "Unknown event: dance"}}


async def test_joining_again_replaces_the_channel(server: Server, topic: str) -> None:
    async with server.connect() as client:
        for _ in range(2):
            await client.join(topic, broadcast={"self": True})
        await client.send(f"realtime:{topic}", "broadcast", {"event": "x", "payload": {}})
        assert (await client.receive())["event"] == "broadcast"
        await client.silence(0.1)


async def test_messages_of_an_earlier_join_are_ignored(server: Server, topic: str) -> None:
    async with server.connect("2.0.0") as client:
        await client.join(topic, broadcast={"self": True, "ack": True})
        await client.send(f"realtime:{topic}", "broadcast", {"event": "x", "payload": {}}, join_ref="999")
        await client.silence(0.1)


async def test_a_closed_socket_leaves_nothing_behind(server: Server, topic: str) -> None:
    async with server.connect() as client:
        await client.join(topic, presence={"enabled": True, "key": "k"})
        assert any(channel.name == topic for channel in server.service.hub.channels())
    await _channel_count(server, topic, 0)


# -- tokens ---------------------------------------------------------------------------------------


async def test_an_expired_token_may_not_join(server: Server, topic: str, alice: str) -> None:
    async with server.connect() as client:
        reply = await client.join(topic, token=server.token(alice, lives_s=-5))
        assert reply["status"] == "error"
        assert reply["response"]["reason"].startswith("InvalidJWTToken: Token has expired")


@pytest.mark.row("realtime.expiry", by="http")
async def test_a_channel_ends_with_its_token(server: Server, topic: str, alice: str) -> None:
    async with server.connect() as client:
        await client.join(topic, token=server.token(alice, lives_s=5))
        system = (await client.until("system"))["payload"]
        assert system["status"] == "error"
        assert system["message"].startswith("Token has expired")
        assert (await client.receive())["event"] == "phx_close"


@pytest.mark.row("realtime.protocols", by="http")
async def test_a_refreshed_token_keeps_the_channel(server: Server, topic: str, alice: str) -> None:
    token = server.token(alice, lives_s=5)
    async with server.connect() as client, server.connect() as other:
        await client.join(topic, token=token)
        await client.send(f"realtime:{topic}", "access_token", {"access_token": server.token(alice)})
        await other.join(topic, token=token)
        await other.until("system")
        await client.silence()


@pytest.mark.parametrize("token", [None, 7, "sb_publishable_x"])
async def test_refreshing_with_nothing_changes_nothing(
    server: Server, topic: str, alice: str, token: Any
) -> None:
    async with server.connect() as client:
        await client.join(topic, token=server.token(alice))
        await client.send(f"realtime:{topic}", "access_token", {"access_token": token})
        await client.silence(0.1)


async def test_a_bad_refresh_closes_the_channel(server: Server, topic: str, alice: str) -> None:
    async with server.connect() as client:
        await client.join(topic, token=server.token(alice))
        await client.send(f"realtime:{topic}", "access_token", {"access_token": "a.b.c"})
        assert (await client.receive())["payload"]["message"] == "Failed to validate JWT signature"
        assert (await client.receive())["event"] == "phx_close"


async def test_a_refresh_changes_whose_rows_are_sent(
    server: Server, topic: str, alice: str, bob: str
) -> None:
    changes = [{"event": "INSERT", "schema": "heard", "table": "notes"}]
    async with server.connect() as client:
        await client.join(topic, token=server.token(alice), changes=changes)
        await client.send(f"realtime:{topic}", "access_token", {"access_token": server.token(bob)})
        await client.send("phoenix", "heartbeat", {})
        await client.until("phx_reply")
        for owner in (alice, bob):
            server.sql("insert into heard.notes (owner) values (%s)", owner)
        assert (await client.until("postgres_changes"))["payload"]["data"]["record"]["owner"] == bob


# -- limits ---------------------------------------------------------------------------------------


@pytest.mark.row("realtime.limits", by="http")
async def test_channels_are_counted(server: Server, topic: str, limits: Any) -> None:
    limits(channels=2)
    async with server.connect() as client:
        replies = [await client.join(f"{topic}-{number}") for number in range(3)]
    assert [reply["status"] for reply in replies] == ["ok", "ok", "error"]
    assert replies[2]["response"]["reason"].startswith("ChannelRateLimitReached")


async def test_a_silent_client_is_dropped(server: Server, limits: Any) -> None:
    limits(idle_s=0.2)
    async with server.connect() as client:
        with pytest.raises(websockets.ConnectionClosed):
            await client.receive()


@pytest.mark.row("realtime.limits", by="http")
async def test_a_slow_client_is_dropped_and_the_others_are_served(
    server: Server, topic: str, limits: Any
) -> None:
    limits(queue_bytes=300_000)
    address = server.url.replace("http", "ws") + "/realtime/v1/websocket"
    key = server.keys.publishable_key
    # A client that reads nothing: with a small buffer the server's writes stop soon.
    unread = {"max_queue": 1, "compression": None, "close_timeout": 0.1}
    async with (
        websockets.connect(f"{address}?apikey={key}&vsn=1.0.0", **unread) as slow,
        server.connect() as sender,
        server.connect() as good,
    ):
        join = {"topic": f"realtime:{topic}", "event": "phx_join", "payload": {}, "ref": "1"}
        await slow.send(json.dumps(join))
        await sender.join(topic)
        await good.join(topic)
        await _channel_count(server, topic, 3)
        for number in range(400):
            payload = {"event": "x", "payload": {"n": number, "fill": "x" * 50_000}}
            await sender.send(f"realtime:{topic}", "broadcast", payload)
            assert (await good.until("broadcast"))["payload"]["payload"]["n"] == number
            if len(_on(server, topic)) < 3:
                break
        await _channel_count(server, topic, 2)
        await sender.send(f"realtime:{topic}", "broadcast", {"event": "x", "payload": {"n": -1}})
        assert (await good.until("broadcast"))["payload"]["payload"]["n"] == -1


def _on(server: Server, topic: str) -> list[Any]:
    return [channel for channel in list(server.service.hub.channels()) if channel.name == topic]


async def _channel_count(server: Server, topic: str, wanted: int) -> None:
    await eventually(lambda: len(_on(server, topic)) == wanted, f"there are not {wanted} channels")


# -- malformed ------------------------------------------------------------------------------------


@pytest.mark.row("realtime.malformed", by="http")
@pytest.mark.parametrize("frame", ["", "nonsense", "[]", b"\x00\x01", b"\x03\xff\xff", "[" * 50_000])
@pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])
async def test_malformed_frames_end_their_own_connection_only(
    server: Server, topic: str, vsn: str, frame: str | bytes
) -> None:
    async with server.connect(vsn) as bystander, server.connect(vsn) as client:
        await bystander.join(topic)
        await client.socket.send(frame)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await client.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1003
        await bystander.send("phoenix", "heartbeat", {})
        assert (await bystander.receive())["payload"]["status"] == "ok"


async def test_an_oversized_frame_ends_the_connection(server: Server) -> None:
    async with server.connect() as client:
        await client.socket.send("x" * (2 * 1024 * 1024))
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await client.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


frames = st.text(max_size=60) | st.binary(max_size=60) | st.text('[]{}",:01 realtimephx_jo', max_size=60)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(st.lists(frames, min_size=1, max_size=4), st.binary(max_size=60), st.sampled_from(["1.0.0", "2.0.0"]))
async def test_any_bytes_end_at_most_their_own_connection(
    server: Server, sent: list[str | bytes], wire: bytes, vsn: str
) -> None:
    """Frames of any content, then bytes that are no frames at all."""
    async with server.connect(vsn) as bystander, server.connect(vsn) as client:
        with contextlib.suppress(websockets.ConnectionClosed):
            for frame in sent:
                await client.socket.send(frame)
        client.socket.transport.write(wire)
        await bystander.send("phoenix", "heartbeat", {})
        assert (await bystander.receive())["payload"]["status"] == "ok"
        client.socket.transport.abort()


KEYS = (
    *("config", "private", "presence", "broadcast", "postgres_changes", "key", "event", "table", "schema"),
    *("filter", "select", "payload", "access_token", "enabled", "meta"),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["track", "a.b.c"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["phx_join", "broadcast", "presence", "access_token", "phx_leave", "other"]),
            st.dictionaries(
                st.sampled_from(["config", "event", "payload", "access_token"]), anything, max_size=3
            ),
        ),
        min_size=1,
        max_size=6,
    )
)
async def test_no_sequence_of_messages_breaks_the_service(
    server: Server, messages: list[tuple[str, dict[str, Any]]]
) -> None:
    async with server.connect() as client:
        await client.send("realtime:fuzz", "phx_join", {})
        for event, payload in messages:
            await client.send("realtime:fuzz", event, payload)
        last = await client.send("phoenix", "heartbeat", {})
        while (await client.receive()).get("ref") != last:
            pass


# -- the database -----------------------------------------------------------------------------------


async def test_the_stream_comes_back_when_its_connection_is_lost(
    server: Server, alice: str, topic: str
) -> None:
    async with server.connect() as client:
        changes = [{"event": "INSERT", "schema": "heard", "table": "notes"}]
        await client.join(topic, token=server.token(alice), changes=changes)
        server.sql("select pg_terminate_backend(active_pid) from pg_replication_slots where temporary")
        assert (await client.until("system"))["payload"]["status"] == "error"
        async with server.connect() as again:
            await again.join(topic, token=server.token(alice), changes=changes)
            server.sql("insert into heard.notes (owner, title) values (%s, 'after')", alice)
            await again.until("postgres_changes")
        data = (await client.until("postgres_changes"))["payload"]["data"]
        assert data["record"]["title"] == "after"


async def test_the_log_does_not_pile_up_while_nobody_listens(server: Server, topic: str) -> None:
    async with server.connect() as client:
        await client.join(topic)
    server.sql("create table if not exists heard.filler (body text)")
    server.sql("insert into heard.filler select repeat('x', 1000) from generate_series(1, 20000)")
    held = """
        select pg_current_wal_lsn() - confirmed_flush_lsn from pg_replication_slots where slot_name like %s
    """

    def is_short() -> bool:
        rows = server.sql(held, "soundscape_realtime_%")
        return bool(rows) and rows[0][0] < 5_000_000

    await eventually(is_short)


async def test_other_paths_are_unknown(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url + "/realtime/v1") as http:
        assert (await http.get("/api/nothing")).status_code == 404
