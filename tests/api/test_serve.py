"""The server under callers that hold on to it, over real sockets."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
import yaml
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from soundscape.api import connections, errors, serve
from soundscape.api.body import BodyReader, BodyTooSlow
from soundscape.api.serve import listen, serving, stop
from soundscape.live import sessions
from soundscape.settings import Settings
from soundscape.worker import delivery, fitting
from soundscape.worker import worker as worker_module
from soundscape.worker.worker import Worker
from tests.waiting import LIMIT_S

INFRA = Path(__file__).parents[2] / "infra"
HELLO = b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n"
SLOW_BODY = b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
LARGE_BODY_BYTES = 5_000_000
HOLDERS = 200
DESCRIPTORS_MORE = 90
"""Beyond those open already; both ends of a connection are in this process, so holders are another one's."""


async def hello(_: Request) -> Response:
    return PlainTextResponse("hello")


async def body(request: Request) -> Response:
    try:
        return PlainTextResponse(f"{len(await BodyReader().read(request, max_bytes=2000, timeout_s=0.5))}")
    except BodyTooSlow as refused:
        return errors.make_error_response(refused)


async def echo(called: WebSocket) -> None:
    await called.accept()
    async for text in called.iter_text():
        await called.send_text(text)


@asynccontextmanager
async def server() -> AsyncIterator[int]:
    app = Starlette(
        routes=[Route("/hello", hello), Route("/body", body, methods=["POST"]), WebSocketRoute("/echo", echo)]
    )
    with listen("127.0.0.1", 0) as listener:
        async with serving(app, listener):
            yield listener.getsockname()[1]


@pytest.fixture
def short_heads(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.8)
    return 0.8


@pytest.fixture
def long_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection is closed because its head takes long."""
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 2 * LIMIT_S)


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What still came until the server hung up."""
    came = b""
    async with asyncio.timeout(LIMIT_S):
        # Piece by piece: what came before a reset is kept.
        with suppress(ConnectionError):
            while piece := await reader.read(1 << 16):
                came += piece
    return came


async def dribble(writer: asyncio.StreamWriter, text: bytes) -> None:
    try:
        while True:
            writer.write(text)
            await asyncio.sleep(0.05)
    except ConnectionError:
        pass


@pytest.mark.parametrize(
    ("first", "dribbled"),
    [
        (b"", b""),
        (b"GET /hello HTTP/1.1\r\nx", b"x"),
        (b"GET /hello HTTP/1.1\r\n", b"a: b\r\n"),
        # The answer is there before the body, which nobody wants and which never ends.
        (b"GET /hello HTTP/1.1\r\ncontent-length: 100000\r\n\r\n", b"x"),
        (b"GET /hello HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", b"2000\r\n" + b"x" * 0x2000 + b"\r\n"),
        (HELLO + b"GET /hello HTTP/1.1\r\n", b"a: b\r\n"),
    ],
)
async def test_a_head_that_never_ends(short_heads: float, first: bytes, dribbled: bytes) -> None:
    async with server() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(first)
        dribbling = asyncio.create_task(dribble(writer, dribbled))
        answer = await ended(reader)
        assert answer.startswith(b"HTTP/1.1 200") == (b"\r\n\r\n" in first)
        dribbling.cancel()
        writer.close()


@pytest.mark.usefixtures("long_heads")
async def test_a_head_without_end_of_bytes() -> None:
    async with server() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /hello HTTP/1.1\r\nx: " + b"x" * (connections.MAX_HEAD_BYTES + 10))
        assert await ended(reader) == b""
        writer.close()


@pytest.mark.parametrize("framing", [f"content-length: {LARGE_BODY_BYTES}", "transfer-encoding: chunked"])
async def test_an_answer_before_the_body_is_there_to_be_read(framing: str) -> None:
    """As a refused upload has it: the client sends all of it first, then reads, then asks again."""
    body = b"x" * LARGE_BODY_BYTES
    if "chunked" in framing:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    async with server() as port, asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /hello HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n".encode())
        await asyncio.sleep(0.1)
        writer.write(body)
        await writer.drain()
        for _ in range(2):
            assert b"200" in await reader.readuntil(b"hello")
            writer.write(HELLO)
        writer.close()


async def test_a_slow_body_is_refused() -> None:
    async with server() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(SLOW_BODY)
        dribbling = asyncio.create_task(dribble(writer, b"x"))
        answer = await ended(reader)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b'"body_too_slow"' in answer
        dribbling.cancel()
        writer.close()


