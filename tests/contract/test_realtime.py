"""Realtime through both clients, on the project's own tables: supabase-py speaks 1.0.0, supabase-js 2.0.0."""

from __future__ import annotations

import asyncio
import io
import secrets
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile
from realtime import RealtimeSubscribeStates as States
from supabase import AsyncClient

from tests import node
from tests.waiting import LIMIT_S

from .conftest import Target, User


@pytest.fixture
def topic() -> str:
    """A name no other test uses."""
    return f"room-{secrets.token_hex(6)}"


async def joined(channel: Any) -> States:
    states: asyncio.Queue[States] = asyncio.Queue()
    await channel.subscribe(lambda state, _error: states.put_nowait(state))
    return await asyncio.wait_for(states.get(), LIMIT_S)


async def next_of(queue: asyncio.Queue[Any]) -> Any:
    return await asyncio.wait_for(queue.get(), LIMIT_S)


async def authenticated(user: User) -> AsyncClient:
    """The user's client, its socket carrying the user's token."""
    session = await user.client.auth.get_session()
    assert session is not None
    await user.client.realtime.set_auth(session.access_token)
    return user.client


def config(**given: Any) -> Any:
    return {"config": {"broadcast": None, "presence": None, "private": False} | given}


async def described(user: User, title: str) -> str:
    row = {"title": title, "file_path": f"{user.id}/{secrets.token_hex(8)}.wav"}
    return str((await user.client.table("audio_files").insert(row).execute()).data[0]["id"])


@pytest.mark.row("realtime.protocols", "realtime.changes", by="py")
async def test_changes_before_and_after_a_refresh(alice: User, bob: User, topic: str) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()
    filtered: asyncio.Queue[Any] = asyncio.Queue()
    unheard: asyncio.Queue[Any] = asyncio.Queue()
    ready: asyncio.Queue[Any] = asyncio.Queue()
    mine, theirs = await authenticated(alice), await authenticated(bob)
    channel = mine.channel(topic).on_system(ready.put_nowait)
    channel.on_postgres_changes("*", schema="public", table="audio_files", callback=heard.put_nowait)
    channel.on_postgres_changes(
        "INSERT", schema="public", table="audio_files", filter='title=eq."a, b"', callback=filtered.put_nowait
    )
    assert await joined(channel) is States.SUBSCRIBED
    other = theirs.channel(topic).on_system(ready.put_nowait)
    other.on_postgres_changes("*", schema="public", table="audio_files", callback=unheard.put_nowait)
    assert await joined(other) is States.SUBSCRIBED
    for _ in range(2):
        assert (await next_of(ready)).status == "ok"

    first = await described(alice, "a, b")
    event = (await next_of(heard))["data"]
    assert (event["type"], event["record"]["id"], event["record"]["tags"]) == ("INSERT", first, [])
    assert (await next_of(filtered))["data"]["record"]["title"] == "a, b"

    refreshed = (await mine.auth.refresh_session()).session
    assert refreshed is not None
    await mine.realtime.set_auth(refreshed.access_token)
    await mine.table("audio_files").update({"title": "c"}).eq("id", first).execute()
    assert (await next_of(heard))["data"]["record"]["title"] == "c"
    await mine.table("audio_files").delete().eq("id", first).execute()
    # No policy can be asked about a row that is gone, so nobody is told its id. The next event is another's.
    second = await described(alice, "d")
    event = (await next_of(heard))["data"]
    assert (event["type"], event["record"]["id"]) == ("INSERT", second)
    assert filtered.empty()

    # Bob hears of his own, and nothing of alice's.
    own = await described(bob, "mine")
    event = (await next_of(unheard))["data"]
    assert (event["type"], event["record"]["id"]) == ("INSERT", own)
    await mine.remove_channel(channel)
    await theirs.remove_channel(other)


