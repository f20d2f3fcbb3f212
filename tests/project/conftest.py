"""A project without a worker, and the clients a worker reaches it by."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row
from supabase import AsyncClient

from soundscape.cli.embedded_project import Project
from soundscape.project.client import connect
from soundscape.project.objects import Objects
from soundscape.project.queue import Queue
from tests import embedded


@dataclass(frozen=True)
class WorkerClients:
    """The project as its worker reaches it."""

    project: Project
    client: AsyncClient
    http: httpx.AsyncClient
    queue: Queue
    objects: Objects

    def sql(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.project.db_url, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    def user(self) -> str:
        return str(
            self.sql(
                "insert into auth.users (id, email) values (gen_random_uuid(), %s) returning id",
                f"{secrets.token_hex(6)}@example.com",
            )[0]["id"]
        )

    async def recording(self, data: bytes = b"bytes") -> tuple[str, str]:
        """A queued recording of a new user: its id and name."""
        user_id = self.user()
        name = f"{user_id}/{secrets.token_hex(4)}.wav"
        row = self.sql(
            "insert into public.audio_files (user_id, title, file_path) values (%s, 't', %s) returning id",
            user_id,
            name,
        )[0]
        await self.client.storage.from_("audio-files").upload(name, data, {"content-type": "audio/wav"})
        return str(row["id"]), name


@pytest.fixture(scope="package")
def quiet(data_dirs: Path) -> Iterator[Project]:
    with embedded.served(data_dirs / "quiet", with_worker=False) as project:
        yield project


@pytest.fixture
async def clients(quiet: Project) -> AsyncIterator[WorkerClients]:
    async with connect(quiet.url, quiet.keys.secret_key) as (client, http):
        yield WorkerClients(quiet, client, http, Queue(client, worker="tests"), Objects(client, http))
