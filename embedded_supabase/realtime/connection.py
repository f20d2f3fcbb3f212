"""One websocket: the channels of a client, what it sends, and when it is dropped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import replace
from typing import Any

import psycopg
import structlog
from starlette.exceptions import WebSocketException
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect

from embedded_supabase.realtime.authorization import ErrorReply, identify, read_permissions
from embedded_supabase.realtime.channel import Channel
from embedded_supabase.realtime.join import NO_PERSIST, bind, open_channel
from embedded_supabase.realtime.send_queue import SendQueue
from embedded_supabase.realtime.serializer import MalformedFrame, Message, Serializer, UserBroadcast
from embedded_supabase.realtime.service import Service

CLOSE_S = 2.0
UNSUPPORTED, TOO_BIG, GOING_AWAY = 1003, 1009, 1001

log = structlog.get_logger("embedded_supabase.realtime")


class Connection:
    """A client from handshake to close."""

    def __init__(self, websocket: WebSocket, serializer: Serializer, service: Service, key: str) -> None:
        self._queue = SendQueue(serializer, service.limits.queue_bytes)
        self._service = service
        self._key = key
        self._headers = policy_headers(websocket)
        self._websocket = websocket
        self._channels: dict[str, Channel] = {}

    async def serve(self) -> None:
        """Until the client goes or is dropped. Never raises for what a client sends."""
        tasks = [asyncio.ensure_future(it) for it in (self._read(), self._write(), self._queue.overflow)]
        code, reason = GOING_AWAY, ""
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except WebSocketException as dropped:
            code, reason = dropped.code, dropped.reason
            log.info("realtime.dropped", reason=reason)
        except (WebSocketDisconnect, RuntimeError, OSError):
            return  # the client is gone
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for channel in list(self._channels.values()):
                self._close(channel)
        with contextlib.suppress(TimeoutError, RuntimeError, OSError, WebSocketDisconnect):
            async with asyncio.timeout(CLOSE_S):
                await self._websocket.close(code, reason)

    async def _write(self) -> None:
        while True:
            frame = await self._queue.take()
            if isinstance(frame, str):
                await self._websocket.send_text(frame)
            else:
                await self._websocket.send_bytes(frame)
            self._queue.release(frame)

    async def _read(self) -> None:
        limits = self._service.limits
        while True:
            try:
                async with asyncio.timeout(limits.idle_s):
                    received = await self._websocket.receive()
            except TimeoutError as error:
                raise WebSocketException(GOING_AWAY, "no heartbeat") from error
            if received["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(received.get("code") or GOING_AWAY)
            frame = received.get("text") if received.get("text") is not None else received.get("bytes")
            if frame is None or len(frame) > limits.frame_bytes:
                raise WebSocketException(TOO_BIG, "frame too large")
            try:
                message = self._queue.serializer.decode(frame)
            except MalformedFrame as error:
                raise WebSocketException(UNSUPPORTED, f"malformed frame: {error}") from error
            try:
                await self._handle(message)
            except ErrorReply as refused:
                self._queue.reply(message, "error", {"reason": str(refused)})

    # -- joining and leaving --------------------------------------------------------------------

    async def _handle(self, message: Message) -> None:
        channel = self._channels.get(message.topic)
        if message.topic == "phoenix":
            if message.event == "heartbeat":
                self._queue.reply(message, "ok", {})
        elif message.event == "phx_join":
            await self._join(message)
        elif channel is not None and message.join_ref not in (None, channel.join_ref):
            return  # meant for an earlier join of the topic
        elif message.event == "phx_leave":
            self._queue.reply(message, "ok", {})
            if channel is not None:
                self._close(channel)
        elif channel is None:
            raise ErrorReply("unmatched topic")
        elif await self._receive(channel, message):
            self._queue.reply(message, "ok", {})

    async def _join(self, message: Message) -> None:
        """A second join of a topic replaces the first."""
        if message.topic == "realtime:":
            raise ErrorReply("You must provide a topic name", "TopicNameRequired")
        if not message.topic.startswith("realtime:"):
            raise ErrorReply("unmatched topic")
        existing, embedded = self._channels.get(message.topic), self._service.embedded
        if existing is not None:
            self._close(existing)
        elif len(self._channels) >= self._service.limits.channels:
            raise ErrorReply("Too many channels", "ChannelRateLimitReached")
        try:
            channel = await open_channel(embedded, message, self._queue, key=self._key, headers=self._headers)
            bindings, failure = await bind(channel, message, embedded.authenticator)
            channel.since_lsn = await self._service.feed.read_position()
        except (psycopg.Error, TimeoutError) as error:
            log.warning("realtime.join_failed", error=str(error).strip())
            reason = "Realtime was unable to connect to the project database"
            raise ErrorReply(reason, "UnableToConnectToProject") from error
        self._channels[message.topic] = channel
        self._service.hub.add(channel)
        self._service.feed.wake()
        self._queue.reply(message, "ok", {"postgres_changes": bindings})
        if failure is not None:
            channel.push_system("postgres_changes", "error", failure)
        elif channel.bindings:
            channel.push_system("postgres_changes", "ok", "Subscribed to PostgreSQL")
        self._push_presence_state(channel)
        self._watch_expiry(channel)

    def _close(self, channel: Channel, message: str | None = None) -> None:
        """Leave the topic; with a message, say first what went wrong."""
        if message is not None:
            channel.push_system("system", "error", message)
        if channel.expiry is not None:
            channel.expiry.cancel()
        if self._channels.get(channel.topic) is channel:
            del self._channels[channel.topic]
        self._service.hub.remove(channel)
        self._queue.send(Message(channel.topic, "phx_close", {}, channel.join_ref, channel.join_ref))

    def _watch_expiry(self, channel: Channel) -> None:
        """Close when the token expires, unless it is refreshed before. The project's keys never expire."""
        if channel.expiry is not None:
            channel.expiry.cancel()
        expires = channel.caller.claims.get("exp")
        if isinstance(expires, int | float):
            loop, left_s = asyncio.get_running_loop(), expires - time.time()
            channel.expiry = loop.call_later(left_s, self._close, channel, "Token has expired")

    def _push_presence_state(self, channel: Channel) -> None:
        if channel.gets_presence:
            state = self._service.hub.read_presence(channel.key)
            channel.push("presence_state", state, join_ref=channel.join_ref)

    # -- what a client sends on a channel -------------------------------------------------------

    async def _receive(self, channel: Channel, message: Message) -> bool:
        """Whether it is to be acknowledged. Raises `Refused`."""
        match message.event:
            case "broadcast":
                return self._broadcast(channel, message)
            case "presence":
                self._track(channel, message)
                return True
            case "access_token":
                await self._refresh(channel, message.get("access_token"))
                return False
            case event:
                raise ErrorReply(f"Unknown event: {event}")

    def _broadcast(self, channel: Channel, message: Message) -> bool:
        if "broadcast" not in channel.permissions.write:
            return False  # as the real service does; an acknowledgement would be a lie
        payload = message.payload
        if isinstance(payload, UserBroadcast):
            if payload.meta.get("persist"):
                raise ErrorReply(NO_PERSIST)
            self._check_size(len(payload.payload), "Payload")
            payload = replace(payload, meta={})
        else:
            if not isinstance(payload.get("event"), str):
                raise ErrorReply("A broadcast needs an event")
            if payload.get("persist"):
                raise ErrorReply(NO_PERSIST)
            self._check_size(len(json.dumps(payload)), "Payload")
        sender = None if channel.sends_to_itself else channel
        self._service.hub.broadcast(channel.key, payload, sender=sender)
        return channel.acknowledges

    def _track(self, channel: Channel, message: Message) -> None:
        event, payload = str(message.get("event")).lower(), message.get("payload") or {}
        if event == "untrack":
            self._service.hub.untrack(channel)
            return
        if event != "track":
            raise ErrorReply("Unknown presence event")
        if not isinstance(payload, dict):
            raise ErrorReply("Presence track payload must be a map")
        if "presence" not in channel.permissions.write:
            raise ErrorReply("You do not have permissions to track presence")
        self._check_size(len(json.dumps(payload)), "Track message")
        self._service.hub.track(channel, payload)
        if not channel.presence_enabled:
            channel.presence_enabled = True
            self._push_presence_state(channel)

    def _check_size(self, size_bytes: int, what: str) -> None:
        if size_bytes > self._service.limits.payload_bytes:
            raise ErrorReply(f"{what} size exceeded")

    async def _refresh(self, channel: Channel, token: Any) -> None:
        """Take a new token: read again who the caller is and what the policies allow."""
        if not isinstance(token, str) or token == channel.token or token.startswith("sb_"):
            return
        embedded = self._service.embedded
        try:
            caller = identify(embedded.tokens, token)
        except ErrorReply as refused:
            self._close(channel, refused.message)
            return
        if channel.private:
            allowed = await read_permissions(embedded.admin, caller, channel.name, self._headers)
            if channel.permissions.read - allowed.read:
                reason = f"You no longer have permission to read from this Channel topic: {channel.name}"
                self._close(channel, reason)
                return
            channel.permissions = allowed
        channel.caller, channel.token = caller, token
        self._watch_expiry(channel)


def policy_headers(asked: HTTPConnection) -> str:
    """The headers that policies see, as a JSON object."""
    return json.dumps({name: value for name, value in asked.headers.items() if name.startswith("x-")})