@pytest.mark.row("realtime.broadcast", by="py")
async def test_broadcast(alice: User, anonymous: AsyncClient, topic: str) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()
    own: asyncio.Queue[Any] = asyncio.Queue()
    hearer = anonymous.channel(topic).on_broadcast("shout", heard.put_nowait)
    sender = alice.client.channel(topic, config(broadcast={"ack": True, "self": True}))
    sender.on_broadcast("shout", own.put_nowait)
    assert await joined(hearer) is States.SUBSCRIBED
    assert await joined(sender) is States.SUBSCRIBED
    await sender.send_broadcast("shout", {"words": "é😀"})
    for queue in (heard, own):
        assert (await next_of(queue))["payload"] == {"words": "é😀"}
    await alice.client.channel(topic).http_send("shout", {"a": [1, None]})
    assert (await next_of(heard))["payload"] == {"a": [1, None]}
    await anonymous.realtime.close()


@pytest.mark.row("realtime.presence", by="py")
async def test_presence(alice: User, bob: User, topic: str) -> None:
    came: asyncio.Queue[Any] = asyncio.Queue()
    left: asyncio.Queue[Any] = asyncio.Queue()
    watcher = alice.client.channel(topic, config(presence={"key": "alice", "enabled": True}))
    watcher.on_presence_join(lambda key, _, new: came.put_nowait((key, new[0]["mood"])))
    watcher.on_presence_leave(lambda key, _, gone: left.put_nowait(key))
    assert await joined(watcher) is States.SUBSCRIBED
    tracked = bob.client.channel(topic, config(presence={"key": "bob", "enabled": True}))
    assert await joined(tracked) is States.SUBSCRIBED
    await tracked.track({"mood": "calm"})
    assert await next_of(came) == ("bob", "calm")
    await tracked.untrack()
    assert await next_of(left) == "bob"


@pytest.mark.row("realtime.no-policy", by="py")
async def test_a_private_topic_without_a_policy_is_closed(alice: User, topic: str) -> None:
    client = await authenticated(alice)
    assert await joined(client.channel(topic, config(private=True))) is States.CHANNEL_ERROR


@pytest.mark.row(
    "realtime.protocols",
    "realtime.changes",
    "realtime.broadcast",
    "realtime.presence",
    "realtime.no-policy",
    by="js",
)
async def test_through_supabase_js(target: Target, alice: User, topic: str) -> None:
    session = await alice.client.auth.get_session()
    assert session is not None
    given = {"url": target.url, "key": target.public_key, "topic": topic, "user": alice.id}
    given |= {"token": session.access_token, "refresh": session.refresh_token}
    seen = await asyncio.to_thread(node.run, "topics.mjs", given)
    assert seen == {
        "joined": "SUBSCRIBED",
        "inserted": ["INSERT", "a, b", True],
        "updated": ["UPDATE", "c"],
        "all": ["INSERT", "UPDATE", "INSERT"],
        "sent": "ok",
        "heard": {"words": "é😀"},
        "bytes": [0, 255],
        "http": {"a": [1, None]},
        "came": ["watched", "calm"],
        "left": "watched",
        "private": "CHANNEL_ERROR",
        "left_channel": "ok",
    }


# -- the project's own topics ---------------------------------------------------------------------


async def publish(user: User, audio_id: str) -> None:
    await user.client.table("audio_files").update({"is_public": True}).eq("id", audio_id).execute()


