"""The doorbell under load: signed calls, and calls with a wrong signature, beside a bare FastAPI POST.

A worker as `soundscape worker` serves it, with its claim loop running, against an embedded Supabase in
another process: every accepted call wakes the loop, which claims in a transaction there. In the worker's
process, on the same port, stands a bare FastAPI app whose route reads the body and answers the same bytes,
and checks nothing. The three are asked in short turns by 32 keep-alive connections, so that whatever else the
machine does strikes all of them; a ratio is the median of those of neighbouring turns. CPU is that of the
worker's whole process by request, its claims included. The client writes requests that were signed beforehand
and looks for the end of each answer, nothing else; the share of one core it took is printed.

    python benchmarks/webhook.py [--seconds 0.25] [--rounds 40] [--connections 32] [--json]

Wanted: signed at least 0.30 of bare with a 99th percentile of at most 60 ms, rejected at least 0.8 of bare.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
import uvloop
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.applications import Starlette
from starlette.routing import Mount

from soundscape.api.app import build
from soundscape.cli.embedded_project import run_project
from soundscape.settings import Settings
from soundscape.telemetry import logs

WAYS = ("bare", "signed", "rejected")
PATHS = {"bare": "/bare/", "signed": "/api/webhooks/storage", "rejected": "/api/webhooks/storage"}
WANTED = {"signed": 0.30, "rejected": 0.8}
WANTED_P99_MS = 60.0
MAX_PER_SECOND = 15_000
BODY = b'{"type": "soundscape.queue", "timestamp": "2026-11-22T18:00:00+00:00"}'
_numbers = itertools.count()


async def serve_project(folder: str) -> None:
    """The embedded Supabase without a worker, until the process is ended."""
    async with run_project(Path(folder), port=0, durable=False, with_worker=False) as project:
        print(json.dumps(project.environment()), flush=True)
        await asyncio.Event().wait()


async def serve_worker() -> None:
    """The worker and the bare app on one port, until the process is ended."""
    worker, bare = build(Settings.from_environment()), FastAPI()

    @bare.post("/")
    async def accept(request: Request) -> JSONResponse:
        await request.body()
        return JSONResponse({"status": "accepted"}, status_code=202)

    @bare.get("/cpu")
    async def cpu() -> float:
        return time.process_time()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with worker.router.lifespan_context(worker):
            yield

    app = Starlette(routes=[Mount("/api", worker), Mount("/bare", bare)], lifespan=lifespan)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
        await asyncio.sleep(0.01)
    print(json.dumps({"port": server.servers[0].sockets[0].getsockname()[1]}), flush=True)
    await task


def requests_for(way: str, secret: str, count: int) -> list[bytes]:
    """That many requests, each with an id of its own, signed now."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    sent_at = str(int(time.time()))
    made = []
    for _ in range(count):
        message_id = f"msg_{next(_numbers):032x}"
        mac = hmac.digest(key, f"{message_id}.{sent_at}.".encode() + BODY, hashlib.sha256)
        if way == "rejected":
            mac = bytes(32)
        made.append(
            (
                f"POST {PATHS[way]} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"content-type: application/json\r\ncontent-length: {len(BODY)}\r\n"
                f"webhook-id: {message_id}\r\nwebhook-timestamp: {sent_at}\r\n"
                f"webhook-signature: v1,{base64.b64encode(mac).decode()}\r\n\r\n"
            ).encode()
            + BODY
        )
    return made


class Caller(asyncio.Protocol):
    """One connection: the next request as soon as the last answer is whole."""

    def __init__(
        self, requests: Iterator[bytes], expected: bytes, deadline: float, times: list[float]
    ) -> None:
        self._requests, self._expected, self._deadline, self._times = requests, expected, deadline, times
        self._answer = b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._began = time.perf_counter()
        request = next(self._requests, None) if self._began < self._deadline else None
        if request is None:
            self._transport.close()
            self.done.set_result(None)
            return
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, separator, body = self._answer.partition(b"\r\n\r\n")
        if not separator or len(body) < int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
            return
        if not head.startswith(self._expected):
            self.done.set_exception(RuntimeError(self._answer.decode()))
            self._transport.close()
            return
        self._answer = b""
        self._times.append(time.perf_counter() - self._began)
        self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or RuntimeError("the server hung up"))


