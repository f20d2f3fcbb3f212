"""The storage service alone, on a real cluster, served by uvicorn in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from storage3 import AsyncStorageClient

from embedded_supabase.config import Config
from embedded_supabase.embedded import EmbeddedSupabase, open_embedded
from embedded_supabase.keys import Keys
from embedded_supabase.postgres import Postgres
from embedded_supabase.storage import app as storage
from embedded_supabase.storage.app import sweep
from embedded_supabase.storage.files import Files
from tests.servers import find_port, make_server
from tests.waiting import LIMIT_S

SCHEMA = Path(__file__).with_name("fixture.sql").read_bytes()
SIZE_LIMIT = 8 << 20


@dataclass
class Project:
    """The service as outsiders reach it, and the embedded Supabase behind it."""

    url: str
    embedded: EmbeddedSupabase
    loop: asyncio.AbstractEventLoop

    @property
    def folder(self) -> Path:
        return self.embedded.data_dir / "storage"

    def user(self) -> User:
        return User(self)

    def headers(self, token: str | None = None) -> dict[str, str]:
        key = self.embedded.keys.publishable_key
        return {"apikey": key, "authorization": f"Bearer {token or key}"}

    @property
    def service(self) -> dict[str, str]:
        key = self.embedded.keys.secret_key
        return {"apikey": key, "authorization": f"Bearer {key}"}

    def sql(self, query: str, *params: Any) -> list[tuple[Any, ...]]:
        dsn = self.embedded.postgres.dsn("supabase_admin")
        with psycopg.connect(dsn, autocommit=True) as connection:
            cursor = connection.execute(query, params)
            return cursor.fetchall() if cursor.description else []

    def on_disk(self) -> set[str]:
        """Versions whose bytes lie in the data directory."""
        return {path.name for path in (self.folder / "objects").glob("*/*")}

    def version(self, bucket: str, name: str) -> str | None:
        rows = self.sql(
            "select version from storage.objects where bucket_id = %s and name = %s", bucket, name
        )
        return rows[0][0] if rows else None

    async def sweep(self, *, grace_s: float = 0, files: Files | None = None) -> int:
        """One sweep, on the service's own loop."""
        files = files or Files(self.folder, durable=False)
        sweeping = sweep(self.embedded.storage_admin, files, grace_s=grace_s)
        swept = asyncio.run_coroutine_threadsafe(sweeping, self.loop)
        return await asyncio.wrap_future(swept)

    def client(self, headers: dict[str, str]) -> AsyncStorageClient:
        return AsyncStorageClient(f"{self.url}/", headers=headers)


@dataclass
class User:
    project: Project
    id: str = field(default_factory=lambda: str(uuid4()))

    def token(self, *, lives_s: int = 600, **claims: Any) -> str:
        now, tokens = int(time.time()), self.project.embedded.tokens
        return tokens.mint({
            "sub": self.id, "role": "authenticated", "aud": "authenticated", "iss": tokens.issuer,
            "iat": now, "exp": now + lives_s, **claims,
        })  # fmt: skip

    @property
    def headers(self) -> dict[str, str]:
        return self.project.headers(self.token())

    @property
    def storage(self) -> AsyncStorageClient:
        return self.project.client(self.headers)


@pytest.fixture(scope="session")
def project(platform: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with psycopg.connect(platform.dsn("postgres")) as connection:
        connection.execute(SCHEMA)
    started: Future[Project] = Future()
    loop = asyncio.new_event_loop()
    servers: list[uvicorn.Server] = []

    async def serve() -> None:
        try:
            async with open_embedded(
                # Two folders down, so that what is around it is nobody else's.
                data_dir=tmp_path_factory.mktemp("storage") / "around" / "project",
                url="http://127.0.0.1",
                keys=Keys.make(),
                config=Config({"storage": {"file_size_limit": f"{SIZE_LIMIT}B"}}),
                postgres=platform,
            ) as embedded:
                app = Starlette(routes=[Mount("/storage/v1", storage.build(embedded))])
                servers.append(make_server(app))
                serving = asyncio.create_task(servers[0].serve())
                while not servers[0].started:
                    await asyncio.sleep(0.01)
                url = f"http://127.0.0.1:{find_port(servers[0])}/storage/v1"
                started.set_result(Project(url, embedded, loop))
                await serving
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        yield started.result(timeout=LIMIT_S)
    finally:
        for server in servers:
            server.should_exit = True
        thread.join(LIMIT_S)
        loop.close()


@pytest.fixture
def user(project: Project) -> User:
    return project.user()


@pytest.fixture
async def http(project: Project) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=project.url, timeout=LIMIT_S) as client:
        yield client
