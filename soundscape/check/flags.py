"""Feature flags: the worker, a user and a stranger get the same answer, and only the operator changes it."""

from __future__ import annotations

import secrets
from typing import Any

from soundscape.check.capability import CapabilityBroken
from soundscape.check.session import CheckSession, run_query, select_rows
from soundscape.check.user_data import require_refusals

TABLE = "feature_flags"
SHOWN = "key, description, state, percentage, active_from, active_until, updated_at"


async def check_flags(session: CheckSession) -> None:
    """Test a flag of its own: on for one user, then for everybody, then gone."""
    admin, owner, nobody = await session.admin(), session.owner, await session.anonymous()
    key = f"check_{secrets.token_hex(8)}"
    row = {"key": key, "description": "A check", "state": "some", "user_ids": [owner.user_id]}
    await run_query(admin.table(TABLE).insert(row))
    try:
        await _require(session, key, owner=True, stranger=False, nobody=False)
        for who, client in (("a user", owner.client), ("nobody", nobody)):
            rows = await run_query(client.table(TABLE).select(SHOWN).eq("key", key))
            if [set(found) for found in rows] != [set(SHOWN.split(", "))]:
                raise CapabilityBroken(f"The flags: {who} does not see them, so that Realtime tells nothing.")
        await require_refusals(
            TABLE,
            {
                "a user reads whom it names": run_query(
                    session.stranger.client.table(TABLE).select("user_ids").eq("key", key)
                ),
                "a user switches it": run_query(
                    owner.client.table(TABLE).update({"state": "on"}).eq("key", key)
                ),
            },
        )
        await run_query(admin.table(TABLE).update({"state": "on"}).eq("key", key))
        await _require(session, key, owner=True, stranger=True, nobody=True)
    finally:
        await admin.table(TABLE).delete().eq("key", key).execute()
    if await select_rows(admin, TABLE, "key", key):
        raise CapabilityBroken("The worker's key does not delete a flag.")
    await _require(session, key, owner=False, stranger=False, nobody=False)


async def _require(session: CheckSession, key: str, **expected: bool) -> None:
    """Raise `CapabilityBroken` unless each gets this answer, from the function and through the worker's."""
    admin = await session.admin()
    people: dict[str, tuple[Any, str | None]] = {
        "owner": (session.owner.client, session.owner.user_id),
        "stranger": (session.stranger.client, session.stranger.user_id),
        "nobody": (await session.anonymous(), None),
    }
    for who, (client, user_id) in people.items():
        told = (await client.rpc("flag", {"key": key}).execute()).data
        by_worker = (await admin.rpc("flag_for", {"key": key, "user_id": user_id}).execute()).data
        if told is not expected[who] or bool(by_worker) is not expected[who]:
            raise CapabilityBroken(
                f"A flag: {who} is told {told}, the worker {by_worker}, and {expected[who]} is true."
            )
