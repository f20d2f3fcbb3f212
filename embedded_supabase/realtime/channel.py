"""One topic that one client has joined: what it may do, what it asked for, what it is sent."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from embedded_supabase.realtime.authorization import EVERYTHING, Permissions, Refused, identify, permissions
from embedded_supabase.realtime.binding import Binding, check_binding, parse_binding
from embedded_supabase.realtime.serializer import Message, UserBroadcast
from embedded_supabase.tokens import Caller

if TYPE_CHECKING:
    from embedded_supabase.realtime.app import Service
    from embedded_supabase.realtime.connection import Connection


NO_PERSIST = "persist is not supported"


@dataclass(eq=False)
class Channel:
    """A joined topic. Two channels are never equal."""

    connection: Connection
    topic: str
    join_ref: str | None
    caller: Caller
    token: str
    """Channels of one token have one caller."""
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
    def key(self) -> tuple[str, bool]:
        return self.name, self.private

    @property
    def service(self) -> Service:
        return self.connection.service

    @property
    def hears_presence(self) -> bool:
        return self.presence_enabled and "presence" in self.permissions.read

    # -- what the client is sent ----------------------------------------------------------------

    def push(self, event: str, payload: dict[str, Any], *, joined: bool = True) -> None:
        """`joined` says which join it answers; what goes to everybody on the topic does not."""
        self.connection.send(Message(self.topic, event, payload, None, self.join_ref if joined else None))

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
        self.connection.send(Message(self.topic, "phx_close", {}, self.join_ref, self.join_ref))

    def watch_expiry(self) -> None:
        """Close when the token runs out, unless it is refreshed before. The project's keys never do."""
        if self._expiry is not None:
            self._expiry.cancel()
        expires = self.caller.claims.get("exp")
        if isinstance(expires, int | float):
            loop, left_s = asyncio.get_running_loop(), expires - time.time()
            self._expiry = loop.call_later(left_s, self.close, "Token has expired")

    def send_presence_state(self) -> None:
        if self.hears_presence:
            self.push("presence_state", self.service.hub.presence(self.key))

    # -- what the client sends ------------------------------------------------------------------

    async def receive(self, message: Message) -> bool:
        """Whether it is to be acknowledged. Raises `Refused`."""
        match message.event:
            case "broadcast":
                return self._broadcast(message)
            case "presence":
                self._presence(message)
                return True
            case "access_token":
                await self._refresh(_at(message.payload, "access_token"))
                return False
            case event:
                raise Refused(f"Unknown event: {event}")

    def _broadcast(self, message: Message) -> bool:
        if "broadcast" not in self.permissions.write:
            return False  # as the real service does; an acknowledgement would be a lie
        payload = message.payload
        if isinstance(payload, UserBroadcast):
            if payload.meta.get("persist"):
                raise Refused(NO_PERSIST)
            self._limit(len(payload.payload), "Payload")
            payload = replace(payload, meta={})
        else:
            if not isinstance(payload.get("event"), str):
                raise Refused("A broadcast needs an event")
            if payload.get("persist"):
                raise Refused(NO_PERSIST)
            self._limit(len(json.dumps(payload)), "Payload")
        sender = None if self.hears_itself else self
        self.service.hub.broadcast(self.key, payload, sender=sender)
        return self.acknowledges

    def _presence(self, message: Message) -> None:
        event, payload = str(_at(message.payload, "event")).lower(), _at(message.payload, "payload") or {}
        if event == "untrack":
            self.service.hub.untrack(self)
            return
        if event != "track":
            raise Refused("Unknown presence event")
        if not isinstance(payload, dict):
            raise Refused("Presence track payload must be a map")
        if "presence" not in self.permissions.write:
            raise Refused("You do not have permissions to track presence")
        self._limit(len(json.dumps(payload)), "Track message")
        self.service.hub.track(self, payload)
        if not self.presence_enabled:
            self.presence_enabled = True
            self.send_presence_state()

    def _limit(self, size_bytes: int, what: str) -> None:
        if size_bytes > self.service.limits.payload_bytes:
            raise Refused(f"{what} size exceeded")

    async def _refresh(self, token: Any) -> None:
        """A new token: who it is now, what the policies say now. The old one counts until then."""
        if not isinstance(token, str) or token == self.token or token.startswith("sb_"):
            return
        embedded = self.service.embedded
        try:
            caller = identify(embedded.tokens, token)
        except Refused as refused:
            self.close(refused.message)
            return
        if self.private:
            allowed = await permissions(embedded.admin, caller, self.name, self.connection.headers)
            if self.permissions.read - allowed.read:
                self.close(f"You no longer have permission to read from this Channel topic: {self.name}")
                return
            self.permissions = allowed
        self.caller, self.token = caller, token
        self.watch_expiry()


