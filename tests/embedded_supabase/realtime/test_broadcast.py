"""Broadcast: between clients, over HTTP, from SQL; and presence."""

from __future__ import annotations

import contextlib
import uuid
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest

if TYPE_CHECKING:
    from tests.embedded_supabase.realtime.conftest import Client, Server

SHOUT = {"type": "broadcast", "event": "shout", "payload": {"words": "é"}}


def binary(
    topic: str, event: str, payload: bytes, *, ref: str = "9", is_json: bool = True, meta: bytes = b""
) -> bytes:
    strings = [b"", ref.encode(), f"realtime:{topic}".encode(), event.encode(), meta]
    return bytes([3, *map(len, strings), int(is_json)]) + b"".join(strings) + payload


@pytest.mark.row("realtime.broadcast", by="http")
async def test_between_clients_of_both_versions(server: Server, topic: str) -> None:
    async with server.connect("1.0.0") as old, server.connect("2.0.0") as new, server.connect() as elsewhere:
        for client in (old, new):
            await client.join(topic)
        await elsewhere.join(topic + "x")
        await old.send(f"realtime:{topic}", "broadcast", SHOUT)
        received = await new.receive()
        assert (received["event"], received["payload"]) == ("broadcast", SHOUT)

        await new.socket.send(binary(topic, "shout", b'{"words":1}'))
        received = await old.receive()
        assert received["payload"] == {"type": "broadcast", "event": "shout", "payload": {"words": 1}}
        await old.silence(0.1)
        await new.silence(0.1)
        await elsewhere.silence(0.1)


async def test_bytes_travel_between_new_clients_only(server: Server, topic: str) -> None:
    async with server.connect("1.0.0") as old, server.connect("2.0.0") as one, server.connect("2.0.0") as two:
        for client in (old, one, two):
            await client.join(topic)
        await one.socket.send(binary(topic, "bytes", b"\x00\xff", is_json=False))
        name = f"realtime:{topic}".encode()
        frame = (await two.receive())["binary"]
        assert frame == bytes([4, len(name), 5, 0, 0]) + name + b"bytes" + b"\x00\xff"
        await old.silence(0.1)


@pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])
async def test_self_and_ack(server: Server, topic: str, vsn: str) -> None:
    async with server.connect(vsn) as client:
        await client.join(topic, broadcast={"self": True, "ack": True})
        if vsn == "2.0.0":
            await client.socket.send(binary(topic, "e", b"1", ref="77"))
            assert "binary" in await client.receive()
        else:
            await client.send(f"realtime:{topic}", "broadcast", SHOUT)
            assert (await client.receive())["payload"] == SHOUT
        reply = await client.receive()
        assert (reply["event"], reply["payload"]["status"]) == ("phx_reply", "ok")


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ({"event": "e", "payload": "x" * 300_000}, "Payload size exceeded"),
        ({"payload": 1}, "A broadcast needs an event"),
        ({"event": "e", "payload": {}, "persist": True}, "persist is not supported"),
    ],
)
async def test_what_cannot_be_broadcast_is_said(server: Server, topic: str, frame: Any, reason: str) -> None:
    async with server.connect() as client, server.connect() as other:
        await client.join(topic)
        await other.join(topic)
        await client.send(f"realtime:{topic}", "broadcast", frame)
        assert (await client.receive())["payload"] == {"status": "error", "response": {"reason": reason}}
        await other.silence(0.1)


@pytest.mark.row("realtime.no-persist", by="http")
async def test_persisting_is_refused_aloud(server: Server, topic: str) -> None:
    async with server.connect("2.0.0") as client:
        await client.join(topic, broadcast={"self": True})
        await client.socket.send(binary(topic, "e", b"1", meta=b'{"persist":true}'))
        assert (await client.receive())["payload"]["response"]["reason"] == "persist is not supported"
        await client.silence(0.1)


# -- HTTP -----------------------------------------------------------------------------------------


def headers(server: Server, token: str | None = None) -> dict[str, str]:
    key = server.keys.publishable_key
    return {"apikey": key, "Authorization": f"Bearer {token or key}"}


async def test_http_batch(server: Server, topic: str) -> None:
    async with (
        server.connect() as client,
        httpx.AsyncClient(base_url=server.url, headers=headers(server)) as http,
    ):
        await client.join(topic)
        messages = [
            {"topic": topic, "event": "a", "payload": {"n": 1}},
            {"topic": "x", "event": "b", "payload": {}},
        ]
        answer = await http.post("/realtime/v1/api/broadcast", json={"messages": messages})
        assert (answer.status_code, answer.content) == (202, b"")
        assert (await client.receive())["payload"] == {"type": "broadcast", "event": "a", "payload": {"n": 1}}
        await client.silence(0.1)


