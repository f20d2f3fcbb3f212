"""One topic that one client has joined: what it may do, what it asked for, what it is sent."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from soundscape.local.realtime.authorization import EVERYTHING, Permissions, permissions
from soundscape.local.realtime.binding import Binding, BindingError, check_binding, parse_binding
from soundscape.local.realtime.identity import TokenRefused, identify, seconds_left
from soundscape.local.realtime.serializer import Message, UserBroadcast
from soundscape.local.tokens import Caller

if TYPE_CHECKING:
    from soundscape.local.realtime.connection import Connection
    from soundscape.local.realtime.hub import Hub

MAX_TIMER_S = 3600.0


class JoinRefused(Exception):
    """A join that is answered with an error; the message is the reason."""


@dataclass(eq=False)
class Channel:
    """A joined topic. Two channels are never equal."""

    connection: Connection
    topic: str
    join_ref: str | None
    caller: Caller
    token: str
    """Channels of one token have one caller: the database is asked once for all of them."""
    private: bool = False
    acknowledges: bool = False
    hears_itself: bool = False
    presence_enabled: bool = True
    presence_key: str = ""
    permissions: Permissions = EVERYTHING
    bindings: tuple[Binding, ...] = ()
    since_lsn: int = 0
    """Changes committed before it are not for this channel."""
    _expiry: asyncio.TimerHandle | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return self.topic.removeprefix("realtime:")

    @property
    def hub(self) -> Hub:
        return self.connection.service.hub

    def push(self, event: str, payload: dict[str, Any]) -> None:
        self.connection.send(Message(self.topic, event, payload, join_ref=self.join_ref))

    def system(self, extension: str, status: str, message: str) -> None:
        payload = {"extension": extension, "status": status, "message": message, "channel": self.name}
        self.push("system", payload)

    def close(self, message: str | None = None) -> None:
        """Leave the topic; with a message, say first what went wrong."""
        if message is not None:
            self.system("system", "error", message)
        if self._expiry is not None:
            self._expiry.cancel()
        self.connection.forget(self)
        closing = Message(self.topic, "phx_close", {}, ref=self.join_ref, join_ref=self.join_ref)
        self.connection.send(closing)

    def watch_expiry(self) -> None:
        """Close when the token runs out, unless it is refreshed before."""
        if self._expiry is not None:
            self._expiry.cancel()
        left_s = seconds_left(self.caller)
        if left_s is not None and left_s <= 0:
            self.close("Token has expired")
        elif left_s is not None:
            loop = asyncio.get_running_loop()
            self._expiry = loop.call_later(min(left_s, MAX_TIMER_S), self.watch_expiry)

    # -- what the client sends ------------------------------------------------------------------

    async def receive(self, message: Message) -> None:
        if message.event == "broadcast" and "broadcast" not in self.permissions.write:
            return  # as the real service does; an acknowledgement would be a lie
        if message.event in ("broadcast", "presence"):
            error = self._broadcast(message) if message.event == "broadcast" else self._presence(message)
            if error is not None:
                self.connection.reply(message, "error", {"reason": error})
            elif self.acknowledges or message.event == "presence":
                self.connection.reply(message, "ok", {})
        elif message.event == "access_token":
            await self._refresh(message)
        elif message.event == "phx_leave":
            self.connection.reply(message, "ok", {})
            self.close()

    def _broadcast(self, message: Message) -> str | None:
        """Why it is not sent, if it is not."""
        payload = message.payload
        if isinstance(payload, UserBroadcast):
            size_bytes = len(payload.payload)
            if payload.meta.get("persist"):
                return "persist is not supported"
            payload = replace(payload, meta={})
        else:
            size_bytes = len(json.dumps(payload))
            if not isinstance(payload.get("event"), str):
                return "A broadcast needs an event"
        if size_bytes > self.connection.service.limits.payload_bytes:
            return "Payload size exceeded"
        sender = None if self.hears_itself else self
        self.hub.broadcast(self.name, self.private, payload, sender=sender)
        return None

    def _presence(self, message: Message) -> str | None:
        """Why it is not done, if it is not."""
        given = _object(message.payload)
        event, payload = str(given.get("event")).lower(), given.get("payload") or {}
        if event == "untrack":
            self.hub.untrack(self)
            return None
        if event != "track":
            return "Unknown presence event"
        if not isinstance(payload, dict):
            return "Presence track payload must be a map"
        if "presence" not in self.permissions.write:
            return "You do not have permissions to track presence"
        if len(json.dumps(payload)) > self.connection.service.limits.payload_bytes:
            return "Track message size exceeded"
        self.hub.track(self, payload)
        if not self.presence_enabled:
            self.presence_enabled = True
            self.send_presence_state()
        return None

    def send_presence_state(self) -> None:
        if self.presence_enabled and "presence" in self.permissions.read:
            self.push("presence_state", self.hub.presence(self).state)

    async def _refresh(self, message: Message) -> None:
        """A new token: who it is now, what the policies say now. The old one counts until then."""
        token = _object(message.payload).get("access_token")
        if not isinstance(token, str) or token == self.token or token.startswith("sb_"):
            return
        stack = self.connection.service.stack
        try:
            caller = identify(stack.tokens, token)
        except TokenRefused as error:
            self.close(error.message)
            return
        if self.private:
            allowed = await permissions(stack.admin, caller, self.name)
            if self.permissions.read - allowed.read:
                self.close(f"You no longer have permission to read from this Channel topic: {self.name}")
                return
            self.permissions = allowed
        self.caller, self.token = caller, token
        self.watch_expiry()


async def join(connection: Connection, message: Message) -> Channel:
    """The channel a `phx_join` asks for, not yet on its topic. Raises `JoinRefused`."""
    given, stack = _object(message.payload), connection.service.stack
    config = _object(given.get("config"))
    broadcast, presence = _object(config.get("broadcast")), _object(config.get("presence"))
    token, key = given.get("access_token") or given.get("user_token"), presence.get("key")
    if not isinstance(token, str) or token.startswith("sb_"):
        token = connection.key
    try:
        caller = identify(stack.tokens, token)
    except TokenRefused as error:
        raise JoinRefused(f"{error.code}: {error.message}") from error
    if broadcast.get("replay") is not None:
        raise JoinRefused("UnableToReplayMessages: Realtime was unable to replay messages")
    channel = Channel(
        connection,
        message.topic,
        message.join_ref or message.ref,
        caller,
        token,
        private=_flag(config.get("private")),
        acknowledges=_flag(broadcast.get("ack")),
        hears_itself=_flag(broadcast.get("self")),
        presence_enabled=_flag(presence.get("enabled"), default=True),
        presence_key=key if isinstance(key, str) and key else str(uuid.uuid4()),
    )
    if channel.private:
        channel.permissions = await permissions(stack.admin, caller, channel.name, connection.headers)
        if not channel.permissions.read:
            raise JoinRefused(
                f"Unauthorized: You do not have permissions to read from this Channel topic: {channel.name}"
            )
    return channel


async def bind(channel: Channel, message: Message) -> tuple[list[dict[str, Any]], str | None]:
    """Subscribe the channel to the changes its join asks for.

    Returns what to reply and the reason why it failed, if it did: then nothing is subscribed.
    Raises `JoinRefused` when the client asked to wait for the outcome.
    """
    config = _object(_object(message.payload).get("config"))
    entries = config.get("postgres_changes")
    given = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    bindings: list[Binding] = []
    try:
        for entry in given:
            binding = parse_binding(entry)
            await check_binding(binding, channel.caller, channel.connection.service.stack)
            bindings.append(binding)
    except BindingError as error:
        if _object(config.get("postgres_changes_options")).get("wait") is True:
            raise JoinRefused(f"RealtimeDisabledForConfiguration: {error}") from error
        # The list must match the client's, or it reports a mismatch instead of our reason.
        return [{**entry, "id": index + 1} for index, entry in enumerate(given)], str(error)
    channel.bindings = tuple(bindings)
    return [binding.reply for binding in bindings], None


def _object(candidate: Any) -> dict[str, Any]:
    return candidate if isinstance(candidate, dict) else {}


def _flag(candidate: Any, *, default: bool = False) -> bool:
    """Clients in the wild send booleans as strings."""
    if isinstance(candidate, str):
        return candidate.lower() == "true"
    return candidate if isinstance(candidate, bool) else default
