"""A project with recordings waiting in it, and worker processes to hear them, for benchmarks."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg

from soundscape.api.identify import WARM_UP_AFTER_S
from soundscape.cli.embedded_project import Project, run_project

SNIPPETS_WARM_S = 4.0


class Load:
    """A project and what is uploaded to it."""

    def __init__(self, project: Project) -> None:
        self.project = project

    async def upload(self, data: bytes, count: int, content_type: str) -> list[str]:
        """`count` objects of as many users, not yet described: nothing is queued for them. Their names."""
        return await asyncio.to_thread(self._upload, data, count, content_type)

    def _upload(self, data: bytes, count: int, content_type: str) -> list[str]:
        headers = {"apikey": self.project.keys.secret_key, "content-type": content_type}
        names = []
        with (
            self._connection() as connection,
            httpx.Client(base_url=self.project.url, headers=headers) as http,
        ):
            for _ in range(count):
                row = connection.execute(
                    "insert into auth.users (id, email) values (gen_random_uuid(), %s) returning id",
                    (f"{secrets.token_hex(8)}@example.com",),
                ).fetchone()
                assert row is not None
                names.append(f"{row[0]}/{secrets.token_hex(4)}")
                http.post(f"/storage/v1/object/audio-files/{names[-1]}", content=data).raise_for_status()
        return names

    async def queue(self, names: list[str]) -> None:
        """Describe them, in one transaction: all are queued at once."""
        await asyncio.to_thread(self._queue, names)

    def _queue(self, names: list[str]) -> None:
        with self._connection() as connection, connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(
                "insert into public.audio_files (user_id, title, file_path) values (%s, 'load', %s)",
                [(name.partition("/")[0], name) for name in names],
            )

    async def until_heard(self, names: list[str]) -> None:
        """Wait until all are ready. Raises `RuntimeError` where one was refused."""
        # One connection for all looks: making one costs more than looking, on the cores that are measured.
        with self._connection() as connection:
            while left := await asyncio.to_thread(self._left, connection, names):
                if any(status in ("failed", "rejected") for status in left):
                    raise RuntimeError(f"not all were heard: {left}")
                await asyncio.sleep(0.1)

    def _left(self, connection: psycopg.Connection[Any], names: list[str]) -> list[str]:
        rows = connection.execute(
            "select status::text from public.audio_files where file_path = any(%s) and status <> 'ready'",
            (names,),
        )
        return [row[0] for row in rows]

    def _connection(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.project.db_url, autocommit=True)

    @asynccontextmanager
    async def workers(self, count: int) -> AsyncIterator[list[subprocess.Popen[bytes]]]:
        """That many worker processes with one child each, ready; stopped when the block ends."""
        started = []
        environment = os.environ | self.project.environment() | {"SOUNDSCAPE_POLL_MAX_S": "1"}
        try:
            for _ in range(count):
                port = _free_port()
                command = (sys.executable, "-m", "soundscape", "worker", "--port", str(port))
                process = subprocess.Popen(  # noqa: ASYNC220 - a moment, before anything is measured
                    command, env=environment | {"SOUNDSCAPE_WORKERS": "1"}, stderr=subprocess.DEVNULL
                )
                started.append((process, port))
            async with httpx.AsyncClient() as http:
                for _, port in started:
                    await _ready(http, f"http://127.0.0.1:{port}/api/health/ready")
            # The children for snippets start later, and are not what is measured.
            await asyncio.sleep(WARM_UP_AFTER_S + SNIPPETS_WARM_S)
            yield [process for process, _ in started]
        finally:
            for process, _ in started:
                process.terminate()
            for process, _ in started:
                await asyncio.to_thread(process.wait)


@asynccontextmanager
async def a_project(data_dir: Path) -> AsyncIterator[Load]:
    """An embedded Supabase without a worker of its own."""
    await asyncio.to_thread(data_dir.chmod, 0o711)
    async with run_project(data_dir / "project", port=0, durable=False, with_worker=False) as project:
        yield Load(project)


def rss_bytes(pid: int) -> int:
    """Resident memory of a process now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


def machine() -> str:
    """What else the machine is doing: figures of a busy one say little."""
    return f"{os.cpu_count()} cores, load {', '.join(f'{load:.1f}' for load in os.getloadavg())}"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def _ready(http: httpx.AsyncClient, url: str) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            if (await http.get(url)).status_code == 200:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(url)
        await asyncio.sleep(0.1)
