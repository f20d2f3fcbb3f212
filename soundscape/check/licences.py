"""Licences of recordings: the list, and who changed one when."""

from __future__ import annotations

from soundscape.check.capability import CapabilityBroken
from soundscape.check.session import CheckSession, run_query, select_rows
from soundscape.check.user_data import require_refusals

LICENCE = "CC-BY-4.0"


async def check_licences(session: CheckSession) -> None:
    """Everybody reads the list and a public recording's history, and only the database writes them."""
    owner, nobody, audio_id = session.owner.client, await session.anonymous(), session.blank["id"]
    await run_query(owner.table("audio_files").update({"license": LICENCE}).eq("id", audio_id))
    for who, client in (
        ("its owner", owner),
        ("another user", session.stranger.client),
        ("nobody", nobody),
    ):
        if not await select_rows(client, "licenses", "id", LICENCE):
            raise CapabilityBroken(f"The list of licences: {who} does not see it.")
        changes = await select_rows(client, "license_history", "audio_id", audio_id)
        if [row["license"] for row in changes] != [LICENCE]:
            raise CapabilityBroken(f"The licences of a public recording: {who} does not see the change.")
        if changes[0]["changed_by"] != session.owner.user_id:
            raise CapabilityBroken("The licences of a recording: the change has another author.")
    private = session.row["id"]
    await run_query(owner.table("audio_files").update({"license": LICENCE}).eq("id", private))
    await require_refusals(
        "license_history",
        {
            "another user reads a private recording's": select_rows(
                session.stranger.client, "license_history", "audio_id", private
            ),
            "nobody reads a private recording's": select_rows(nobody, "license_history", "audio_id", private),
            "its owner writes one": run_query(
                owner.table("license_history").insert({"audio_id": audio_id, "license": LICENCE})
            ),
            "its owner deletes one": run_query(
                owner.table("license_history").delete().eq("audio_id", audio_id)
            ),
            "a user adds a licence": run_query(
                owner.table("licenses").insert({"id": "check", "name": "check"})
            ),
        },
    )