async def test_http_single(server: Server, topic: str) -> None:
    topic += "/with slash"
    url = f"/realtime/v1/api/broadcast/{topic.replace('/', '%2F')}/events/my%20event"
    async with (
        server.connect() as old,
        server.connect("2.0.0") as new,
        httpx.AsyncClient(base_url=server.url, headers=headers(server)) as http,
    ):
        await old.join(topic)
        await new.join(topic)
        assert (await http.post(url, json=[1, {"a": None}])).status_code == 202
        expected = {"type": "broadcast", "event": "my event", "payload": [1, {"a": None}]}
        assert (await old.receive())["payload"] == expected
        assert (await new.receive())["binary"].endswith(b'[1,{"a":null}]')
        answer = await http.post(url, content=b"\x01", headers={"content-type": "application/octet-stream"})
        assert answer.status_code == 202
        assert (await new.receive())["binary"].endswith(b"my event\x01")
        await old.silence(0.1)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("", b"{}", 422),
        ("", b'{"messages": []}', 422),
        ("", b'{"messages": [{"topic": "t", "event": "e"}]}', 422),
        ("", b'{"messages": [7]}', 422),
        ("", b'{"messages": [{"topic": 7, "event": "e", "payload": {}}]}', 422),
        ("", b'{"messages": [{"topic": "t", "event": "e", "payload": {}, "private": "yes"}]}', 422),
        ("", b'{"messages": [{"topic": "t", "event": "e", "payload": {}, "persist": true}]}', 422),
        ("", b"{nonsense", 400),
        ("/t/events/e", b"{nonsense", 422),
        ("/t/events/e", b'"' + b"x" * 300_000 + b'"', 422),
        ("/t/events/e?persist=true", b"{}", 422),
        ("/t/events/e?private=maybe", b"{}", 422),
    ],
)
async def test_http_refuses(server: Server, path: str, body: bytes, status: int) -> None:
    async with httpx.AsyncClient(base_url=server.url, headers=headers(server)) as http:
        answer = await http.post(
            f"/realtime/v1/api/broadcast{path}", content=body, headers={"content-type": "application/json"}
        )
        assert answer.status_code == status
        assert answer.json()


@pytest.mark.parametrize("path", ["", "/t/events/e"])
async def test_http_wants_a_caller(server: Server, path: str) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        for given in ({}, {"apikey": "nonsense"}, headers(server, "a.b.c")):
            answer = await http.post(f"/realtime/v1/api/broadcast{path}", json={}, headers=given)
            assert answer.status_code == 401


# -- private topics -------------------------------------------------------------------------------


@pytest.fixture
def team() -> str:
    return f"team-{uuid.uuid4().hex[:8]}"


@pytest.mark.parametrize("private", ["maybe", "", 1, [True]])
async def test_neither_private_nor_public_is_refused(server: Server, team: str, private: Any) -> None:
    async with server.connect() as client:
        reply = await client.join(team, private=private)
        assert (reply["status"], "neither true nor false" in str(reply["response"])) == ("error", True)
        assert (await client.join(team, private="false"))["status"] == "ok"


@pytest.mark.row("realtime.private", by="http")
async def test_who_may_read_a_private_topic(server: Server, team: str, alice: str) -> None:
    refused = f"Unauthorized: You do not have permissions to read from this Channel topic: {team}"
    async with server.connect() as client:
        for token in (None, server.token(alice), server.token(alice, team="team-other")):
            reply = await client.join(team, token=token, private=True)
            assert reply == {"status": "error", "response": {"reason": refused}}
        assert (await client.join(team, token=server.token(alice, team=team), private=True))["status"] == "ok"
    assert server.sql("select count(*) from realtime.messages where topic = %s", team) == [(0,)]


async def test_who_may_write_to_a_private_topic(server: Server, team: str, alice: str, bob: str) -> None:
    async with server.connect() as writer, server.connect() as reader, server.connect() as public:
        await writer.join(team, token=server.token(alice, team=team, writer="yes"), private=True)
        await reader.join(team, token=server.token(bob, team=team), private=True)
        await public.join(team)
        await reader.send(f"realtime:{team}", "broadcast", SHOUT)
        await writer.silence(0.1)
        await writer.send(f"realtime:{team}", "broadcast", SHOUT)
        assert (await reader.receive())["payload"] == SHOUT
        # A public topic of the same name is another topic.
        await public.send(f"realtime:{team}", "broadcast", SHOUT)
        await reader.silence(0.1)
        await public.silence(0.1)


async def test_a_refresh_that_takes_the_permission_away_closes(server: Server, team: str, alice: str) -> None:
    async with server.connect() as client:
        await client.join(team, token=server.token(alice, team=team), private=True)
        await client.send(f"realtime:{team}", "access_token", {"access_token": server.token(alice)})
        message = (await client.receive())["payload"]["message"]
        assert message == f"You no longer have permission to read from this Channel topic: {team}"
        assert (await client.receive())["event"] == "phx_close"


