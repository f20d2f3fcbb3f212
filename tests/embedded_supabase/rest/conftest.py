"""A cluster with the record shop of `schema.sql`, served by the Data API alone on a free port."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

import tests.cluster
from embedded_supabase.config import Config
from embedded_supabase.embedded import EmbeddedSupabase, open_embedded
from embedded_supabase.keys import Keys
from embedded_supabase.postgres import Postgres
from embedded_supabase.rest import app as rest
from embedded_supabase.rest.schema_cache import SchemaCache, load
from tests.servers import find_port, make_server
from tests.waiting import LIMIT_S

A = "00000000-0000-0000-0000-00000000000a"
B = "00000000-0000-0000-0000-00000000000b"
SCHEMA = Path(__file__).with_name("schema.sql")


@dataclass
class Shop:
    """The served project."""

    url: str
    embedded: EmbeddedSupabase

    def token(self, user: str, *, lifetime_s: int = 600) -> str:
        return self.embedded.tokens.mint(
            {
                "sub": user,
                "role": "authenticated",
                "aud": "authenticated",
                "exp": int(time.time()) + lifetime_s,
                "iss": self.embedded.tokens.issuer,
            }
        )

    def client(self, bearer: str | None = None, key: str | None = None) -> httpx.Client:
        key = key or self.embedded.keys.publishable_key
        headers = {"apikey": key, "authorization": f"Bearer {bearer or key}"}
        return httpx.Client(base_url=f"{self.url}/rest/v1", headers=headers, timeout=LIMIT_S)

    def sql(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        """Look behind the API's back, as superuser."""
        with psycopg.connect(self.embedded.postgres.dsn("supabase_admin"), autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="session")
def cluster(data_dirs: Path) -> Iterator[Postgres]:
    with tests.cluster.started(data_dirs / "rest") as postgres:
        with psycopg.connect(postgres.dsn("postgres")) as connection:
            connection.execute(SCHEMA.read_bytes())
        yield postgres


@pytest.fixture(scope="session")
def shop(cluster: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    started: Future[Shop] = Future()
    loop = asyncio.new_event_loop()
    finished = asyncio.Event()

    async def serve() -> None:
        settings: dict[str, Any] = {
            "data_dir": tmp_path_factory.mktemp("data"),
            "url": "http://127.0.0.1",
            "keys": Keys.make(),
            "config": Config({"api": {"max_rows": 50, "schemas": ["public", "graphql_public"]}}),
            "postgres": cluster,
        }
        async with open_embedded(**settings) as embedded:
            app = Starlette(routes=[Mount("/rest/v1", rest.build(embedded))])
            server = make_server(app, access_log=False, timeout_keep_alive=75)
            tasks = [asyncio.create_task(server.serve()), asyncio.create_task(rest.run(embedded))]
            while not server.started:
                await asyncio.sleep(0.01)
            started.set_result(Shop(f"http://127.0.0.1:{find_port(server)}", embedded))
            await finished.wait()
            server.should_exit = True
            await tasks[0]
            tasks[1].cancel()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        yield started.result(timeout=LIMIT_S)
    finally:
        loop.call_soon_threadsafe(finished.set)
        thread.join(timeout=LIMIT_S)
        loop.close()


@pytest.fixture
def anon(shop: Shop) -> Iterator[httpx.Client]:
    with shop.client() as client:
        yield client


@pytest.fixture
def user(shop: Shop) -> Iterator[httpx.Client]:
    """Signed in as A."""
    with shop.client(shop.token(A)) as client:
        yield client


@pytest.fixture
def service(shop: Shop) -> Iterator[httpx.Client]:
    with shop.client(key=shop.embedded.keys.secret_key) as client:
        yield client


@pytest.fixture(scope="session")
def cache(cluster: Postgres) -> SchemaCache:
    async def read() -> SchemaCache:
        async with await psycopg.AsyncConnection.connect(cluster.dsn("authenticator")) as connection:
            return await load(connection, ["public"], ["public", "extensions"])

    return asyncio.run(read())
