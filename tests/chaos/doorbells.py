"""A bad network between the database and the workers: loses doorbells, doubles them, changes their order."""

from __future__ import annotations

import asyncio
import random
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.servers import find_port, make_server
from tests.waiting import LIMIT_S

PATH = "/api/webhooks/storage"
TRUST = ssl.create_default_context()
"""Made once: reading it takes longer than ringing."""


@dataclass
class Doorbells:
    """Takes every ring in the workers' stead and does with it what its shares say."""

    ports: Callable[[], Sequence[int]]
    """Where workers listen at the moment."""
    dropped_share: float
    doubled_share: float
    longest_delay_s: float
    chance: random.Random
    url: str = ""
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("rung", "dropped", "doubled", "answered", "unanswered"), 0)
    )

    async def take(self, request: Request) -> Response:
        body = await request.body()
        headers = {name: value for name, value in request.headers.items() if name not in ("host",)}
        self.counts["rung"] += 1
        lot = self.chance.random()
        if lot < self.dropped_share:
            self.counts["dropped"] += 1
            return Response(status_code=202)
        doubled = lot < self.dropped_share + self.doubled_share
        self.counts["doubled"] += doubled

        async def pass_on() -> None:
            await asyncio.gather(*(self._ring(body, headers) for _ in range(1 + doubled)))

        return Response(status_code=202, background=BackgroundTask(pass_on))

    async def _ring(self, body: bytes, headers: dict[str, str]) -> None:
        # Each waits for a time of its own: they arrive in another order than they left.
        await asyncio.sleep(self.chance.random() * self.longest_delay_s)
        ports = self.ports()
        if not ports:
            self.counts["unanswered"] += 1
            return
        async with httpx.AsyncClient(verify=TRUST) as client:
            try:
                await client.post(
                    f"http://127.0.0.1:{self.chance.choice(ports)}{PATH}", content=body, headers=headers
                )
                self.counts["answered"] += 1
            except httpx.HTTPError:
                self.counts["unanswered"] += 1  # killed a moment ago, or not up yet

    @contextmanager
    def served(self) -> Iterator[None]:
        """Listen on a free port until the block ends; `url` says where."""
        app = Starlette(routes=[Route(PATH, self.take, methods=["POST"])])
        server = make_server(app)
        thread = threading.Thread(target=server.run, name="doorbells")
        thread.start()
        try:
            while not server.started:
                threading.Event().wait(0.01)
            self.url = f"http://127.0.0.1:{find_port(server)}"
            yield
        finally:
            server.should_exit = True
            thread.join(timeout=LIMIT_S)
