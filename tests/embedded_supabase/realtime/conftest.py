"""The realtime service alone, on a real cluster, served by uvicorn in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import uvicorn
import websockets
from starlette.applications import Starlette
from starlette.routing import Mount

from embedded_supabase.config import Config
from embedded_supabase.embedded import EmbeddedSupabase, open_embedded
from embedded_supabase.keys import Keys
from embedded_supabase.postgres import Postgres
from embedded_supabase.realtime import app as realtime
from embedded_supabase.realtime.service import Service, open_service
from embedded_supabase.tokens import Tokens
from tests.servers import make_server
from tests.waiting import LIMIT_S

SCHEMA = Path(__file__).with_name("fixture.sql").read_bytes()


@dataclass
class Server:
    url: str
    keys: Keys
    tokens: Tokens
    postgres: Postgres
    service: Service
    loop: asyncio.AbstractEventLoop

    def token(self, user: str, *, lives_s: float = 600, role: str = "authenticated", **claims: Any) -> str:
        now = int(time.time())
        return self.tokens.mint({
            "sub": user, "role": role, "iss": self.tokens.issuer, "aud": "authenticated",
            "iat": now, "exp": now + int(lives_s), **claims,
        })  # fmt: skip

    def sql(self, query: str, *params: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.postgres.dsn("supabase_admin"), autocommit=True) as connection:
            cursor = connection.execute(query, params)
            return cursor.fetchall() if cursor.description else []

    @contextlib.asynccontextmanager
    async def connect(
        self, vsn: str = "1.0.0", key: str | None = None, headers: dict[str, str] | None = None
    ) -> AsyncIterator[Client]:
        address = self.url.replace("http", "ws") + "/realtime/v1/websocket"
        key = self.keys.publishable_key if key is None else key
        url = f"{address}?apikey={key}&vsn={vsn}"
        async with websockets.connect(
            url, max_size=None, additional_headers=headers, open_timeout=LIMIT_S, ping_timeout=LIMIT_S
        ) as socket:
            yield Client(socket, vsn)


@pytest.fixture(scope="session")
def server(platform: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with psycopg.connect(platform.dsn("postgres")) as connection:
        connection.execute(SCHEMA)
    keys = Keys.make()
    started: Future[Server] = Future()
    loop = asyncio.new_event_loop()
    web: list[uvicorn.Server] = []

    async def serve() -> None:
        async with open_embedded(
            data_dir=tmp_path_factory.mktemp("realtime"),
            url="http://127.0.0.1",
            keys=keys,
            config=Config({}),
            postgres=platform,
        ) as embedded:
            await _serve(embedded, started, loop, web)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        yield started.result(timeout=LIMIT_S)
    finally:
        web[0].should_exit = True
        thread.join(LIMIT_S)
        loop.close()


async def _serve(
    embedded: EmbeddedSupabase,
    started: Future[Server],
    loop: asyncio.AbstractEventLoop,
    web: list[uvicorn.Server],
) -> None:
    app = Starlette(routes=[Mount("/realtime/v1", realtime.build(embedded))])
    background = asyncio.create_task(realtime.run(embedded))
    listener = socket.create_server(("127.0.0.1", 0))
    web.append(make_server(app))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    started.set_result(
        Server(url, embedded.keys, embedded.tokens, embedded.postgres, open_service(embedded), loop)
    )
    await web[0].serve(sockets=[listener])
    background.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await background


class Client:
    """A raw websocket speaking one of the two protocol versions."""

    def __init__(self, socket: websockets.ClientConnection, vsn: str) -> None:
        self.socket = socket
        self.vsn = vsn
        self._ref = 0

    async def send(self, topic: str, event: str, payload: Any, *, join_ref: str | None = None) -> str:
        self._ref += 1
        ref = str(self._ref)
        frame = (
            {"topic": topic, "event": event, "payload": payload, "ref": ref, "join_ref": join_ref}
            if self.vsn == "1.0.0"
            else [join_ref, ref, topic, event, payload]
        )
        await self.socket.send(json.dumps(frame))
        return ref

    async def receive(self, timeout_s: float = LIMIT_S) -> dict[str, Any]:
        frame = await asyncio.wait_for(self.socket.recv(), timeout_s)
        if isinstance(frame, bytes):
            return {"binary": frame}
        found = json.loads(frame)
        if isinstance(found, list):
            return dict(zip(("join_ref", "ref", "topic", "event", "payload"), found, strict=True))
        return dict(found)

    async def until(self, event: str) -> dict[str, Any]:
        """The next message of that event; others before it are passed over."""
        async with asyncio.timeout(LIMIT_S):
            while (found := await self.receive()).get("event") != event:
                pass
            return found

    async def silence(self, seconds: float = 0.3) -> None:
        """Fails when anything arrives."""
        with contextlib.suppress(TimeoutError):
            pytest.fail(f"unexpected {await self.receive(seconds)}")

    async def join(
        self,
        name: str,
        *,
        token: str | None = None,
        changes: list[dict[str, Any]] | None = None,
        **config: Any,
    ) -> dict[str, Any]:
        """The reply's payload. With `changes`, also waits for the system message."""
        payload: dict[str, Any] = {
            "config": {"presence": {"enabled": False}, "postgres_changes": changes or [], **config}
        }
        if token is not None:
            payload["access_token"] = token
        await self.send(f"realtime:{name}", "phx_join", payload)
        reply = (await self.until("phx_reply"))["payload"]
        if changes and reply["status"] == "ok":
            reply["system"] = (await self.until("system"))["payload"]
        return dict(reply)


@pytest.fixture
def alice() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def bob() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def topic() -> str:
    """A name no other test uses."""
    return f"room-{uuid.uuid4().hex[:12]}"
