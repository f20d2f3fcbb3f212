"""The Auth service alone, under any `config.toml`, on the shared cluster."""

from __future__ import annotations

import asyncio
import itertools
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest
import uvicorn
from psycopg.rows import dict_row
from starlette.applications import Starlette
from starlette.routing import Mount
from supabase import Client, ClientOptions, create_client

from embedded_supabase.auth.app import build
from embedded_supabase.auth.mail import build_outbox_routes, read_outbox
from embedded_supabase.config import Config
from embedded_supabase.embedded import open_embedded
from embedded_supabase.keys import Keys
from embedded_supabase.postgres import Postgres
from tests.servers import make_server
from tests.waiting import LIMIT_S

PASSWORD = "correct horse"
_numbers = itertools.count()


@dataclass(frozen=True)
class Server:
    """A running Auth service."""

    url: str
    keys: Keys
    data_dir: Path
    postgres: Postgres

    @property
    def auth_url(self) -> str:
        return f"{self.url}/auth/v1"

    @property
    def headers(self) -> dict[str, str]:
        return {"apikey": self.keys.publishable_key}

    def client(self, *, flow: Literal["pkce", "implicit"] = "implicit", key: str | None = None) -> Client:
        options = ClientOptions(flow_type=flow, auto_refresh_token=False, persist_session=True)
        return create_client(self.url, key or self.keys.publishable_key, options)

    def admin(self) -> Client:
        return self.client(key=self.keys.secret_key)

    def mails(self, to: str) -> list[dict[str, Any]]:
        return read_outbox(self.data_dir, to)

    def row(self, statement: str, *values: Any) -> dict[str, Any]:
        with psycopg.connect(self.postgres.dsn("supabase_auth_admin"), row_factory=dict_row) as connection:
            found = connection.execute(statement, values).fetchone()
            assert found is not None
            return found

    def execute(self, statement: str, *values: Any, role: str = "supabase_auth_admin") -> None:
        with psycopg.connect(self.postgres.dsn(role)) as connection:
            connection.execute(statement, values or None)


Serve = Callable[..., Server]


def fresh_email() -> str:
    return f"user{next(_numbers)}@example.com"


@pytest.fixture
def email() -> str:
    return fresh_email()


@pytest.fixture(scope="session")
def serve(platform: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """`serve(auth={...})` runs the service with that `[auth]` section; one server for each section."""
    keys = Keys.make()
    started: dict[str, Server] = {}
    stops = []

    def start(**auth: Any) -> Server:
        name = repr(sorted(auth.items()))
        if name not in started:
            running = _running(platform, keys, tmp_path_factory.mktemp("auth"), {"auth": auth})
            started[name] = running.__enter__()
            stops.append(running)
        return started[name]

    yield start
    for running in stops:
        running.__exit__(None, None, None)


@pytest.fixture(scope="session")
def server(serve: Serve) -> Server:
    """As the CLI's defaults have it: sign-up confirms itself. Mail may follow mail at once."""
    return serve(email={"max_frequency": "0s"}, additional_redirect_urls=["https://app.example.com/**"])


@pytest.fixture(scope="session")
def confirming(serve: Serve) -> Server:
    """Sign-up waits for the confirmation mail."""
    return serve(
        email={"enable_confirmations": True, "max_frequency": "0s"},
        additional_redirect_urls=["https://app.example.com/**"],
    )


@contextmanager
def _running(postgres: Postgres, keys: Keys, data_dir: Path, values: dict[str, Any]) -> Iterator[Server]:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    ready: Future[None] = Future()
    servers: list[uvicorn.Server] = []

    async def serve() -> None:
        async with open_embedded(
            data_dir=data_dir, url=url, keys=keys, config=Config(values), postgres=postgres
        ) as embedded:
            app = Starlette(routes=[Mount("/auth/v1", build(embedded)), *build_outbox_routes(embedded)])
            running = make_server(app, proxy_headers=False)
            servers.append(running)
            task = asyncio.create_task(running.serve(sockets=[listener]))
            while not running.started:
                await asyncio.sleep(0.01)
            ready.set_result(None)
            await task

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=work)
    thread.start()
    ready.result(timeout=LIMIT_S)
    try:
        yield Server(url, keys, data_dir, postgres)
    finally:
        servers[0].should_exit = True
        thread.join(timeout=LIMIT_S)


@dataclass
class SmtpSink:
    """A mail server that keeps what it is given."""

    port: int
    messages: list[str]


class _SmtpSession(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"220 sink\r\n")
        for line in self.rfile:
            verb = line[:4].upper().strip()
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = list(itertools.takewhile(lambda text: text != b".\r\n", self.rfile))
                self.server.messages.append(b"".join(lines).decode())  # type: ignore[attr-defined]
            self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
            if verb == b"QUIT":
                return


@pytest.fixture
def smtp_sink() -> Iterator[SmtpSink]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _SmtpSession) as server:
        messages: list[str] = []
        server.messages = messages  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield SmtpSink(server.server_address[1], messages)
        server.shutdown()
