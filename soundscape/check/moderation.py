"""Findings, roles and hidden recordings: who sees them.

Only the worker or an admin makes them, so testing them needs the secret key.
"""

from __future__ import annotations

from typing import Any

from soundscape.check.capability import CapabilityBroken
from soundscape.check.session import CheckSession, run_query, select_rows
from soundscape.check.user_data import require_refusals, update_blank


async def check_findings(session: CheckSession) -> None:
    """Tags, embedding and matches are visible to whoever sees their recording."""
    admin = await session.admin()
    owner, audio_id = session.owner.client, session.blank["id"]
    carried = {"audio_id": audio_id, "user_id": session.owner.user_id, "is_listed": True}
    other = await session.owner.describe(
        f"{session.owner.user_id}/check-other.wav", "A check", is_public=True
    )
    made: dict[str, dict[str, Any]] = {
        "audio_tags": {**carried, "label": "Check", "confidence": 1, "start_s": 0, "end_s": 1},
        "audio_embeddings": {**carried, "space": "check", "embedding": str([0.5] * 128)},
        "audio_matches": {
            "audio_id": audio_id,
            "matched_audio_id": other["id"],
            "kind": "identical",
            "confidence": 1,
        },
    }
    for table, row in made.items():
        await run_query(admin.table(table).insert(row))
    audiences = {"another user": session.stranger.client, "nobody": await session.anonymous()}
    for table in made:
        for who, client in audiences.items():
            if not await select_rows(client, table, "audio_id", audio_id):
                raise CapabilityBroken(f"A public recording: {who} does not see its {table}.")
    await update_blank(session, is_public=False)
    for table in made:
        if not await select_rows(owner, table, "audio_id", audio_id):
            raise CapabilityBroken(f"A private recording: its owner does not see its {table}.")
        await require_refusals(
            "a private recording",
            {
                f"{who} sees its {table}": select_rows(client, table, "audio_id", audio_id)
                for who, client in audiences.items()
            },
        )
    await update_blank(session, is_public=True)
    await run_query(admin.table("audio_matches").delete().eq("audio_id", audio_id))


async def check_roles(session: CheckSession) -> None:
    """Only admins give roles. Users see their own."""
    admin, nobody = await session.admin(), await session.anonymous()
    owner, moderator = session.owner.client, session.stranger.client
    role = {"user_id": session.stranger.user_id, "role": "moderator"}
    await require_refusals(
        "roles",
        {
            "a user makes themselves a moderator": run_query(moderator.table("user_roles").insert(role)),
            "nobody reads what roles bring": run_query(nobody.table("role_permissions").select("*")),
        },
    )
    await run_query(admin.table("user_roles").insert(role))
    if not await select_rows(moderator, "user_roles", "user_id", session.stranger.user_id):
        raise CapabilityBroken("A user does not see their own role.")
    if not await run_query(moderator.table("role_permissions").select("*")):
        raise CapabilityBroken("A moderator does not see the permissions of a role.")
    await require_refusals(
        "roles",
        {
            "a user reads another's role": select_rows(
                owner, "user_roles", "user_id", session.stranger.user_id
            ),
            "a moderator takes away a role": run_query(
                moderator.table("user_roles").delete().eq("user_id", session.stranger.user_id)
            ),
        },
    )
    # An admin for a moment: names another, and takes the role away again.
    await run_query(admin.table("user_roles").insert({**role, "role": "admin"}))
    given = {"user_id": session.owner.user_id, "role": "moderator"}
    await run_query(moderator.table("user_roles").insert(given))
    if not await run_query(moderator.table("user_roles").delete().eq("user_id", session.owner.user_id)):
        raise CapabilityBroken("An admin cannot take a role away.")
    await run_query(admin.table("user_roles").delete().match({**role, "role": "admin"}))


async def check_moderation(session: CheckSession) -> None:
    """A report is handled. A hidden recording is visible to its owner and moderators only."""
    await session.admin()  # without it nobody was made a moderator
    owner, moderator, audio_id = session.owner.client, session.stranger.client, session.blank["id"]
    nobody = await session.anonymous()
    report = session.report["id"]
    await moderator.rpc("assign_report", {"report": report}).execute()
    if not await select_rows(moderator, "report_assignments", "report_id", report):
        raise CapabilityBroken("A moderator does not see who handles a report.")
    await require_refusals(
        "a report",
        {
            "the reported user sees who handles it": select_rows(
                owner, "report_assignments", "report_id", report
            )
        },
    )
    resolved = {"report": report, "resolution": "hidden", "reason": "A check"}
    await moderator.rpc("resolve_report", resolved).execute()
    (row,) = await select_rows(owner, "audio_files", "id", audio_id)
    if row["hidden_reason"] != "A check":
        raise CapabilityBroken("The owner of a hidden recording is not told why.")
    if not await select_rows(moderator, "audio_files", "id", audio_id):
        raise CapabilityBroken("A moderator does not see what was hidden.")
    await require_refusals(
        "a hidden recording", {"nobody sees it": select_rows(nobody, "audio_files", "id", audio_id)}
    )
    await moderator.rpc("restore_recording", {"recording": audio_id}).execute()
    if not await select_rows(nobody, "audio_files", "id", audio_id):
        raise CapabilityBroken("A restored recording is not seen again.")
    await moderator.rpc("hide_recording", {"recording": audio_id, "reason": "A check"}).execute()
    await require_refusals(
        "a hidden recording", {"nobody sees it": select_rows(nobody, "audio_files", "id", audio_id)}
    )
    await moderator.rpc("restore_recording", {"recording": audio_id}).execute()