async def test_a_refresh_keeps_the_headers_that_policies_read(server: Server, topic: str, alice: str) -> None:
    server.sql("""
        create policy known on realtime.messages for select to authenticated
            using (current_setting('request.headers', true)::jsonb ->> 'x-client-info' = 'known')
    """)
    try:
        async with server.connect(headers={"x-client-info": "known"}) as client:
            assert (await client.join(topic, token=server.token(alice), private=True))["status"] == "ok"
            token = server.token(alice, renewed=True)
            await client.send(f"realtime:{topic}", "access_token", {"access_token": token})
            await client.silence()
    finally:
        server.sql("drop policy known on realtime.messages")


async def test_http_to_a_private_topic(server: Server, team: str, alice: str) -> None:
    async with server.connect() as client, httpx.AsyncClient(base_url=server.url) as http:
        await client.join(team, token=server.token(alice, team=team), private=True)
        batch = {"messages": [{"topic": team, "event": "e", "payload": {}, "private": True}]}
        url = f"/realtime/v1/api/broadcast/{team}/events/e?private=true"
        reader = headers(server, server.token(alice, team=team))
        assert (await http.post("/realtime/v1/api/broadcast", json=batch, headers=reader)).status_code == 202
        assert (await http.post(url, json={}, headers=reader)).status_code == 401
        await client.silence(0.1)
        writer = headers(server, server.token(alice, writer="yes"))
        service = {"apikey": server.keys.secret_key}
        for given in (writer, service):
            assert (
                await http.post("/realtime/v1/api/broadcast", json=batch, headers=given)
            ).status_code == 202
            assert (await http.post(url, json={}, headers=given)).status_code == 202
            for _ in range(2):
                assert (await client.receive())["event"] == "broadcast"


# -- SQL ------------------------------------------------------------------------------------------


@pytest.mark.row("realtime.broadcast", by="sql")
async def test_sent_from_sql(server: Server, team: str, alice: str) -> None:
    async with server.connect() as private, server.connect("2.0.0") as public:
        await private.join(team, token=server.token(alice, team=team), private=True)
        await public.join(team)
        server.sql("select realtime.send('{\"a\": [1, null]}', 'e', %s)", team)
        payload = (await private.receive())["payload"]
        assert (payload["type"], payload["event"], payload["payload"]["a"]) == ("broadcast", "e", [1, None])
        assert payload["meta"]["id"] == payload["payload"]["id"]
        await public.silence(0.1)
        server.sql("select realtime.send('{\"id\": 5}', 'e', %s, false)", team)
        assert (await public.receive())["payload"]["payload"] == {"id": 5}
        server.sql("select realtime.send_binary('\\x00ff', 'e', %s, false)", team)
        assert (await public.receive())["binary"].endswith(b"\x00\xff")
        await private.silence(0.1)


async def test_what_was_sent_before_the_join_is_not_heard(server: Server, topic: str) -> None:
    server.sql("select realtime.send('{}', 'early', %s, false)", topic)
    async with server.connect() as client:
        await client.join(topic)
        server.sql("select realtime.send('{}', 'late', %s, false)", topic)
        assert (await client.receive())["payload"]["event"] == "late"


async def test_payloads_no_reader_would_follow_are_sent_as_text(server: Server, topic: str) -> None:
    deep = "[" * 500 + "]" * 500
    async with server.connect() as client:
        await client.join(topic)
        server.sql("select realtime.send(%s::jsonb, 'e', %s, false)", deep, topic)
        assert (await client.receive())["payload"]["payload"] == deep


async def test_changes_broadcast_by_a_trigger(server: Server, team: str, alice: str) -> None:
    server.sql("""
        create or replace function heard.tell() returns trigger
        language plpgsql security definer set search_path = '' as $$ begin
            perform realtime.broadcast_changes(
                'team-trigger', tg_op, tg_op, tg_table_name, tg_table_schema, new, old);
            return null;
        end $$;
        create table if not exists heard.told (id int primary key, body text);
        alter function heard.tell() owner to postgres;
        create or replace trigger tell after insert or update or delete on heard.told
            for each row execute function heard.tell();
    """)
    async with server.connect() as client:
        await client.join("team-trigger", token=server.token(alice, team="team-trigger"), private=True)
        server.sql("insert into heard.told values (1, 'a')")
        payload = (await client.receive())["payload"]
        content = payload["payload"]
        assert payload["event"] == "INSERT"
        assert (content["operation"], content["table"], content["schema"]) == ("INSERT", "told", "heard")
        assert (content["record"], content["old_record"]) == ({"id": 1, "body": "a"}, None)
        server.sql("delete from heard.told")
        assert (await client.receive())["payload"]["payload"]["old_record"] == {"id": 1, "body": "a"}


