"""Figures of recordings: who sees the counts, and who sees the days."""

from __future__ import annotations

import asyncio
from typing import Any

from soundscape.check.capability import CapabilityBroken
from soundscape.check.session import CheckSession, run_query, select_rows
from soundscape.check.user_data import require_refusals

HEARD_S = 30
MAX_ROLLUPS = 60


async def check_statistics(session: CheckSession) -> None:
    """Test that a play is counted, that everybody sees public counts, and the owner alone sees days."""
    owner, stranger, admin = session.owner.client, session.stranger.client, await session.admin()
    nobody, public, private = await session.anonymous(), session.blank["id"], session.row["id"]
    event = {"audio_id": public, "listened_s": HEARD_S, "context": "search"}
    await run_query(stranger.table("listening_events").insert(event))
    await run_query(stranger.table("listening_events").delete().eq("user_id", session.stranger.user_id))
    await admin.rpc("record_download", {"recording": private, "listener": "check"}).execute()
    # A rollup of somebody else may be under way: then this one does nothing, and that one has not counted it.
    for _ in range(MAX_ROLLUPS):
        await admin.rpc("roll_up_stats", {}).execute()
        if await select_rows(admin, "audio_stats", "audio_id", public):
            break
        await asyncio.sleep(1)
    for who, client in (("its owner", owner), ("another user", stranger), ("nobody", nobody)):
        rows = await select_rows(client, "audio_stats", "audio_id", public)
        if [row["plays"] for row in rows] != [1]:
            raise CapabilityBroken(f"The counts of a public recording: {who} does not see the one play.")
    await require_refusals(
        "audio_stats of a private recording",
        {
            "another user reads them": select_rows(stranger, "audio_stats", "audio_id", private),
            "nobody reads them": select_rows(nobody, "audio_stats", "audio_id", private),
            "its owner writes them": run_query(
                owner.table("audio_stats").update({"plays": 9}).eq("audio_id", private)
            ),
        },
    )
    days = await select_rows(owner, "audio_stats_daily", "audio_id", public)
    if [(day["plays"], day["listeners"], day["from_search"]) for day in days] != [(1, 1, None)]:
        raise CapabilityBroken(
            "The days of a recording: its owner does not see the play, or sees where it came from."
        )
    span = {"from": days[0]["day"], "to": days[0]["day"]}
    told: Any = (await owner.rpc("my_audio_stats", span | {"recording": public}).execute()).data
    if [row["plays"] for row in told] != [1]:
        raise CapabilityBroken("my_audio_stats does not tell the owner of the play.")
    await require_refusals(
        "audio_stats_daily",
        {
            "another user reads them": select_rows(stranger, "audio_stats_daily", "audio_id", public),
            "nobody reads them": select_rows(nobody, "audio_stats_daily", "audio_id", public),
            "its owner writes them": run_query(
                owner.table("audio_stats_daily").update({"plays": 9}).eq("audio_id", public)
            ),
        },
    )
