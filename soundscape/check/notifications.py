"""Notifications: preferences, browsers that take pushes, and whether a worker delivers mails and pushes."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from soundscape.check.capability import CapabilityBroken, CapabilityUnknown
from soundscape.check.session import CheckSession, run_query, select_rows
from soundscape.check.user_data import require_refusals

KIND = "recording_liked"


async def check_preferences(session: CheckSession) -> None:
    """Test that notification preferences are seen and changed by their owner alone, and that they hold."""
    owner, stranger, table = session.owner.client, session.stranger.client, "notification_preferences"
    user_id = session.owner.user_id
    row = {"user_id": user_id, "kind": KIND, "channel": "email", "enabled": True}
    # Twice: the second upsert updates.
    for enabled in (False, True):
        await run_query(owner.table(table).upsert({**row, "enabled": enabled}))
        settings: Any = (await owner.rpc("notification_settings", {}).execute()).data
        if {"kind": KIND, "channel": "email", "enabled": enabled} not in [
            {name: setting[name] for name in ("kind", "channel", "enabled")} for setting in settings
        ]:
            raise CapabilityBroken("notification_settings does not say what the owner prefers.")
    await require_refusals(
        table,
        {
            "another user reads them": select_rows(stranger, table, "user_id", user_id),
            "nobody reads them": select_rows(await session.anonymous(), table, "user_id", user_id),
            "another user writes in the owner's name": run_query(
                stranger.table(table).insert({**row, "channel": "push"})
            ),
            "another user changes them": run_query(
                stranger.table(table).update({"enabled": False}).eq("user_id", user_id)
            ),
            "another user deletes them": run_query(stranger.table(table).delete().eq("user_id", user_id)),
        },
    )
    if not await run_query(owner.table(table).delete().eq("user_id", user_id)):
        raise CapabilityBroken("Their owner cannot delete them.")


async def check_push_subscriptions(session: CheckSession) -> None:
    """Test that a browser's subscription is seen and ended by its owner alone."""
    owner, stranger, table = session.owner.client, session.stranger.client, "push_subscriptions"
    subscription = {
        "endpoint": f"https://push.example/{secrets.token_hex(8)}",
        "p256dh": _encode(b"\x04" + secrets.token_bytes(64)),
        "auth": _encode(secrets.token_bytes(16)),
    }
    saved = str((await owner.rpc("save_push_subscription", subscription).execute()).data)
    if not await select_rows(owner, table, "id", saved):
        raise CapabilityBroken("Its owner does not see it.")
    other_keys = {**subscription, "auth": _encode(secrets.token_bytes(16))}
    await require_refusals(
        table,
        {
            "another user reads it": select_rows(stranger, table, "id", saved),
            "nobody reads it": select_rows(await session.anonymous(), table, "id", saved),
            "another user deletes it": run_query(stranger.table(table).delete().eq("id", saved)),
            "another user takes it without its keys": _save(stranger, other_keys),
        },
    )
    if not await run_query(owner.table(table).delete().eq("id", saved)):
        raise CapabilityBroken("Its owner cannot delete it.")


async def check_mail(session: CheckSession) -> None:
    """Whether a worker delivers mails."""
    await _check_channel(session, "email", "No worker sends mails", "SOUNDSCAPE_SMTP_URL")


async def check_push(session: CheckSession) -> None:
    """Whether a worker delivers pushes, and says with which key browsers subscribe."""
    channel = await _check_channel(session, "push", "No worker sends pushes", "SOUNDSCAPE_VAPID_PRIVATE_KEY")
    if not channel["public_key"]:
        raise CapabilityBroken("No worker has said with which key browsers subscribe.")


async def _check_channel(session: CheckSession, name: str, otherwise: str, setting: str) -> dict[str, Any]:
    channels: Any = (await session.owner.client.rpc("notification_channels", {}).execute()).data
    channel: dict[str, Any] = next((row for row in channels if row["channel"] == name), {})
    if not channel:
        raise CapabilityBroken(f"notification_channels does not name {name}.")
    if channel["reason"] in ("no_worker", "not_configured"):
        # Everything else works without it.
        raise CapabilityUnknown(
            f"off: {otherwise}.",
            remedy=f"To have them, set {setting} where the worker runs; docs/notifications.md says how.",
        )
    return channel


async def _save(client: Any, subscription: dict[str, str]) -> Any:
    return (await client.rpc("save_push_subscription", subscription).execute()).data


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