def test_a_message_that_may_not_be_sent_is_a_warning(server: Server) -> None:
    warnings: list[str] = []
    with psycopg.connect(server.postgres.dsn("postgres")) as connection:
        connection.add_notice_handler(lambda notice: warnings.append(notice.message_primary or ""))
        connection.execute("set local role anon")
        connection.execute("select realtime.send('{}', 'e', 'team-x')")
    assert "row-level security" in warnings[0]


def test_policies_are_what_postgres_may_make(server: Server) -> None:
    with psycopg.connect(server.postgres.dsn("postgres")) as connection:
        connection.execute("create policy extra on realtime.messages for select to anon using (false)")
        connection.execute("drop policy extra on realtime.messages")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("create table realtime.mine (id int)")


# -- presence -------------------------------------------------------------------------------------


async def join_present(client: Client, topic: str, key: str = "") -> dict[str, Any]:
    """Joins with presence; the state that is sent."""
    await client.join(topic, presence={"enabled": True, "key": key})
    return dict((await client.until("presence_state"))["payload"])


async def track(client: Client, topic: str, payload: Any, event: str = "track") -> dict[str, Any]:
    """The reply's payload; differences that come before it are left out."""
    await client.send(
        f"realtime:{topic}", "presence", {"type": "presence", "event": event, "payload": payload}
    )
    return dict((await client.until("phx_reply"))["payload"])


@pytest.mark.row("realtime.presence", by="http")
async def test_presence_comes_changes_and_goes(server: Server, topic: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        watcher = await stack.enter_async_context(server.connect())
        assert await join_present(watcher, topic) == {}
        async with server.connect("2.0.0") as client:
            await join_present(client, topic, "alice")
            assert await track(client, topic, {"mood": "calm"}) == {"status": "ok", "response": {}}
            joined = (await watcher.until("presence_diff"))["payload"]
            (meta,) = joined["joins"]["alice"]["metas"]
            assert meta["mood"] == "calm"
            assert joined["leaves"] == {}

            late = await stack.enter_async_context(server.connect())
            assert (await join_present(late, topic)) == {"alice": {"metas": [meta]}}

            await track(client, topic, {"mood": "calm"})  # nothing new: nobody is told
            await track(client, topic, {"mood": "wild", "phx_ref": "forged"})
            changed = (await watcher.until("presence_diff"))["payload"]
            (after,) = changed["joins"]["alice"]["metas"]
            assert (after["mood"], after["phx_ref_prev"]) == ("wild", meta["phx_ref"])
            assert after["phx_ref"] not in ("forged", meta["phx_ref"])
            assert changed["leaves"] == {"alice": {"metas": [meta]}}
        gone = (await watcher.until("presence_diff"))["payload"]
        assert gone == {"joins": {}, "leaves": {"alice": {"metas": [after]}}}


async def test_one_key_on_two_devices(server: Server, topic: str) -> None:
    async with server.connect() as phone, server.connect() as desk, server.connect() as watcher:
        for client in (phone, desk):
            await join_present(client, topic, "alice")
            await track(client, topic, {})
        assert len((await join_present(watcher, topic))["alice"]["metas"]) == 2
        await track(phone, topic, {}, "untrack")
        assert len((await watcher.until("presence_diff"))["payload"]["leaves"]["alice"]["metas"]) == 1


async def test_tracking_turns_presence_on(server: Server, topic: str) -> None:
    async with server.connect() as client:
        await client.join(topic, presence={"enabled": False, "key": "k"})
        await client.send(f"realtime:{topic}", "presence", {"event": "TRACK", "payload": {"a": 1}})
        state = (await client.until("presence_state"))["payload"]
        assert state["k"]["metas"][0]["a"] == 1


@pytest.mark.parametrize(
    "payload", [{"event": "track", "payload": "text"}, {"event": "jump"}, {"payload": {}}, {"event": 7}]
)
async def test_presence_messages_that_say_nothing(server: Server, topic: str, payload: Any) -> None:
    async with server.connect() as client:
        await join_present(client, topic)
        await client.send(f"realtime:{topic}", "presence", payload)
        assert (await client.until("phx_reply"))["payload"]["status"] == "error"


async def test_presence_on_a_private_topic(server: Server, team: str, alice: str, bob: str) -> None:
    async with server.connect() as writer, server.connect() as reader, server.connect() as public:
        present = {"private": True, "presence": {"enabled": True}}
        await writer.join(team, token=server.token(alice, team=team, writer="yes"), **present)
        await reader.join(team, token=server.token(bob, team=team), **present)
        await join_present(public, team)
        assert (await track(reader, team, {}))["status"] == "error"
        assert (await track(writer, team, {"a": 1}))["status"] == "ok"
        assert (await reader.until("presence_diff"))["payload"]["joins"]
        await public.silence(0.1)