@pytest.mark.row("realtime.private", by="py")
async def test_a_library_hears_of_its_own(alice: User, bob: User, anonymous: AsyncClient) -> None:
    mine, theirs = await authenticated(alice), await authenticated(bob)
    heard: asyncio.Queue[Any] = asyncio.Queue()
    unheard: asyncio.Queue[Any] = asyncio.Queue()
    library = mine.channel(f"library:{alice.id}", config(private=True))
    # Whoever is not signed in may join a public topic of the same name. It is another topic.
    namesake = anonymous.channel(f"library:{alice.id}")
    for operation in ("INSERT", "UPDATE", "DELETE"):
        library.on_broadcast(operation, heard.put_nowait)
        namesake.on_broadcast(operation, unheard.put_nowait)
    assert await joined(library) is States.SUBSCRIBED
    assert await joined(namesake) is States.SUBSCRIBED
    audio_id = await described(alice, "first")
    other_id = await described(bob, "not hers")
    await publish(bob, other_id)
    await mine.table("audio_files").update({"title": "second"}).eq("id", audio_id).execute()
    await mine.table("audio_files").delete().eq("id", audio_id).execute()
    for operation, title in (("INSERT", "first"), ("UPDATE", "second"), ("DELETE", "second")):
        message = await next_of(heard)
        payload = message["payload"]
        assert (message["event"], payload["operation"], payload["table"]) == (
            operation,
            operation,
            "audio_files",
        )
        assert [(row["id"], row["title"]) for row in payload["rows"]] == [(audio_id, title)]
    assert unheard.empty()

    refused = [
        theirs.channel(f"library:{alice.id}", config(private=True)),
        anonymous.channel(f"library:{bob.id}", config(private=True)),
        mine.channel(f"recording:{other_id}", config(private=True)),
        anonymous.channel(f"recording:{other_id}", config(private=True)),
    ]
    assert [await joined(channel) for channel in refused] == [States.CHANNEL_ERROR] * len(refused)
    assert await joined(theirs.channel(f"recording:{other_id}", config(private=True))) is States.SUBSCRIBED
    # Nor may its owner send into it: what comes over it, the database has sent.
    await library.send_broadcast("DELETE", {"table": "audio_files", "rows": []})
    await mine.table("playlists").insert({"title": "after it"}).execute()
    assert (await next_of(heard))["payload"]["table"] == "playlists"
    await anonymous.realtime.close()


@pytest.mark.row("realtime.private", by="js")
async def test_a_library_through_supabase_js(target: Target, alice: User, bob: User) -> None:
    session = await alice.client.auth.get_session()
    assert session is not None
    other_id = await described(bob, "not hers")
    await publish(bob, other_id)
    given = {"url": target.url, "key": target.public_key, "user": alice.id}
    given |= {"token": session.access_token, "refresh": session.refresh_token}
    given |= {"theirs": bob.id, "their_recording": other_id}
    assert await asyncio.to_thread(node.run, "library.mjs", given) == {
        "states": ["SUBSCRIBED", "CHANNEL_ERROR", "SUBSCRIBED"],
        "recording": "SUBSCRIBED",
        "heard": [
            ["INSERT", "INSERT", "first"],
            ["UPDATE", "UPDATE", "second"],
            ["DELETE", "DELETE", "second"],
        ],
        "refused": ["CHANNEL_ERROR"] * 4,
    }


async def test_progress_of_a_long_analysis(alice: User) -> None:
    """An hour takes longer than a second anywhere: its owner hears how far it is."""
    t = np.arange(8000 * 3600) / 8000
    sound = io.BytesIO()
    soundfile.write(sound, (0.25 * np.sin(2 * np.pi * 440 * t)).astype(np.float32), 8000, format="FLAC")
    client, heard = await authenticated(alice), list[Any]()
    path = f"{alice.id}/{secrets.token_hex(8)}.flac"
    row = {"title": "An hour", "file_path": path}
    audio_id = (await client.table("audio_files").insert(row).execute()).data[0]["id"]
    channel = client.channel(f"recording:{audio_id}", config(private=True))
    channel.on_broadcast("progress", lambda message: heard.append(message["payload"]))
    assert await joined(channel) is States.SUBSCRIBED
    await alice.audio.upload(path, sound.getvalue(), {"content-type": "audio/flac"})
    assert (await alice.ended(audio_id))["status"] == "ready"
    shares = [said["progress"] for said in heard if said["stage"] == "analyzing"]
    assert {said["audio_id"] for said in heard} == {audio_id}
    assert any(0 < share <= 1 for share in shares), heard
    assert shares == sorted(shares)


# -- many at once -------------------------------------------------------------------------------------


