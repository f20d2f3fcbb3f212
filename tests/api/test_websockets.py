"""The server's WebSocket: many small messages cost little, and nothing grows that nobody reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from soundscape.api.connections import MAX_QUEUED_MESSAGES, MAX_SMALL_BYTES, LimitedWebSocket
from soundscape.api.serve import listen, serving
from tests.waiting import LIMIT_S, eventually

Serve = Callable[[Callable[[WebSocket], Awaitable[None]]], AbstractAsyncContextManager[ClientConnection]]


@pytest.fixture
def serve() -> Serve:
    """Serves one function, and connects to it."""

    @asynccontextmanager
    async def begin(handle: Callable[[WebSocket], Awaitable[None]]) -> AsyncIterator[ClientConnection]:
        app = Starlette(routes=[WebSocketRoute("/", handle)])
        with listen("127.0.0.1", 0) as listener:
            async with serving(app, listener):
                url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
                async with connect(url, open_timeout=LIMIT_S, max_size=None) as client:
                    yield client

    return begin


async def read_to_end(client: ClientConnection) -> list[str | bytes]:
    messages: list[str | bytes] = []
    async with asyncio.timeout(LIMIT_S):
        try:
            while True:
                messages.append(await client.recv())
        except ConnectionClosed:
            return messages


@pytest.mark.parametrize("count", [1, 31, 32, 33, 1000])
async def test_messages_that_are_written_together_arrive_in_order_before_the_close(
    serve: Serve, count: int
) -> None:
    async def handle(websocket: WebSocket) -> None:
        await websocket.accept()
        for number in range(count):
            await websocket.send_text(f"{number}")
            if number % 3 == 0:
                await websocket.send_bytes(b"between")
        await websocket.close(4408, "enough")

    async with serve(handle) as client:
        messages = await read_to_end(client)
    texts = [message for message in messages if isinstance(message, str)]
    assert texts == [str(number) for number in range(count)]
    before = [messages[place - 1] for place, message in enumerate(messages) if message == b"between"]
    assert before == [str(number) for number in range(0, count, 3)]
    assert (client.close_code, client.close_reason) == (4408, "enough")


async def test_the_last_message_arrives_though_the_app_does_not_close(serve: Serve) -> None:
    async def handle(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("last")

    async with serve(handle) as client:
        assert await read_to_end(client) == ["last"]


async def test_one_message_is_not_kept_back_until_the_next(serve: Serve) -> None:
    async def handle(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    async with serve(handle) as client:
        for number in range(20):
            await client.send(f"{number}")
            async with asyncio.timeout(LIMIT_S):
                assert await client.recv() == f"{number}"


@pytest.mark.parametrize(
    ("size", "count", "max_queued"),
    [(100, 400, MAX_QUEUED_MESSAGES), (MAX_SMALL_BYTES + 1, 20, 1), (2 << 20, 20, 1)],
)
async def test_what_the_app_does_not_read_does_not_grow(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, size: int, count: int, max_queued: int
) -> None:
    """Nothing more is read from the connection once so many messages wait for the app.

    What one read brought may be several messages: all of them wait.
    """
    sockets: list[LimitedWebSocket] = []
    waiting: list[int] = []
    run_asgi, data_received = LimitedWebSocket.run_asgi, LimitedWebSocket.data_received

    async def note(self: LimitedWebSocket) -> None:
        sockets.append(self)
        await run_asgi(self)

    def count_waiting(self: LimitedWebSocket, data: bytes) -> None:
        if not self.close_sent:
            waiting.append(self.queue.qsize())
        data_received(self, data)

    monkeypatch.setattr(LimitedWebSocket, "run_asgi", note)
    monkeypatch.setattr(LimitedWebSocket, "data_received", count_waiting)
    may_read = asyncio.Event()
    received: list[int] = []

    async def handle(websocket: WebSocket) -> None:
        await websocket.accept()
        await may_read.wait()
        for _ in range(count):
            received.append(len(await websocket.receive_bytes()))
        await websocket.close()

    async with serve(handle) as client:

        async def send() -> None:
            for _ in range(count):
                await client.send(bytes(size))
                # One by one: a read would bring hundreds of small messages otherwise.
                await asyncio.sleep(0)

        sending = asyncio.create_task(send())
        await eventually(lambda: sockets and sockets[0].read_paused)
        may_read.set()
        async with asyncio.timeout(LIMIT_S):
            await sending
            await client.wait_closed()
    assert received == [size] * count
    assert len(waiting) > 2
    assert max(waiting) < max_queued


async def test_nothing_is_written_behind_a_close_frame(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server closes between a message and the moment when those that came together are written."""
    written: list[bytes] = []
    sockets: list[LimitedWebSocket] = []
    run_asgi = LimitedWebSocket.run_asgi

    async def note(self: LimitedWebSocket) -> None:
        sockets.append(self)
        await run_asgi(self)

    monkeypatch.setattr(LimitedWebSocket, "run_asgi", note)

    async def handle(websocket: WebSocket) -> None:
        await websocket.accept()
        socket = sockets[0]
        monkeypatch.setattr(socket, "transport", NotingTransport(socket.transport, written))
        await websocket.send_text("too late")
        socket.conn.send_close(1001)
        socket.transport.write(b"".join(socket.conn.data_to_send()))
        socket.close_sent = True

    async with serve(handle) as client:
        assert await read_to_end(client) == []
    assert len(written) == 1
    assert written[0][0] & 0x0F == 0x8


class NotingTransport:
    """A transport that notes what is written to it."""

    def __init__(self, transport: asyncio.Transport, written: list[bytes]) -> None:
        self._transport = transport
        self._written = written

    def write(self, data: bytes) -> None:
        self._written.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
