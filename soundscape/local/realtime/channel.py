"""One topic that one client has joined: what it may do, what it asked for, what it is sent."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from soundscape.local.realtime.authorization import EVERYTHING, Permissions, permissions
from soundscape.local.realtime.binding import Binding, BindingError, check_binding, parse_binding
from soundscape.local.realtime.identity import TokenRefused, expired, expires_at, identify
from soundscape.local.realtime.serializer import Message, UserBroadcast
from soundscape.local.tokens import Caller

if TYPE_CHECKING:
    from soundscape.local.realtime.connection import Connection

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
            self._expiry = None
        until = expires_at(self.caller)
        if until is None:
            return
        left_s = until - time.time()
        if left_s <= 0:
            self.close(expired(until))
        else:
            loop = asyncio.get_running_loop()
            self._expiry = loop.call_later(min(left_s, MAX_TIMER_S), self.watch_expiry)

    # -- what the client sends ------------------------------------------------------------------

    async def receive(self, message: Message) -> None:
        match message.event:
            case "broadcast":
                self._broadcast(message)
            case "presence":
                self._presence(message)
            case "access_token":
                await self._refresh(message)
            case "phx_leave":
                self.connection.reply(message, "ok", {})
                self.close()

    def _broadcast(self, message: Message) -> None:
        if not self.connection.events.allow():
            self.close("Too many messages per second")
            return
        if "broadcast" not in self.permissions.write:
            return
        payload, error = message.payload, None
        if isinstance(payload, UserBroadcast):
            size_bytes = len(payload.payload)
            if payload.meta.get("persist"):
                error = {"reason": "persist is not supported", "error": "persist is not supported"}
            payload = replace(payload, meta={})
        else:
            size_bytes = len(json.dumps(payload))
            if not isinstance(payload.get("event"), str):
                error = {"reason": "A broadcast needs an event"}
        if size_bytes > self.connection.limits.payload_bytes:
            error = {"reason": "Payload size exceeded"}
        if error is None:
            self.connection.hub.broadcast(
                self.name, self.private, payload, sender=None if self.hears_itself else self
            )
        if error is not None:
            self.connection.reply(message, "error", error)
        elif self.acknowledges:
            self.connection.reply(message, "ok", {})

    def _presence(self, message: Message) -> None:
        given = message.payload
        if not self.connection.events.allow():
            self.close("Too many presence messages per second")
            return None
        event = given.get("event") if isinstance(given, dict) else None
        if not isinstance(given, dict) or not isinstance(event, str):
            self.connection.reply(message, "error", {"reason": "Unknown presence event"})
            return None
        payload = given.get("payload") or {}
        match event.lower():
            case "untrack":
                self.connection.hub.untrack(self)
            case "track" if not isinstance(payload, dict):
                return self.connection.reply(
                    message, "error", {"reason": "Presence track payload must be a map"}
                )
            case "track" if "presence" not in self.permissions.write:
                return self.connection.reply(
                    message, "error", {"reason": "You do not have permissions to track presence"}
                )
            case "track" if len(json.dumps(payload)) > self.connection.limits.payload_bytes:
                return self.close("Track message size exceeded")
            case "track":
                self.connection.hub.track(self, payload)
                if not self.presence_enabled:
                    self.presence_enabled = True
                    self.send_presence_state()
            case _:
                return self.connection.reply(message, "error", {"reason": "Unknown presence event"})
        self.connection.reply(message, "ok", {})
        return None

    def send_presence_state(self) -> None:
        if self.presence_enabled and "presence" in self.permissions.read:
            self.push("presence_state", self.connection.hub.presence_state(self))

    async def _refresh(self, message: Message) -> None:
        """A new token: who it is now, what the policies say now. The old one counts until then."""
        token = message.payload.get("access_token") if isinstance(message.payload, dict) else None
        if not isinstance(token, str) or token == self.token or token.startswith("sb_"):
            return
        try:
            caller = identify(self.connection.stack.tokens, token)
        except TokenRefused as error:
            self.close(error.message)
            return
        if self.private:
            allowed = await permissions(self.connection.stack.admin, caller, self.name)
            if self.permissions.read - allowed.read:
                self.close(f"You no longer have permission to read from this Channel topic: {self.name}")
                return
            self.permissions = allowed
        self.caller, self.token = caller, token
        self.watch_expiry()


async def join(connection: Connection, message: Message) -> Channel:
    """The channel a `phx_join` asks for, not yet on its topic. Raises `JoinRefused`."""
    given = message.payload if isinstance(message.payload, dict) else {}
    config = _object(given.get("config"))
    broadcast, presence = _object(config.get("broadcast")), _object(config.get("presence"))
    token = given.get("access_token") or given.get("user_token")
    if not isinstance(token, str) or token.startswith("sb_"):
        token = connection.key
    try:
        caller = identify(connection.stack.tokens, token)
    except TokenRefused as error:
        raise JoinRefused(f"{error.code}: {error.message}") from error
    if broadcast.get("replay") is not None:
        raise JoinRefused("UnableToReplayMessages: Realtime was unable to replay messages")
    key = presence.get("key")
    channel = Channel(
        connection,
        message.topic,
        message.join_ref or message.ref,
        caller,
        token,
        private=_flag(config.get("private"), default=False),
        acknowledges=_flag(broadcast.get("ack"), default=False),
        hears_itself=_flag(broadcast.get("self"), default=False),
        presence_enabled=_flag(presence.get("enabled"), default=True),
        presence_key=key if isinstance(key, str) and key else str(uuid.uuid4()),
    )
    if channel.private:
        allowed = await permissions(connection.stack.admin, caller, channel.name, connection.headers)
        if not allowed.read:
            raise JoinRefused(
                f"Unauthorized: You do not have permissions to read from this Channel topic: {channel.name}"
            )
        channel.permissions = allowed
    return channel


async def bind(channel: Channel, message: Message) -> tuple[list[dict[str, Any]], str | None]:
    """Subscribe the channel to the changes its join asks for.

    Returns what to reply and the reason why it failed, if it did: then nothing is subscribed.
    Raises `JoinRefused` when the client asked to wait for the outcome.
    """
    config = _object(message.payload.get("config")) if isinstance(message.payload, dict) else {}
    entries = config.get("postgres_changes")
    given = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    bindings: list[Binding] = []
    try:
        for entry in given:
            binding = parse_binding(entry)
            await check_binding(
                binding, channel.caller, channel.connection.stack.admin, channel.connection.callers
            )
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


def _flag(candidate: Any, *, default: bool) -> bool:
    """Clients in the wild send booleans as strings."""
    if isinstance(candidate, str):
        return candidate.lower() == "true"
    return candidate if isinstance(candidate, bool) else default
