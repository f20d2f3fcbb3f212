"""What only the worker and an admin make, and who sees it: findings, roles, a hidden recording.

These need the secret key, since no user can bring them about.
"""

from __future__ import annotations

from typing import Any

from soundscape.check.runner import Broken
from soundscape.check.session import Visit, data, rows
from soundscape.check.user_data import make_blank, none_granted


async def findings(visit: Visit) -> None:
    """Tags, embedding and matches follow the recording they are about."""
    admin = await visit.admin()
    owner, audio_id = visit.owner.client, visit.blank["id"]
    carried = {"audio_id": audio_id, "user_id": visit.owner.user_id, "is_listed": True}
    other = await visit.owner.describe(f"{visit.owner.user_id}/check-other.wav", "A check", is_public=True)
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
        await data(admin.table(table).insert(row))
    audiences = {"another user": visit.stranger.client, "nobody": await visit.anonymous()}
    for table in made:
        for who, client in audiences.items():
            if not await rows(client, table, "audio_id", audio_id):
                raise Broken(f"A public recording: {who} does not see its {table}.")
    await make_blank(visit, is_public=False)
    for table in made:
        if not await rows(owner, table, "audio_id", audio_id):
            raise Broken(f"A private recording: its owner does not see its {table}.")
        await none_granted(
            "a private recording",
            {
                f"{who} sees its {table}": rows(client, table, "audio_id", audio_id)
                for who, client in audiences.items()
            },
        )
    await make_blank(visit, is_public=True)
    await data(admin.table("audio_matches").delete().eq("audio_id", audio_id))


async def roles(visit: Visit) -> None:
    """Roles are given by admins only, and seen by whom they concern."""
    admin, nobody = await visit.admin(), await visit.anonymous()
    owner, moderator = visit.owner.client, visit.stranger.client
    role = {"user_id": visit.stranger.user_id, "role": "moderator"}
    await none_granted(
        "roles",
        {
            "a user makes themselves a moderator": data(moderator.table("user_roles").insert(role)),
            "nobody reads what roles bring": data(nobody.table("role_permissions").select("*")),
        },
    )
    await data(admin.table("user_roles").insert(role))
    if not await rows(moderator, "user_roles", "user_id", visit.stranger.user_id):
        raise Broken("Who has a role does not see it.")
    if not await data(moderator.table("role_permissions").select("*")):
        raise Broken("A frontend cannot see what a role brings.")
    await none_granted(
        "roles",
        {
            "a user reads another's role": rows(owner, "user_roles", "user_id", visit.stranger.user_id),
            "a moderator takes away a role": data(
                moderator.table("user_roles").delete().eq("user_id", visit.stranger.user_id)
            ),
        },
    )
    # An admin for a moment: names another, and takes the role away again.
    await data(admin.table("user_roles").insert({**role, "role": "admin"}))
    given = {"user_id": visit.owner.user_id, "role": "moderator"}
    await data(moderator.table("user_roles").insert(given))
    if not await data(moderator.table("user_roles").delete().eq("user_id", visit.owner.user_id)):
        raise Broken("An admin cannot take a role away.")
    await data(admin.table("user_roles").delete().match({**role, "role": "admin"}))


async def moderation(visit: Visit) -> None:
    """A report is handled; a hidden recording is gone for everybody but its owner and moderators."""
    await visit.admin()  # without it nobody was made a moderator
    owner, moderator, audio_id = visit.owner.client, visit.stranger.client, visit.blank["id"]
    nobody = await visit.anonymous()
    report = visit.report["id"]
    await moderator.rpc("assign_report", {"report": report}).execute()
    if not await rows(moderator, "report_assignments", "report_id", report):
        raise Broken("A moderator does not see who takes care of a report.")
    await none_granted(
        "a report",
        {"the reported user sees who handles it": rows(owner, "report_assignments", "report_id", report)},
    )
    resolved = {"report": report, "resolution": "hidden", "reason": "A check"}
    await moderator.rpc("resolve_report", resolved).execute()
    (row,) = await rows(owner, "audio_files", "id", audio_id)
    if row["hidden_reason"] != "A check":
        raise Broken("The owner of a hidden recording is not told why.")
    if not await rows(moderator, "audio_files", "id", audio_id):
        raise Broken("A moderator does not see what was hidden.")
    await none_granted("a hidden recording", {"nobody sees it": rows(nobody, "audio_files", "id", audio_id)})
    await moderator.rpc("restore_recording", {"recording": audio_id}).execute()
    if not await rows(nobody, "audio_files", "id", audio_id):
        raise Broken("A restored recording is not seen again.")
    await moderator.rpc("hide_recording", {"recording": audio_id, "reason": "A check"}).execute()
    await none_granted("a hidden recording", {"nobody sees it": rows(nobody, "audio_files", "id", audio_id)})
    await moderator.rpc("restore_recording", {"recording": audio_id}).execute()
