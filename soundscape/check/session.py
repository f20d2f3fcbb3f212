"""Two throw-away users and one short recording in somebody's project, and how they look about."""

from __future__ import annotations

import asyncio
import io
import secrets
import struct
import time
import wave
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from math import pi, sin
from typing import Any

import httpx
from postgrest.exceptions import APIError
from storage3.exceptions import StorageApiError
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from soundscape.check.runner import Broken, Unknown
from soundscape.deploy.connection import Part
from soundscape.deploy.target import Target
from soundscape.errors import SettingsError
from soundscape.project.visitor import Visitor

POLL_S = 0.1
SAMPLE_RATE = 22_050


class Visit:
    """What the capabilities of one check share. Each is tried by a function that takes it."""

    def __init__(self, target: Target, *, wait_s: float, clock: Callable[[], float]) -> None:
        if target.url is None or target.public_key is None:
            raise SettingsError(
                "SUPABASE_URL and the project's public key are not both set.",
                code="settings_missing",
                remedy="Copy them from the project's settings; .env.example explains each.",
            )
        self.target = target
        self.url = target.url
        self.key = target.public_key
        self.wait_s = wait_s
        self.clock = clock
        self.opened = AsyncExitStack()
        self.visitors: list[Visitor] = []
        self._nobody: AsyncClient | None = None
        self._admin: AsyncClient | None = None
        self.statuses: list[str] = []
        self.realtime_failure: str | None = None
        self.described_at = 0.0
        self.row: dict[str, Any] = {}
        self.features: dict[str, Any] = {}
        self.blank: dict[str, Any] = {}
        """A public row that waits for a file."""
        self.report: dict[str, Any] = {}
        self.unconfirmed: list[str] = []
        """Users who were made but may not sign in."""
        self.sound = _tone()

    @property
    def owner(self) -> Visitor:
        return self.visitors[0]

    @property
    def stranger(self) -> Visitor:
        return self.visitors[1]

    @property
    def name(self) -> str:
        return f"{self.owner.user_id}/check.wav"

    async def get(self, path: str, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.url, timeout=15, trust_env=False) as http:
            return await http.get(path, headers=headers)

    async def ask(self, query: str) -> list[dict[str, Any]]:
        if not self.target.has_door:
            raise Unknown(
                "needs the database",
                remedy="Set SUPABASE_DB_URL, or SUPABASE_ACCESS_TOKEN and the reference.",
            )

        def ask() -> list[dict[str, Any]]:
            with self.target.open() as (door, _):
                return door.run(Part("asking the database", query))

        return await asyncio.to_thread(ask)

    async def anonymous(self) -> AsyncClient:
        if self._nobody is None:
            self._nobody = await acreate_client(
                self.url, self.key, AsyncClientOptions(auto_refresh_token=False)
            )
        return self._nobody

    async def admin(self) -> AsyncClient:
        """The client with the secret key. Raises `Unknown` when it is not set."""
        if self.target.secret_key is None:
            raise Unknown("needs the secret key", remedy="Set SUPABASE_SECRET_KEY.")
        if self._admin is None:
            self._admin = await acreate_client(
                self.url, self.target.secret_key, AsyncClientOptions(auto_refresh_token=False)
            )
        return self._admin

    async def current(self, audio_id: str) -> dict[str, Any]:
        found = await rows(self.owner.client, "audio_files", "id", audio_id)
        if not found:
            raise Broken("Its owner does not see it.")
        return found[0]

    async def until(self, statuses: set[str], otherwise: str) -> None:
        deadline = time.monotonic() + self.wait_s
        while self.row["status"] not in statuses:
            if time.monotonic() > deadline:
                raise Broken(otherwise.format(status=self.row["status"], wait_s=self.wait_s))
            await asyncio.sleep(POLL_S)
            self.row = await self.current(self.row["id"])

    async def clean_up(self) -> None:
        """Leave realtime and delete the users; the one happens even when the other fails."""
        try:
            await self.opened.aclose()
            for visitor in self.visitors:
                await visitor.client.realtime.close()
        finally:
            await self._delete_users()

    async def _delete_users(self) -> None:
        left = [*(visitor.user_id for visitor in self.visitors), *self.unconfirmed]
        if not left:
            return
        if self.target.secret_key is None:
            raise Unknown(f"{len(left)} users are left", remedy="Set SUPABASE_SECRET_KEY: it deletes them.")
        admin = await self.admin()
        for user_id in left:
            names = [row["file_path"] for row in await rows(admin, "audio_files", "user_id", user_id)]
            await admin.storage.from_("audio-files").remove([*names, f"{user_id}/check.wav"])
            await admin.auth.admin.delete_user(user_id)


async def rows(client: AsyncClient, table: str, column: str, value: str) -> list[dict[str, Any]]:
    return await data(client.table(table).select("*").eq(column, value))


async def data(query: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await query.execute()).data
    return rows


async def is_granted(attempt: Awaitable[Any]) -> bool:
    """Whether anything came back. Only a refusal counts as one: whatever else fails is raised."""
    try:
        return bool(await attempt)
    except APIError as refused:
        if refused.code == "42501":
            return False
        raise
    except StorageApiError as refused:
        if str(refused.status) in ("400", "403", "404"):
            return False
        raise


def code(answer: httpx.Response) -> str | None:
    try:
        return str(answer.json().get("code"))
    except (ValueError, AttributeError):
        return None


def message(answer: httpx.Response) -> str:
    try:
        body = answer.json()
        return str(body.get("message") or body.get("msg") or body)
    except (ValueError, AttributeError):
        return f"{answer.status_code} {answer.text[:200]}".strip()


def _tone() -> bytes:
    """A second of a sine, at a pitch no other check has: its file is nobody's copy."""
    frequency_hz = 300 + secrets.randbelow(1_000_000) / 1000
    samples = (round(16_000 * sin(2 * pi * frequency_hz * n / SAMPLE_RATE)) for n in range(SAMPLE_RATE))
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes(struct.pack(f"<{SAMPLE_RATE}h", *samples))
    return file.getvalue()