@pytest.fixture
def clients(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--clients"))


@pytest.mark.row("rest.session", "realtime.changes", by="py")
@pytest.mark.row("rest.session", "realtime.changes", by="js")
async def test_nobodys_data_reaches_another(target: Target, sign_up: Callable[[], Any], clients: int) -> None:
    """Each reads, writes, uploads and listens at the same time; nobody meets another's id anywhere.

    One in ten through supabase-js, the others through supabase-py. Of strangers, whom tests before may have
    left, everybody meets what is public.
    """
    users: list[User] = []
    for first in range(0, clients, 10):
        users += await asyncio.gather(*(sign_up() for _ in range(first, min(first + 10, clients))))
    tokens = [(await user.client.auth.get_session()).access_token for user in users[::10]]  # type: ignore[union-attr]
    given = {"url": target.url, "key": target.public_key}
    given |= {"users": [[user.id, token] for user, token in zip(users[::10], tokens, strict=True)]}
    others = [user for number, user in enumerate(users) if number % 10]
    seen: dict[str, list[Any]] = {user.id: [] for user in others}
    listening = asyncio.Barrier(len(others))
    by_js, *_ = await asyncio.gather(
        asyncio.to_thread(node.run, "mixed.mjs", given),
        *(_live(user, users, seen[user.id], listening) for user in others),
    )
    for user in others:
        assert _met([event["record"] for event in seen[user.id]], users) == {user.id}
    assert set(by_js) == {user.id for user in users[::10]}
    for user_id, met in by_js.items():
        assert "bytes of another" not in met
        assert _met([{"user_id": each} for each in met], users) == {user_id}


async def _live(user: User, users: list[User], seen: list[Any], listening: asyncio.Barrier) -> None:
    client, ready = await authenticated(user), asyncio.Event()
    channel = client.channel(f"own-{user.id}").on_system(lambda _: ready.set())
    for table in ("audio_files", "audio_features"):
        channel.on_postgres_changes(
            "*", schema="public", table=table, callback=lambda event: seen.append(event["data"])
        )
    assert await joined(channel) is States.SUBSCRIBED
    await asyncio.wait_for(ready.wait(), LIMIT_S)
    await listening.wait()
    path, content = f"{user.id}/{secrets.token_hex(8)}.wav", user.id.encode() * 20
    await user.audio.upload(path, content, {"content-type": "audio/wav"})
    row = {"title": f"by {user.id}", "file_path": path}
    ((made,), (listed,), names, back) = await asyncio.gather(
        _rows(client.table("audio_files").insert(row)),
        _rows(client.table("playlists").insert({"title": f"of {user.id}"})),
        user.audio.list(user.id),
        user.audio.download(path),
    )
    assert (made["user_id"], listed["user_id"], back) == (user.id, user.id, content)
    assert [found["name"] for found in names] == [path.rpartition("/")[2]]
    changed = client.table("audio_files").update({"title": f"again by {user.id}"})
    read = await asyncio.gather(
        _rows(changed.neq("title", "")),
        _rows(client.table("audio_files").select("*")),
        _rows(client.table("playlists").select("*, users(id)")),
        _rows(client.rpc("search_audio", {"query": "by"}).select("user_id:recording->>user_id")),
        _rows(client.table("user_preferences").select("*")),
    )
    assert [_met(rows, users) for rows in read] == [{user.id}] * len(read), read
    assert all(found["user_id"] == user.id or found["is_public"] for rows in read[1:3] for found in rows)
    async with asyncio.timeout(LIMIT_S):
        while not any(event["record"].get("title") == f"again by {user.id}" for event in seen):
            await asyncio.sleep(0.02)
    # Another's id in hand opens nothing either.
    other = users[users.index(user) - 1]
    assert await _rows(client.table("playlists").update({"title": "stolen"}).eq("user_id", other.id)) == []
    assert await user.audio.list(other.id) == []


def _met(rows: list[dict[str, Any]], users: list[User]) -> set[str]:
    """Whose of these users' rows they are."""
    return {row["user_id"] for row in rows} & {user.id for user in users}


async def _rows(query: Any) -> list[dict[str, Any]]:
    return list((await query.execute()).data)