async def join(connection: Connection, message: Message) -> Channel:
    """The channel a `phx_join` asks for, not yet on its topic. Raises `Refused`."""
    embedded, config = connection.service.embedded, _at(message.payload, "config")
    token = _at(message.payload, "access_token")
    if not isinstance(token, str) or token.startswith("sb_"):
        token = connection.key
    caller = identify(embedded.tokens, token)
    if _at(config, "broadcast", "replay") is not None:
        raise Refused("Realtime was unable to replay messages", "UnableToReplayMessages")
    if _at(config, "broadcast", "persist"):
        raise Refused(NO_PERSIST)
    key = _at(config, "presence", "key")
    channel = Channel(
        connection,
        message.topic,
        message.join_ref or message.ref,
        caller,
        token,
        private=_flag(_at(config, "private")),
        acknowledges=_flag(_at(config, "broadcast", "ack")),
        hears_itself=_flag(_at(config, "broadcast", "self")),
        presence_enabled=_flag(_at(config, "presence", "enabled"), default=True),
        presence_key=key if isinstance(key, str) and key else str(uuid.uuid4()),
    )
    if channel.private:
        channel.permissions = await permissions(embedded.admin, caller, channel.name, connection.headers)
        if not channel.permissions.read:
            reason = f"You do not have permissions to read from this Channel topic: {channel.name}"
            raise Refused(reason, "Unauthorized")
    return channel


async def bind(channel: Channel, message: Message) -> tuple[list[dict[str, Any]], str | None]:
    """Subscribe the channel to the changes its join asks for.

    Returns what to reply and the reason why it failed, if it did: then nothing is subscribed.
    Raises `Refused` when the client asked to wait for the outcome.
    """
    config = _at(message.payload, "config")
    entries = _at(config, "postgres_changes")
    given = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    bindings: list[Binding] = []
    try:
        for entry in given:
            bindings.append(parse_binding(entry))
            await check_binding(bindings[-1], channel.caller, channel.service.embedded.authenticator)
    except Refused as error:
        if _at(config, "postgres_changes_options", "wait") is True:
            raise Refused(str(error), "RealtimeDisabledForConfiguration") from error
        # The list must match the client's, or it reports a mismatch instead of our reason.
        return [{**entry, "id": index + 1} for index, entry in enumerate(given)], str(error)
    channel.bindings = tuple(bindings)
    return [{**entry, "id": it.id} for entry, it in zip(given, bindings, strict=True)], None


def _at(given: Any, *path: str) -> Any:
    """What lies there in an object of objects; None where there is nothing, or no object on the way."""
    for name in path:
        given = given.get(name) if isinstance(given, dict) else None
    return given


def _flag(given: Any, *, default: bool = False) -> bool:
    """Clients in the wild send booleans as strings. Raises `Refused` for what is neither."""
    if given is None:
        return default
    if isinstance(given, str) and given.lower() in ("true", "false"):
        return given.lower() == "true"
    if isinstance(given, bool):
        return given
    raise Refused(f"{str(given)[:100]!r} is neither true nor false")
