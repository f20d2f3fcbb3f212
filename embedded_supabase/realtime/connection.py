"""One websocket: its channels, what waits to be sent to it, and when it is dropped."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import psycopg
import structlog
from starlette.exceptions import WebSocketException
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect

from embedded_supabase.realtime.authorization import Refused
from embedded_supabase.realtime.channel import Channel, bind, join
from embedded_supabase.realtime.serializer import MalformedFrame, Message, Serializer

if TYPE_CHECKING:
    from embedded_supabase.realtime.app import Service

CLOSE_S = 2.0
UNSUPPORTED, TOO_BIG, TRY_LATER, GOING_AWAY = 1003, 1009, 1013, 1001

log = structlog.get_logger("embedded_supabase.realtime")


class Connection:
    """A client from handshake to close."""

    def __init__(self, websocket: WebSocket, serializer: Serializer, service: Service, key: str) -> None:
        self.serializer = serializer
        self.service = service
        self.key = key
        self.headers = policy_headers(websocket)
        self._limits = service.limits
        self._websocket = websocket
        self._channels: dict[str, Channel] = {}
        self._waiting: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._waiting_bytes = 0
        self._dropped: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # -- sending --------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        self.send_frame(self.serializer.encode(message))

    def send_frame(self, frame: str | bytes | None) -> None:
        """Queue a frame. A client for whom too much waits is dropped: memory must not grow for it."""
        if frame is None or self._dropped.done():
            return
        self._waiting.put_nowait(frame)
        self._waiting_bytes += len(frame)
        if self._waiting_bytes > self._limits.queue_bytes:
            self._dropped.set_exception(WebSocketException(TRY_LATER, "too slow"))

    def reply(self, message: Message, status: str, response: dict[str, Any]) -> None:
        payload = {"status": status, "response": response}
        self.send(Message(message.topic, "phx_reply", payload, message.ref, message.join_ref))

    def forget(self, channel: Channel) -> None:
        if self._channels.get(channel.topic) is channel:
            del self._channels[channel.topic]
        self.service.hub.remove(channel)

    # -- life -----------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Until the client goes or is dropped. Never raises for what a client sends."""
        tasks = [asyncio.ensure_future(it) for it in (self._read(), self._write(), self._dropped)]
        code, reason = GOING_AWAY, ""
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except WebSocketException as dropped:
            code, reason = dropped.code, dropped.reason
            log.info("realtime.dropped", reason=reason)
        except (WebSocketDisconnect, RuntimeError, OSError):
            return  # the client is gone; there is nobody to tell
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for channel in list(self._channels.values()):
                channel.close()
        with contextlib.suppress(TimeoutError, RuntimeError, OSError, WebSocketDisconnect):
            await asyncio.wait_for(self._websocket.close(code, reason), CLOSE_S)

    async def _write(self) -> None:
        while True:
            frame = await self._waiting.get()
            if isinstance(frame, str):
                await self._websocket.send_text(frame)
            else:
                await self._websocket.send_bytes(frame)
            self._waiting_bytes -= len(frame)

    async def _read(self) -> None:
        while True:
            try:
                received = await asyncio.wait_for(self._websocket.receive(), self._limits.idle_s)
            except TimeoutError as error:
                raise WebSocketException(GOING_AWAY, "no heartbeat") from error
            if received["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(received.get("code") or GOING_AWAY)
            frame = received.get("text") if received.get("text") is not None else received.get("bytes")
            if frame is None or len(frame) > self._limits.frame_bytes:
                raise WebSocketException(TOO_BIG, "frame too large")
            try:
                message = self.serializer.decode(frame)
            except MalformedFrame as error:
                raise WebSocketException(UNSUPPORTED, f"malformed frame: {error}") from error
            try:
                await self._handle(message)
            except Refused as refused:
                self.reply(message, "error", {"reason": str(refused)})

    # -- what the client sends ------------------------------------------------------------------

    async def _handle(self, message: Message) -> None:
        channel = self._channels.get(message.topic)
        if message.topic == "phoenix":
            if message.event == "heartbeat":
                self.reply(message, "ok", {})
        elif message.event == "phx_join":
            await self._join(message)
        elif channel is not None and message.join_ref not in (None, channel.join_ref):
            return  # meant for an earlier join of the topic
        elif message.event == "phx_leave":
            self.reply(message, "ok", {})
            if channel is not None:
                channel.close()
        elif channel is None:
            raise Refused("unmatched topic")
        elif await channel.receive(message):
            self.reply(message, "ok", {})

    async def _join(self, message: Message) -> None:
        """A second join of a topic replaces the first."""
        if message.topic == "realtime:":
            raise Refused("You must provide a topic name", "TopicNameRequired")
        if not message.topic.startswith("realtime:"):
            raise Refused("unmatched topic")
        existing = self._channels.get(message.topic)
        if existing is not None:
            existing.close()
        elif len(self._channels) >= self._limits.channels:
            raise Refused("Too many channels", "ChannelRateLimitReached")
        try:
            channel = await join(self, message)
            bindings, failure = await bind(channel, message)
            channel.since_lsn = await self.service.feed.position()
        except (psycopg.Error, TimeoutError) as error:
            log.warning("realtime.join_failed", error=str(error).strip())
            reason = "Realtime was unable to connect to the project database"
            raise Refused(reason, "UnableToConnectToProject") from error
        self._channels[message.topic] = channel
        self.service.hub.add(channel)
        self.service.feed.wake()
        self.reply(message, "ok", {"postgres_changes": bindings})
        if failure is not None:
            channel.system("postgres_changes", "error", failure)
        elif channel.bindings:
            channel.system("postgres_changes", "ok", "Subscribed to PostgreSQL")
        channel.send_presence_state()
        channel.watch_expiry()


def policy_headers(asked: HTTPConnection) -> str:
    """The headers that policies see, as a JSON object."""
    return json.dumps({name: value for name, value in asked.headers.items() if name.startswith("x-")})