async def ask(
    way: str, port: int, requests: list[bytes], *, seconds: float, connections: int
) -> tuple[float, list[float], float]:
    """Answers a second, the seconds of each, and the client's share of a core."""
    expected = b"HTTP/1.1 401" if way == "rejected" else b"HTTP/1.1 202"
    times: list[float] = []
    queue = iter(requests)
    loop = asyncio.get_running_loop()
    began, busy = time.perf_counter(), time.process_time()
    made = [
        await loop.create_connection(
            lambda: Caller(queue, expected, began + seconds, times), "127.0.0.1", port
        )
        for _ in range(connections)
    ]
    await asyncio.gather(*(caller.done for _, caller in made))
    took = time.perf_counter() - began
    return len(times) / took, times, (time.process_time() - busy) / took


async def measure(port: int, secret: str, options: argparse.Namespace) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        while (await client.get("/api/health/ready")).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        rates: dict[str, list[float]] = {way: [] for way in WAYS}
        times: dict[str, list[float]] = {way: [] for way in WAYS}
        cpu_us: dict[str, list[float]] = {way: [] for way in WAYS}
        shares = []
        for round_ in range(-4, options.rounds):
            for way in WAYS:
                requests = requests_for(way, secret, int(MAX_PER_SECOND * options.seconds))
                busy_before = (await client.get("/bare/cpu")).json()
                rate, took, share = await ask(
                    way, port, requests, seconds=options.seconds, connections=options.connections
                )
                busy = (await client.get("/bare/cpu")).json() - busy_before
                if round_ >= 0:
                    rates[way].append(rate)
                    times[way] += took
                    shares.append(share)
                    cpu_us[way].append(busy / len(took) * 1e6)
    return {
        "connections": options.connections,
        "load_before": round(options.load, 1),
        "client_share_of_a_core": round(statistics.median(shares), 2),
        "ways": {
            way: {
                "requests_per_s": round(statistics.median(rates[way])),
                "of_bare": round(
                    statistics.median(r / b for r, b in zip(rates[way], rates["bare"], strict=True)), 2
                ),
                "cpu_us": round(statistics.median(cpu_us[way])),
                "p50_ms": round(statistics.median(times[way]) * 1e3, 1),
                "p99_ms": round(statistics.quantiles(times[way], n=100)[98] * 1e3, 1),
            }
            for way in WAYS
        },
    }


@contextmanager
def started(*arguments: str, environment: dict[str, str] | None = None) -> Iterator[dict[str, Any]]:
    """This file in a process of its own; what it says first, as JSON."""
    process = subprocess.Popen(
        [sys.executable, __file__, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | (environment or {}),
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(30)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=0.25)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve-project", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--serve-worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve_project:
        asyncio.run(serve_project(options.serve_project))
        return 0
    if options.serve_worker:
        logs.configure(level="error")
        uvloop.run(serve_worker())
        return 0
    options.load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # Postgres's own uid passes through
        with (
            started("--serve-project", str(Path(folder) / "project")) as environment,
            started("--serve-worker", environment=environment) as server,
        ):
            found = uvloop.run(measure(server["port"], environment["SOUNDSCAPE_WEBHOOK_SECRET"], options))
    if options.json:
        print(json.dumps(found))
    else:
        print(f"{options.connections} connections, machine load {options.load:.1f} before")
        for way, figures in found["ways"].items():
            wanted = f"   (at least {WANTED[way]:.2f} is wanted)" if way in WANTED else ""
            print(
                f"  {way:9} {figures['requests_per_s']:6} requests/s  p50 {figures['p50_ms']:6.1f} ms  "
                f"p99 {figures['p99_ms']:6.1f} ms  {figures['cpu_us']:4} µs of CPU  "
                f"{figures['of_bare']:5.2f} of bare{wanted}"
            )
        print(f"the client took {found['client_share_of_a_core']:.0%} of a core")
    ways = found["ways"]
    good = all(ways[way]["of_bare"] >= ratio for way, ratio in WANTED.items())
    return 0 if good and ways["signed"]["p99_ms"] <= WANTED_P99_MS else 1


if __name__ == "__main__":
    sys.exit(main())
