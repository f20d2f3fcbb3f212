"""What people keep beside recordings: likes, what they heard and were shown, preferences, playlists, reports.

Each is tried on a public recording without bytes: written and read by its owner, while another user and
nobody try to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any
from uuid import uuid4

from supabase import AsyncClient

from soundscape.check.runner import Broken
from soundscape.check.session import Visit, data, is_granted, rows

Row = dict[str, Any]


async def public_row(visit: Visit) -> None:
    """A public row that waits for a file: everybody sees it."""
    visit.blank = await visit.owner.describe(
        f"{visit.owner.user_id}/check-without-bytes.wav", "A check", is_public=True
    )
    for who, client in (("another user", visit.stranger.client), ("nobody", await visit.anonymous())):
        if not await rows(client, "audio_files", "id", visit.blank["id"]):
            raise Broken(f"A public recording: {who} does not see its row.")


async def likes(visit: Visit) -> None:
    await _kept(visit, "likes", {"audio_id": visit.blank["id"]})


async def listening(visit: Visit) -> None:
    await _kept(visit, "listening_events", {"audio_id": visit.blank["id"], "listened_s": 1})


async def impressions(visit: Visit) -> None:
    """Written by no user; and the rules of moods, which everybody reads."""
    row = {"answer_id": str(uuid4()), "place": 1, "reason": "check", "score": 0, "seed": 1}
    await _kept(visit, "impressions", {**row, "audio_id": visit.blank["id"]}, writer=await visit.admin())
    for who, client in (("a user", visit.owner.client), ("nobody", await visit.anonymous())):
        if not await data(client.table("mood_rules").select("mood").limit(1)):
            raise Broken(f"The rules of moods: {who} does not see them.")
    rule = {"mood": "check", "rule": "check", "points": 1, "labels": ["check"]}
    await none_granted(
        "mood_rules", {"a user writes one": data(visit.owner.client.table("mood_rules").insert(rule))}
    )


async def _kept(visit: Visit, table: str, row: Row, *, writer: AsyncClient | None = None) -> None:
    """A row that is its owner's alone, made by them (or in their name) and deleted by them."""
    owner, stranger = visit.owner.client, visit.stranger.client
    mine = {**row, "user_id": visit.owner.user_id}
    await data(owner.table(table).insert(row) if writer is None else writer.table(table).insert(mine))
    if not await _own(visit, owner, table):
        raise Broken(f"Its owner does not see what they put into {table}.")
    await none_granted(
        table,
        {
            "another user reads it": _own(visit, stranger, table),
            "nobody reads it": _own(visit, await visit.anonymous(), table),
            "another user writes in the owner's name": data(stranger.table(table).insert(mine)),
            "another user deletes it": data(stranger.table(table).delete().eq("user_id", mine["user_id"])),
        },
    )
    if not await data(owner.table(table).delete().eq("user_id", mine["user_id"])):
        raise Broken(f"Its owner cannot delete what they put into {table}.")


async def preferences(visit: Visit) -> None:
    owner, stranger, table = visit.owner.client, visit.stranger.client, "user_preferences"
    change = {"theme": "dark"}
    await none_granted(
        table,
        {
            "another user reads them": _own(visit, stranger, table),
            "nobody reads them": _own(visit, await visit.anonymous(), table),
            "another user changes them": data(
                stranger.table(table).update(change).eq("user_id", visit.owner.user_id)
            ),
        },
    )
    if not await data(owner.table(table).update(change).eq("user_id", visit.owner.user_id)):
        raise Broken("Their owner cannot change them.")


async def playlists(visit: Visit) -> None:
    owner, stranger = visit.owner.client, visit.stranger.client
    playlist = (await data(owner.table("playlists").insert({"title": "A check"})))[0]["id"]
    item = {"playlist_id": playlist, "audio_id": visit.blank["id"]}
    await data(owner.table("playlist_items").insert(item))

    def list_of(client: Any) -> Awaitable[list[Row]]:
        return rows(client, "playlists", "id", playlist)

    def items_of(client: Any) -> Awaitable[list[Row]]:
        return rows(client, "playlist_items", "playlist_id", playlist)

    if not (await list_of(owner) and await items_of(owner)):
        raise Broken("Its owner does not see it.")
    audiences = {"another user": stranger, "nobody": await visit.anonymous()}
    await none_granted(
        "a private playlist",
        {f"{who} reads it": list_of(client) for who, client in audiences.items()}
        | {f"{who} reads its items": items_of(client) for who, client in audiences.items()},
    )
    if not await data(owner.table("playlists").update({"is_public": True}).eq("id", playlist)):
        raise Broken("Its owner cannot change it.")
    for who, client in audiences.items():
        if not (await list_of(client) and await items_of(client)):
            raise Broken(f"A public playlist: {who} does not see it and its items.")
    await none_granted(
        "a public playlist",
        {
            "another user renames it": data(
                stranger.table("playlists").update({"title": "Mine"}).eq("id", playlist)
            ),
            "another user deletes it": data(stranger.table("playlists").delete().eq("id", playlist)),
            "another user makes one in the owner's name": data(
                stranger.table("playlists").insert({"title": "Mine", "user_id": visit.owner.user_id})
            ),
            "another user adds an item": data(stranger.table("playlist_items").insert(item)),
            "another user removes an item": data(
                stranger.table("playlist_items").delete().eq("playlist_id", playlist)
            ),
        },
    )
    await make_blank(visit, is_public=False)
    await none_granted(
        "a public playlist with a private recording",
        {f"{who} sees the item": items_of(client) for who, client in audiences.items()},
    )
    await make_blank(visit, is_public=True)
    if not await data(owner.table("playlist_items").delete().eq("playlist_id", playlist)):
        raise Broken("Its owner cannot remove an item.")
    if not await data(owner.table("playlists").delete().eq("id", playlist)):
        raise Broken("Its owner cannot delete it.")


async def reports(visit: Visit) -> None:
    owner, stranger = visit.owner.client, visit.stranger.client
    report = {"audio_id": visit.blank["id"], "reason": "other", "details": "A check"}
    await data(stranger.table("reports").insert(report))
    told = await rows(stranger, "reports", "audio_id", visit.blank["id"])
    if not told:
        raise Broken("Who reports something does not see what becomes of it.")
    visit.report = told[0]
    await none_granted(
        "reports",
        {
            "the reported user reads it": rows(owner, "reports", "audio_id", visit.blank["id"]),
            "nobody reads it": rows(await visit.anonymous(), "reports", "audio_id", visit.blank["id"]),
            "a user reports in another's name": data(
                owner.table("reports").insert(
                    {**report, "audio_id": visit.row["id"], "reporter_id": visit.stranger.user_id}
                )
            ),
        },
    )


async def make_blank(visit: Visit, **columns: Any) -> None:
    """Change the recording without bytes, as its owner."""
    if not await data(visit.owner.client.table("audio_files").update(columns).eq("id", visit.blank["id"])):
        raise Broken("The owner cannot change a recording.")


async def none_granted(what: str, attempts: dict[str, Awaitable[Any]]) -> None:
    """Raise `Broken` with every attempt that something came of."""
    answers = await asyncio.gather(*(is_granted(attempt) for attempt in attempts.values()))
    granted = [told for told, was_granted in zip(attempts, answers, strict=True) if was_granted]
    if granted:
        raise Broken(f"{what}: {', '.join(granted)}.")


def _own(visit: Visit, client: Any, table: str) -> Awaitable[list[Row]]:
    return rows(client, table, "user_id", visit.owner.user_id)
