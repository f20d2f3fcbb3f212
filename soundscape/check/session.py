"""One check of a project: two users, one short recording, and what the tests share."""

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
import structlog
from postgrest.exceptions import APIError
from storage3.exceptions import StorageApiError
from supabase import AsyncClient, AsyncClientOptions, acreate_client
from supabase_auth.errors import AuthError

from soundscape.check.capability import CapabilityBroken, CapabilityUnknown
from soundscape.deploy.connection import Part
from soundscape.deploy.target import Target
from soundscape.errors import SettingsError
from soundscape.project.visitor import Visitor

log = structlog.get_logger(__name__)

POLL_S = 0.1
DELETE_ATTEMPTS = 3
DELETE_PAUSE_S = 1.0
REFUSALS = (APIError, StorageApiError, AuthError, httpx.HTTPError)
SAMPLE_RATE = 22_050


class CheckSession:
    """What the tests of one check share."""

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
        self.sound = _make_tone()
        self.tag = secrets.token_hex(4)
        """In the addresses of this check's users."""
        self.signed_up = False
        """Whether a sign-up was tried."""

    @property
    def owner(self) -> Visitor:
        """The user who owns the recording."""
        return self.visitors[0]

    @property
    def stranger(self) -> Visitor:
        """Another user, who may not see what is private."""
        return self.visitors[1]

    @property
    def name(self) -> str:
        """The name under which the recording is uploaded."""
        return f"{self.owner.user_id}/check.wav"

    async def read_names(self) -> tuple[str, str]:
        """Read the present names of the recording's file and of its waveform, as its owner.

        They change some time after the recording was made private.
        """
        query = self.owner.client.table("audio_features").select("waveform_path")
        features = await run_query(query.eq("audio_id", self.row["id"]))
        return await self.read_name(), features[0]["waveform_path"] if features else ""

    async def read_name(self) -> str:
        """Read the present name of the recording's file, as its owner."""
        query = self.owner.client.table("audio_files").select("file_path")
        (row,) = await run_query(query.eq("id", self.row["id"]))
        return str(row["file_path"])

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Send a GET request to the project."""
        async with httpx.AsyncClient(base_url=self.url, timeout=15, trust_env=False) as http:
            return await http.get(path, headers=headers)

    async def query(self, statement: str) -> list[dict[str, Any]]:
        """Run a statement in the project's database. Raises `CapabilityUnknown` when it cannot be reached."""
        if not self.target.has_database:
            raise CapabilityUnknown(
                "needs the database",
                remedy="Set SUPABASE_DB_URL, or SUPABASE_ACCESS_TOKEN and the reference.",
            )

        def run() -> list[dict[str, Any]]:
            with self.target.open() as (database, _):
                return database.run(Part("asking the database", statement))

        return await asyncio.to_thread(run)

    async def anonymous(self) -> AsyncClient:
        """Return the client of somebody who is not signed in."""
        if self._nobody is None:
            self._nobody = await acreate_client(
                self.url, self.key, AsyncClientOptions(auto_refresh_token=False)
            )
        return self._nobody

    async def admin(self) -> AsyncClient:
        """The client with the secret key. Raises `CapabilityUnknown` when it is not set."""
        if self.target.secret_key is None:
            raise CapabilityUnknown("needs the secret key", remedy="Set SUPABASE_SECRET_KEY.")
        if self._admin is None:
            self._admin = await acreate_client(
                self.url, self.target.secret_key, AsyncClientOptions(auto_refresh_token=False)
            )
        return self._admin

    async def read_recording(self, audio_id: str) -> dict[str, Any]:
        """Read a recording's row as its owner. Raises `CapabilityBroken` if it is not there."""
        found = await select_rows(self.owner.client, "audio_files", "id", audio_id)
        if not found:
            raise CapabilityBroken("Its owner does not see it.")
        return found[0]

    async def await_status(self, statuses: set[str], otherwise: str) -> None:
        """Wait until the recording has one of `statuses`. Raises `CapabilityBroken(otherwise)` if late."""
        deadline = time.monotonic() + self.wait_s
        while self.row["status"] not in statuses:
            if time.monotonic() > deadline:
                raise CapabilityBroken(otherwise.format(status=self.row["status"], wait_s=self.wait_s))
            await asyncio.sleep(POLL_S)
            self.row = await self.read_recording(self.row["id"])

    async def clean_up(self) -> None:
        """Leave realtime and delete the users, whatever fails on the way.

        Raises
        ------
        CapabilityBroken
            Users are left, or realtime could not be left.
        CapabilityUnknown
            Users are left because the secret key is not set.
        """
        failures: list[str] = []
        for leave in (self.opened.aclose, *(visitor.client.realtime.close for visitor in self.visitors)):
            try:
                await leave()
            except Exception as error:
                # The sockets end with this process. What matters is that the users go.
                log.debug("realtime could not be left", exc_info=error)
                failures.append(f"leaving realtime failed: {error}")
        failures += await self._delete_users()
        if failures:
            raise CapabilityBroken("; ".join(failures))

    async def _delete_users(self) -> list[str]:
        """Delete every user of this check; return a sentence for each that is left."""
        if self.target.secret_key is None:
            count = len(self.visitors) + len(self.unconfirmed)
            if count:
                raise CapabilityUnknown(
                    f"{count} users are left", remedy="Set SUPABASE_SECRET_KEY: it deletes them."
                )
            return []
        left: dict[str, str] = {}
        for attempt in range(DELETE_ATTEMPTS):
            if attempt:
                await asyncio.sleep(DELETE_PAUSE_S)
            try:
                users = await self._list_users()
            except REFUSALS as error:
                left = {"the users": str(error)}
                continue
            left = {}
            for user_id in users:
                try:
                    await self._delete_user(user_id)
                except REFUSALS as error:
                    left[f"user {user_id}"] = str(error)
            if not left:
                break
        return [f"{name} could not be deleted: {reason}" for name, reason in left.items()]

    async def _list_users(self) -> list[str]:
        """Return the ids of the users that this check made and that are still there.

        Asks the project, since an answer to a sign-up can be lost after the user was made.
        """
        if not self.signed_up:
            return []
        admin = await self.admin()
        # Newest first, so they are on the first page.
        page = await admin.auth.admin.list_users(page=1, per_page=100)
        known = {*(visitor.user_id for visitor in self.visitors), *self.unconfirmed}
        return [user.id for user in page if user.id in known or self.tag in (user.email or "")]

    async def _delete_user(self, user_id: str) -> None:
        admin = await self.admin()
        names = [row["file_path"] for row in await select_rows(admin, "audio_files", "user_id", user_id)]
        try:
            await admin.storage.from_("audio-files").remove([*names, f"{user_id}/check.wav"])
        finally:
            await admin.auth.admin.delete_user(user_id)


