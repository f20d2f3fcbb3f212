"""What a `phx_join` asks for: a channel, and the changes that it subscribes to."""

from __future__ import annotations

import uuid
from typing import Any

from embedded_supabase.database import Pool
from embedded_supabase.embedded import EmbeddedSupabase
from embedded_supabase.realtime.authorization import ErrorReply, identify, read_permissions
from embedded_supabase.realtime.binding import Binding, check_binding, parse_binding
from embedded_supabase.realtime.channel import Channel
from embedded_supabase.realtime.send_queue import SendQueue
from embedded_supabase.realtime.serializer import Message

NO_PERSIST = "persist is not supported"


async def open_channel(
    embedded: EmbeddedSupabase, message: Message, queue: SendQueue, *, key: str, headers: str
) -> Channel:
    """The channel a `phx_join` asks for, not yet on its topic. `key` is the connection's project key.

    Raises `Refused`.
    """
    token = message.get("access_token")
    if not isinstance(token, str) or token.startswith("sb_"):
        token = key
    caller = identify(embedded.tokens, token)
    if message.get("config", "broadcast", "replay") is not None:
        raise ErrorReply("Realtime was unable to replay messages", "UnableToReplayMessages")
    if message.get("config", "broadcast", "persist"):
        raise ErrorReply(NO_PERSIST)
    presence_key = message.get("config", "presence", "key")
    channel = Channel(
        queue,
        message.topic,
        message.join_ref or message.ref,
        caller,
        token,
        private=_parse_flag(message.get("config", "private")),
        acknowledges=_parse_flag(message.get("config", "broadcast", "ack")),
        sends_to_itself=_parse_flag(message.get("config", "broadcast", "self")),
        presence_enabled=_parse_flag(message.get("config", "presence", "enabled"), default=True),
        presence_key=presence_key if isinstance(presence_key, str) and presence_key else str(uuid.uuid4()),
    )
    if channel.private:
        channel.permissions = await read_permissions(embedded.admin, caller, channel.name, headers)
        if not channel.permissions.read:
            reason = f"You do not have permissions to read from this Channel topic: {channel.name}"
            raise ErrorReply(reason, "Unauthorized")
    return channel


async def bind(channel: Channel, message: Message, callers: Pool) -> tuple[list[dict[str, Any]], str | None]:
    """Subscribe the channel to the changes its join asks for.

    Returns what to reply, and the reason where it failed: then nothing is subscribed. Raises `Refused`
    when the client asked to wait for the outcome.
    """
    entries = message.get("config", "postgres_changes")
    given = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    bindings: list[Binding] = []
    try:
        for entry in given:
            bindings.append(parse_binding(entry))
            await check_binding(bindings[-1], channel.caller, callers)
    except ErrorReply as error:
        if message.get("config", "postgres_changes_options", "wait") is True:
            raise ErrorReply(str(error), "RealtimeDisabledForConfiguration") from error
        # The list must match the client's list, or the client reports a mismatch instead of our reason.
        return [{**entry, "id": index + 1} for index, entry in enumerate(given)], str(error)
    channel.bindings = tuple(bindings)
    return [{**entry, "id": it.id} for entry, it in zip(given, bindings, strict=True)], None


def _parse_flag(given: Any, *, default: bool = False) -> bool:
    """Clients in the wild send booleans as strings. Raises `Refused` for what is neither."""
    if given is None:
        return default
    if isinstance(given, str) and given.lower() in ("true", "false"):
        return given.lower() == "true"
    if isinstance(given, bool):
        return given
    raise ErrorReply(f"{str(given)[:100]!r} is neither true nor false")
