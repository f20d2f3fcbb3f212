"""User data beside recordings: likes, listening events, impressions, preferences, playlists, reports.

Each is tested on a public recording without a file. Its owner writes and reads it, while another user and
nobody try to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any
from uuid import uuid4

from supabase import AsyncClient

from soundscape.check.capability import CapabilityBroken
from soundscape.check.session import CheckSession, is_granted, run_query, select_rows

Row = dict[str, Any]


async def check_public_row(session: CheckSession) -> None:
    """A public row that waits for a file: everybody sees it."""
    session.blank = await session.owner.describe(
        f"{session.owner.user_id}/check-without-bytes.wav", "A check", is_public=True
    )
    for who, client in (("another user", session.stranger.client), ("nobody", await session.anonymous())):
        if not await select_rows(client, "audio_files", "id", session.blank["id"]):
            raise CapabilityBroken(f"A public recording: {who} does not see its row.")


async def check_likes(session: CheckSession) -> None:
    """Test that a like is seen and changed by its owner alone."""
    await _check_own_rows(session, "likes", {"audio_id": session.blank["id"]})


async def check_listening(session: CheckSession) -> None:
    """Test that a listening event is seen and changed by its owner alone."""
    await _check_own_rows(session, "listening_events", {"audio_id": session.blank["id"], "listened_s": 1})


async def check_impressions(session: CheckSession) -> None:
    """Impressions, which no user writes, and the rules of moods, which everybody reads."""
    row = {"answer_id": str(uuid4()), "place": 1, "reason": "check", "score": 0, "seed": 1}
    await _check_own_rows(
        session, "impressions", {**row, "audio_id": session.blank["id"]}, writer=await session.admin()
    )
    for who, client in (("a user", session.owner.client), ("nobody", await session.anonymous())):
        if not await run_query(client.table("mood_rules").select("mood").limit(1)):
            raise CapabilityBroken(f"The rules of moods: {who} does not see them.")
    rule = {"mood": "check", "rule": "check", "points": 1, "labels": ["check"]}
    await require_refusals(
        "mood_rules", {"a user writes one": run_query(session.owner.client.table("mood_rules").insert(rule))}
    )


async def _check_own_rows(
    session: CheckSession, table: str, row: Row, *, writer: AsyncClient | None = None
) -> None:
    """Test a row that only its owner sees: written by them (or for them by `writer`) and deleted by them."""
    owner, stranger = session.owner.client, session.stranger.client
    mine = {**row, "user_id": session.owner.user_id}
    await run_query(owner.table(table).insert(row) if writer is None else writer.table(table).insert(mine))
    if not await _select_own(session, owner, table):
        raise CapabilityBroken(f"Its owner does not see what they put into {table}.")
    await require_refusals(
        table,
        {
            "another user reads it": _select_own(session, stranger, table),
            "nobody reads it": _select_own(session, await session.anonymous(), table),
            "another user writes in the owner's name": run_query(stranger.table(table).insert(mine)),
            "another user deletes it": run_query(
                stranger.table(table).delete().eq("user_id", mine["user_id"])
            ),
        },
    )
    if not await run_query(owner.table(table).delete().eq("user_id", mine["user_id"])):
        raise CapabilityBroken(f"Its owner cannot delete what they put into {table}.")


async def check_preferences(session: CheckSession) -> None:
    """Test that preferences are seen and changed by their owner alone."""
    owner, stranger, table = session.owner.client, session.stranger.client, "user_preferences"
    change = {"theme": "dark"}
    await require_refusals(
        table,
        {
            "another user reads them": _select_own(session, stranger, table),
            "nobody reads them": _select_own(session, await session.anonymous(), table),
            "another user changes them": run_query(
                stranger.table(table).update(change).eq("user_id", session.owner.user_id)
            ),
        },
    )
    if not await run_query(owner.table(table).update(change).eq("user_id", session.owner.user_id)):
        raise CapabilityBroken("Their owner cannot change them.")


async def check_exports(session: CheckSession) -> None:
    """Test that an export is asked for, seen and deleted by its owner alone."""
    owner, stranger, table = session.owner.client, session.stranger.client, "exports"
    export = str((await owner.rpc("export_my_data", {}).execute()).data)
    if not await select_rows(owner, table, "id", export):
        raise CapabilityBroken("Its owner does not see it.")
    await require_refusals(
        table,
        {
            "another user reads it": select_rows(stranger, table, "id", export),
            "nobody reads it": select_rows(await session.anonymous(), table, "id", export),
            "another user deletes it": run_query(stranger.table(table).delete().eq("id", export)),
        },
    )
    if not await run_query(owner.table(table).delete().eq("id", export)):
        raise CapabilityBroken("Its owner cannot delete it.")


async def check_playlists(session: CheckSession) -> None:
    """Test private and public playlists, and a private recording in a public one."""
    owner, stranger = session.owner.client, session.stranger.client
    playlist = (await run_query(owner.table("playlists").insert({"title": "A check"})))[0]["id"]
    item = {"playlist_id": playlist, "audio_id": session.blank["id"]}
    await run_query(owner.table("playlist_items").insert(item))

    def list_of(client: Any) -> Awaitable[list[Row]]:
        return select_rows(client, "playlists", "id", playlist)

    def items_of(client: Any) -> Awaitable[list[Row]]:
        return select_rows(client, "playlist_items", "playlist_id", playlist)

    if not (await list_of(owner) and await items_of(owner)):
        raise CapabilityBroken("Its owner does not see it.")
    audiences = {"another user": stranger, "nobody": await session.anonymous()}
    await require_refusals(
        "a private playlist",
        {f"{who} reads it": list_of(client) for who, client in audiences.items()}
        | {f"{who} reads its items": items_of(client) for who, client in audiences.items()},
    )
    if not await run_query(owner.table("playlists").update({"is_public": True}).eq("id", playlist)):
        raise CapabilityBroken("Its owner cannot change it.")
    for who, client in audiences.items():
        if not (await list_of(client) and await items_of(client)):
            raise CapabilityBroken(f"A public playlist: {who} does not see it and its items.")
    await require_refusals(
        "a public playlist",
        {
            "another user renames it": run_query(
                stranger.table("playlists").update({"title": "Mine"}).eq("id", playlist)
            ),
            "another user deletes it": run_query(stranger.table("playlists").delete().eq("id", playlist)),
            "another user makes one in the owner's name": run_query(
                stranger.table("playlists").insert({"title": "Mine", "user_id": session.owner.user_id})
            ),
            "another user adds an item": run_query(stranger.table("playlist_items").insert(item)),
            "another user removes an item": run_query(
                stranger.table("playlist_items").delete().eq("playlist_id", playlist)
            ),
        },
    )
    await update_blank(session, is_public=False)
    await require_refusals(
        "a public playlist with a private recording",
        {f"{who} sees the item": items_of(client) for who, client in audiences.items()},
    )
    await update_blank(session, is_public=True)
    if not await run_query(owner.table("playlist_items").delete().eq("playlist_id", playlist)):
        raise CapabilityBroken("Its owner cannot remove an item.")
    if not await run_query(owner.table("playlists").delete().eq("id", playlist)):
        raise CapabilityBroken("Its owner cannot delete it.")


async def check_reports(session: CheckSession) -> None:
    """Test that a report is seen by its author and by nobody else."""
    owner, stranger = session.owner.client, session.stranger.client
    report = {"audio_id": session.blank["id"], "reason": "other", "details": "A check"}
    await run_query(stranger.table("reports").insert(report))
    told = await select_rows(stranger, "reports", "audio_id", session.blank["id"])
    if not told:
        raise CapabilityBroken("A user does not see their own report.")
    session.report = told[0]
    await require_refusals(
        "reports",
        {
            "the reported user reads it": select_rows(owner, "reports", "audio_id", session.blank["id"]),
            "nobody reads it": select_rows(
                await session.anonymous(), "reports", "audio_id", session.blank["id"]
            ),
            "a user reports in another's name": run_query(
                owner.table("reports").insert(
                    {**report, "audio_id": session.row["id"], "reporter_id": session.stranger.user_id}
                )
            ),
        },
    )


async def update_blank(session: CheckSession, **columns: Any) -> None:
    """Change the recording without a file, as its owner."""
    if not await run_query(
        session.owner.client.table("audio_files").update(columns).eq("id", session.blank["id"])
    ):
        raise CapabilityBroken("The owner cannot change a recording.")


async def require_refusals(what: str, attempts: dict[str, Awaitable[Any]]) -> None:
    """Raise `CapabilityBroken` with every attempt that was not refused."""
    answers = await asyncio.gather(*(is_granted(attempt) for attempt in attempts.values()))
    granted = [told for told, was_granted in zip(attempts, answers, strict=True) if was_granted]
    if granted:
        raise CapabilityBroken(f"{what}: {', '.join(granted)}.")


def _select_own(session: CheckSession, client: Any, table: str) -> Awaitable[list[Row]]:
    return select_rows(client, table, "user_id", session.owner.user_id)