async def select_rows(client: AsyncClient, table: str, column: str, value: str) -> list[dict[str, Any]]:
    """Return the rows of `table` whose `column` is `value`."""
    return await run_query(client.table(table).select("*").eq(column, value))


async def run_query(query: Any) -> list[dict[str, Any]]:
    """Run a query of supabase-py and return its rows."""
    rows: list[dict[str, Any]] = (await query.execute()).data
    return rows


async def is_granted(attempt: Awaitable[Any]) -> bool:
    """Tell whether the attempt returned anything. A refusal is nothing; other failures are raised."""
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


def get_error_code(answer: httpx.Response) -> str | None:
    """Return the code of an error response, if it has one."""
    try:
        return str(answer.json().get("code"))
    except (ValueError, AttributeError):
        return None


def get_error_message(answer: httpx.Response) -> str:
    """Return the message of an error response, or its status and the start of its body."""
    try:
        body = answer.json()
        return str(body.get("message") or body.get("msg") or body)
    except (ValueError, AttributeError):
        return f"{answer.status_code} {answer.text[:200]}".strip()


def _make_tone() -> bytes:
    """Return a second of a sine as WAV. Its pitch is random, so that no other recording is a copy of it."""
    frequency_hz = 300 + secrets.randbelow(1_000_000) / 1000
    samples = (round(16_000 * sin(2 * pi * frequency_hz * n / SAMPLE_RATE)) for n in range(SAMPLE_RATE))
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes(struct.pack(f"<{SAMPLE_RATE}h", *samples))
    return file.getvalue()
