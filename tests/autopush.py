"""The side of a push service that Firefox speaks to. `tests/push_service.py` is the side of the senders."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import websockets
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from tests.push_service import PushService, encode

PREFERENCES: dict[str, str | bool | int] = {
    "dom.push.testing.allowInsecureServerURL": True,
    "dom.push.testing.ignorePermission": True,
    "permissions.default.desktop-notification": 1,
}
"""Firefox's, besides `dom.push.serverURL`."""
DELIVERED = 100
"""Its code for what it decrypted and gave to a service worker."""


@dataclass
class Autopush:
    """The side of the push service that Firefox speaks to
    (https://mozilla-push-service.readthedocs.io/en/latest/design/)."""

    service: PushService
    has_greeted: threading.Event
    greetings: int = 0
    channels: dict[str, str] = field(default_factory=dict)
    """By the path of an endpoint."""
    connection: ServerConnection | None = None
    bodies: list[bytes] = field(default_factory=list)
    """What the push service took."""
    acknowledged: list[str] = field(default_factory=list)
    """The versions of what Firefox decrypted and gave to a service worker."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Pass on what the push service takes, until the block ends; yields the address for Firefox."""
        loop = asyncio.get_running_loop()

        def relay(path: str, body: bytes) -> None:
            asyncio.run_coroutine_threadsafe(self.deliver(path, body), loop)

        self.service.relay = relay
        protocols = [Subprotocol("push-notification")]
        async with serve(self.speak, "127.0.0.1", 0, subprotocols=protocols) as server:
            yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"

    async def speak(self, connection: ServerConnection) -> None:
        self.connection = connection
        try:
            async for text in connection:
                message = json.loads(text)
                if message == {}:
                    await connection.send("{}")
                elif message["messageType"] == "hello":
                    uaid = message.get("uaid") or uuid4().hex
                    answer: dict[str, Any] = {
                        "status": 200,
                        "uaid": uaid,
                        "use_webpush": True,
                        "broadcasts": {},
                    }
                    await self._send(connection, "hello", **answer)
                    self.greetings += 1
                    self.has_greeted.set()
                elif message["messageType"] == "register":
                    path = f"/push/{uuid4().hex}"
                    self.channels[path] = message["channelID"]
                    address = {"channelID": message["channelID"], "pushEndpoint": self.service.origin + path}
                    await self._send(connection, "register", status=200, **address)
                elif message["messageType"] == "unregister":
                    channel = message["channelID"]
                    self.channels = {path: kept for path, kept in self.channels.items() if kept != channel}
                    await self._send(connection, "unregister", status=200, channelID=channel)
                elif message["messageType"] == "ack":
                    updates = [update for update in message["updates"] if update["code"] == DELIVERED]
                    self.acknowledged += [update["version"] for update in updates]
        except websockets.ConnectionClosed:
            return

    async def deliver(self, path: str, body: bytes) -> None:
        assert self.connection is not None
        self.bodies.append(body)
        await self._send(
            self.connection,
            "notification",
            channelID=self.channels[path],
            version=uuid4().hex,
            data=encode(body),
            headers={"encoding": "aes128gcm"},
        )

    async def _send(self, connection: ServerConnection, kind: str, **fields: Any) -> None:
        await connection.send(json.dumps({"messageType": kind, **fields}))
