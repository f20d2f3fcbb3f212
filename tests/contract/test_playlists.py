"""Playlists, likes, listening: each user's own, without gaps, never a way to a private recording."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest
from postgrest.exceptions import APIError
from supabase import AsyncClient

from .conftest import User, tone

ABSENT = "00000000-0000-4000-8000-000000000000"


async def recording(user: User, *, is_public: bool = True) -> str:
    """A row alone: what hangs on it here needs no sound."""
    row = {"title": "A sound", "file_path": f"{user.id}/{secrets.token_hex(6)}.wav", "is_public": is_public}
    return str((await user.client.table("audio_files").insert(row).execute()).data[0]["id"])


async def playlist(user: User, **columns: Any) -> str:
    made = await user.client.table("playlists").insert({"title": "Night"} | columns).execute()
    return str(made.data[0]["id"])


async def add(user: User, playlist_id: str, *audio_ids: str) -> list[str]:
    rows = [{"playlist_id": playlist_id, "audio_id": audio_id} for audio_id in audio_ids]
    return [row["id"] for row in (await user.client.table("playlist_items").insert(rows).execute()).data]


async def order(client: AsyncClient, playlist_id: str) -> list[str]:
    """The items in their order."""
    rows = (
        await client.table("playlist_items")
        .select("id, position")
        .eq("playlist_id", playlist_id)
        .order("position")
        .execute()
    ).data
    assert len({row["position"] for row in rows}) == len(rows)
    return [row["id"] for row in rows]


async def test_items_keep_an_order(alice: User) -> None:
    listed = await playlist(alice)
    audio_id = await recording(alice)
    a, b, c, d = await add(alice, listed, *[audio_id] * 4)
    assert await order(alice.client, listed) == [a, b, c, d]

    move = {"item": d, "to_position": 2}
    await alice.client.rpc("move_playlist_item", move).execute()
    assert await order(alice.client, listed) == [a, d, b, c]
    await alice.client.rpc("move_playlist_item", {"item": a, "to_position": 99}).execute()
    assert await order(alice.client, listed) == [d, b, c, a], "beyond the end means last"

    await alice.client.rpc("reorder_playlist", {"playlist": listed, "items": [c, a, d, b]}).execute()
    assert await order(alice.client, listed) == [c, a, d, b]
    await alice.client.table("playlist_items").delete().in_("id", [a, d]).execute()
    assert await order(alice.client, listed) == [c, b]

    for items in ([c], [c, b, b], [c, b, ABSENT]):
        with pytest.raises(APIError, match="does not hold each item of the playlist once"):
            await alice.client.rpc("reorder_playlist", {"playlist": listed, "items": items}).execute()
    with pytest.raises(APIError, match="permission denied"):
        await alice.client.table("playlist_items").update({"position": 9}).eq("id", b).execute()


async def test_appends_at_once_take_places_of_their_own(alice: User) -> None:
    listed = await playlist(alice)
    audio_id = await recording(alice)
    await asyncio.gather(*(add(alice, listed, audio_id) for _ in range(8)))
    assert len(await order(alice.client, listed)) == 8


async def test_a_private_recording_in_somebodys_playlist(
    alice: User, bob: User, anonymous: AsyncClient
) -> None:
    public, private = await recording(bob), await recording(bob, is_public=False)
    listed = await playlist(alice, is_public=True)
    with pytest.raises(APIError, match="row-level security"):
        await add(alice, listed, private)
    with pytest.raises(APIError, match="row-level security"):
        await add(bob, listed, public)
    first, second = await add(alice, listed, public, await recording(alice))

    await bob.client.table("audio_files").update({"is_public": False}).eq("id", public).execute()
    items = alice.client.table("playlist_items").select("id, audio_files(title)").eq("playlist_id", listed)
    seen = (await items.order("position").execute()).data
    # The list's owner sees the item, to take it out, and nothing of the recording.
    assert (seen[0]["id"], seen[0]["audio_files"]) == (first, None)
    assert seen[1]["audio_files"] == {"title": "A sound"}
    for client, sees in ((anonymous, [second]), (bob.client, [first, second])):
        rows = client.table("playlist_items").select("id").eq("playlist_id", listed).order("position")
        assert [row["id"] for row in (await rows.execute()).data] == sees
    await alice.client.table("playlist_items").delete().eq("id", first).execute()
    assert len(await order(alice.client, listed)) == 1


async def test_others_neither_see_nor_order_a_private_playlist(
    alice: User, bob: User, anonymous: AsyncClient
) -> None:
    listed = await playlist(alice)
    (item,) = await add(alice, listed, await recording(alice))
    for client in (bob.client, anonymous):
        for table, column in (("playlists", "id"), ("playlist_items", "playlist_id")):
            assert (await client.table(table).select("*").eq(column, listed).execute()).data == []
        for name, arguments in (
            ("move_playlist_item", {"item": item, "to_position": 1}),
            ("reorder_playlist", {"playlist": listed, "items": [item]}),
        ):
            with pytest.raises(APIError) as refused:
                await client.rpc(name, arguments).execute()
            assert refused.value.code in ("42501", "PGRST202")
    assert (await bob.client.table("playlists").delete().eq("id", listed).execute()).data == []


async def test_likes_are_ones_own(alice: User, bob: User, anonymous: AsyncClient) -> None:
    public, private = await recording(bob), await recording(bob, is_public=False)
    likes = alice.client.table("likes")
    for _ in range(2):
        await likes.upsert(
            {"audio_id": public}, on_conflict="user_id,audio_id", ignore_duplicates=True
        ).execute()
    mine = (await likes.select("user_id, audio_id").execute()).data
    assert mine == [{"user_id": alice.id, "audio_id": public}], "twice is once"
    assert (await bob.client.table("likes").select("*").execute()).data == [], "not even the owner is told"
    with pytest.raises(APIError, match="permission denied"):
        await anonymous.table("likes").select("*").execute()
    for row in ({"audio_id": private}, {"audio_id": public, "user_id": bob.id}):
        with pytest.raises(APIError, match="row-level security"):
            await likes.insert(row).execute()
    assert len((await likes.delete().eq("audio_id", public).execute()).data) == 1


async def test_listening_is_ones_own_to_write_and_to_erase(alice: User, bob: User) -> None:
    public, private = await recording(bob), await recording(bob, is_public=False)
    events = alice.client.table("listening_events")
    heard = {"audio_id": public, "listened_s": 42.5, "completed": True, "context": "search"}
    made = (await events.insert(heard).execute()).data[0]
    assert {name: made[name] for name in heard} == heard
    assert made["user_id"] == alice.id
    assert (await bob.client.table("listening_events").select("*").execute()).data == []
    for row in ({"audio_id": private}, {"audio_id": public, "user_id": bob.id}):
        with pytest.raises(APIError, match="row-level security"):
            await events.insert(row).execute()
    with pytest.raises(APIError, match="a number of seconds, 0 or more"):
        await events.insert({"audio_id": public, "listened_s": -1}).execute()
    with pytest.raises(APIError, match="permission denied"):
        await events.update({"listened_s": 1}).eq("id", made["id"]).execute()
    assert len((await events.delete().eq("id", made["id"]).execute()).data) == 1


async def test_what_is_seen_is_embedded_and_found(alice: User, bob: User, anonymous: AsyncClient) -> None:
    word = f"w{secrets.token_hex(6)}"
    row = await alice.add(tone(921.0), title=f"{word} at night", tags=["owl"], is_public=True)
    private = await alice.add(tone(922.0), title=f"{word} in secret")
    await alice.ended(row["id"])
    await alice.ended(private["id"])
    embedded = "id, users(id), audio_features(duration_s), audio_tags(label)"
    for client in (alice.client, bob.client, anonymous):
        found = (await client.table("audio_files").select(embedded).eq("id", row["id"]).execute()).data
        assert found[0]["users"] == {"id": alice.id}
        assert found[0]["audio_features"]["duration_s"] == pytest.approx(1.0)
        assert isinstance(found[0]["audio_tags"], list)
        by_length = client.table("audio_features").select("audio_id, audio_files!inner(title)")
        titles = (await by_length.like("audio_files.title", f"{word}%").execute()).data
        wanted = {row["id"], private["id"]} if client is alice.client else {row["id"]}
        assert {each["audio_id"] for each in titles} == wanted

        async def search(query: str, client: AsyncClient = client) -> set[str]:
            rows = await client.rpc("search_audio", {"query": query}).select("id").execute()
            return {each["id"] for each in rows.data}

        assert await search(word) == wanted
        assert await search(f'"{word} at night"') == {row["id"]}, "words in quotes stay together"
        assert await search(f"{word} -owl") == wanted - {row["id"]}
        assert row["id"] in await search(""), "without words: the newest"