async def test_whoever_speaks_in_time_is_left_alone(short_heads: float) -> None:
    """Connections that stay open between requests, and WebSockets, outlive the deadline of a head."""
    async with server() as port, connect(f"ws://127.0.0.1:{port}/echo") as socket:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(HELLO)
            assert b"200" in await reader.readuntil(b"hello")
            await asyncio.sleep(2 * short_heads)
        await socket.send("still here")
        assert await socket.recv() == "still here"
        writer.close()


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    is_open = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (is_open + DESCRIPTORS_MORE, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


HOLD = """
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000))
held = []
for _ in range(int(sys.argv[2])):
    held.append(socket.create_connection(("127.0.0.1", int(sys.argv[1]))))
    held[-1].send(bytes.fromhex(sys.argv[3]))
print("held", flush=True)
while True:
    time.sleep(0.2)
    for each in held:
        try:
            each.send(b"x")
        except OSError:
            pass
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="reads /proc")
@pytest.mark.parametrize("sent", [b"", b"GET /hello HTTP/1.1\r\nx", SLOW_BODY])
@pytest.mark.usefixtures("few_descriptors", "long_heads")
async def test_holders_do_not_keep_others_out(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """More of them than there are descriptors: others are answered, and nothing is short of a descriptor."""
    async with server() as port, AsyncExitStack() as opened:
        holder = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLD, str(port), str(HOLDERS), sent.hex(), stdout=asyncio.subprocess.PIPE
        )
        opened.callback(holder.kill)
        assert holder.stdout is not None
        async with asyncio.timeout(LIMIT_S):
            assert await holder.stdout.readline() == b"held\n"
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HELLO)
            async with asyncio.timeout(LIMIT_S):
                assert b"200" in await reader.readuntil(b"hello")
            writer.close()
        assert not [record for record in caplog.records if "accept" in record.getMessage()]
        with open(os.devnull):
            pass


def test_a_body_does_not_wait_for_its_head_to_be_acknowledged() -> None:
    """Nagle's algorithm is off on the connections, and not on the listener alone."""
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


async def test_a_client_whose_sound_is_not_read_for_a_while_is_not_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its pong would wait behind its own sound. The intervals are those of a test, if there are any."""
    config = serve.uvicorn.Config
    monkeypatch.setattr(
        serve.uvicorn,
        "Config",
        lambda app, **more: config(app, **({"ws_ping_interval": 0.1, "ws_ping_timeout": 0.1} | more)),
    )
    count, message = 40, b"x" * 1_000_000
    may_read = asyncio.Event()

    async def pause(called: WebSocket) -> None:
        await called.accept()
        await may_read.wait()
        received = 0
        while received < count:
            await called.receive_bytes()
            received += 1
        await called.send_text("all")

    app = Starlette(routes=[WebSocketRoute("/pause", pause)])
    with listen("127.0.0.1", 0) as listener:
        address = f"ws://127.0.0.1:{listener.getsockname()[1]}/pause"
        async with serving(app, listener), connect(address, ping_interval=None) as client:

            async def send() -> None:
                for _ in range(count):
                    await client.send(message)

            sending = asyncio.create_task(send())
            # Several times as long as a pong would be waited for.
            await asyncio.sleep(1)
            assert not sending.done()
            may_read.set()
            async with asyncio.timeout(LIMIT_S):
                await sending
                assert await client.recv() == "all"


class Stopping:
    """Live sessions that still upload, and what a worker gives up."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.uploaded = asyncio.Event()
        self.asked = asyncio.Event()

    async def stop(self) -> None:
        self.asked.set()
        await self.uploaded.wait()
        self.order.append("uploaded")

    async def close(self) -> None:
        self.order.append("folder given up")


async def test_a_worker_claims_no_more_while_live_sessions_upload() -> None:
    settings = Settings.model_construct(poll_max_s=15.0, smtp_url=None)
    worker, live = Worker(settings), Stopping()
    worker._resources.push_async_callback(live.close)
    app = FastAPI()
    app.state.worker, app.state.sessions = worker, live
    stopping = asyncio.create_task(stop(app))
    async with asyncio.timeout(LIMIT_S):
        await live.asked.wait()
        assert worker.stopping
        assert live.order == []
        live.uploaded.set()
        await stopping
    assert live.order == ["uploaded", "folder given up"]


async def test_a_second_signal_ends_uploads_too() -> None:
    worker, live = Worker(Settings.model_construct(poll_max_s=15.0, smtp_url=None)), Stopping()
    worker._resources.push_async_callback(live.close)
    app = FastAPI()
    app.state.worker, app.state.sessions = worker, live
    stopping = asyncio.create_task(stop(app))
    async with asyncio.timeout(LIMIT_S):
        await live.asked.wait()
        stopping.cancel()
        with suppress(asyncio.CancelledError):
            await stopping
    assert live.order == ["folder given up"]


def test_orchestrators_wait_as_long_as_a_worker_may_take() -> None:
    jobs_s = worker_module.CLAIM_GRACE_S + worker_module.STOP_GRACE_S
    needed_s = max(jobs_s, sessions.STOP_GRACE_S) + delivery.STOP_GRACE_S + fitting.STOP_GRACE_S
    deployment = yaml.safe_load((INFRA / "kubernetes/base/deployment.yaml").read_text())
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= needed_s
    compose = yaml.safe_load((INFRA / "docker/compose.yaml").read_text())
    waits = compose["services"]["worker"]["stop_grace_period"]
    assert float(waits.removesuffix("s")) >= needed_s
