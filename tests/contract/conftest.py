"""A project to test as a user would: the embedded one, or the one that SUPABASE_URL names.

    SUPABASE_URL=… SUPABASE_PUBLISHABLE_KEY=… SUPABASE_SECRET_KEY=… scripts/test tests/contract

What such a project must be like stands in docs/embedded-supabase.md, "How to read the tables".
"""

from __future__ import annotations

import asyncio
import io
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from supabase import AsyncClient, AsyncClientOptions, ClientOptions, acreate_client, create_client
from supabase_auth.errors import AuthApiError

from soundscape.settings import PUBLIC_KEY_NAMES, SECRET_KEY_NAMES
from tests.waiting import LIMIT_S, eventually

PASSWORD = "correct horse battery staple"
HOSTED = bool(os.environ.get("SUPABASE_URL"))
EMAIL_DOMAIN = os.environ.get("SOUNDSCAPE_TEST_EMAIL_DOMAIN", "example.com")
FINAL = {"ready", "failed", "rejected"}

# Hosted, an address signs up 30 users at once and then one in ten seconds, whatever limit is configured:
# https://supabase.com/docs/guides/auth/rate-limits. The clients do not ask again by themselves.
TOO_OFTEN = 429
PAUSE_S = 10.0
PATIENCE = range(60)


class Patient(httpx.HTTPTransport):
    """Asks again for as long as the project says that it was asked too often."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for _ in PATIENCE:
            answer = super().handle_request(request)
            if answer.status_code != TOO_OFTEN:
                break
            answer.close()
            time.sleep(PAUSE_S)
        return answer


class PatientAsync(httpx.AsyncHTTPTransport):
    """The same for the clients that wait without blocking."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for _ in PATIENCE:
            answer = await super().handle_async_request(request)
            if answer.status_code != TOO_OFTEN:
                break
            await answer.aclose()
            await asyncio.sleep(PAUSE_S)
        return answer


async def read_now(files: Any, path: str) -> Any:
    """Read the object if the policies allow it now; raises `StorageApiError` otherwise.

    Hosted, the CDN hands a file on to whoever had it until their token ends, so its information is asked for:
    https://supabase.com/kb/troubleshooting/storage-private-bucket-files-still-accessible-after-remove-access-or-logout
    """
    return await (files.info(path) if HOSTED else files.download(path))


async def connect(url: str, key: str) -> AsyncClient:
    """supabase-py, with as much patience as the project asks for."""
    http = httpx.AsyncClient(transport=PatientAsync(http2=True), follow_redirects=True, timeout=LIMIT_S)
    return await acreate_client(url, key, AsyncClientOptions(auto_refresh_token=False, httpx_client=http))


def fresh_email() -> str:
    return f"test-{secrets.token_hex(8)}@{EMAIL_DOMAIN}"


@dataclass(frozen=True)
class Target:
    """Where the project under test is, and the two keys a frontend and a server have."""

    url: str
    public_key: str
    secret_key: str


@dataclass(frozen=True)
class User:
    """A signed-in user of the project under test."""

    client: AsyncClient
    id: str

    @property
    def audio(self) -> Any:
        """The bucket audio-files, as this user."""
        return self.client.storage.from_("audio-files")

    async def row(self, audio_id: str) -> dict[str, Any]:
        rows: Any = (await self.client.table("audio_files").select("*").eq("id", audio_id).execute()).data
        assert len(rows) == 1, rows
        return dict(rows[0])

    async def add(self, data: bytes, *, suffix: str = ".wav", **columns: Any) -> dict[str, Any]:
        """Upload and describe a recording; the row as it was inserted."""
        path = f"{self.id}/{secrets.token_hex(8)}{suffix}"
        await self.audio.upload(path, data, {"content-type": "audio/wav"})
        inserted: Any = (
            await self.client.table("audio_files")
            .insert({"title": "A sound", "file_path": path, **columns})
            .execute()
        ).data
        return dict(inserted[0])

    async def names(self, audio_id: str) -> tuple[str, str]:
        """The present names of a recording's file and of its waveform."""
        query = self.client.table("audio_files").select("file_path, audio_features(waveform_path)")
        rows: Any = (await query.eq("id", audio_id).execute()).data
        return rows[0]["file_path"], rows[0]["audio_features"]["waveform_path"]

    async def renamed(self, audio_id: str, former: tuple[str, str]) -> tuple[str, str]:
        """The names once the worker has changed both, because the recording is not listed any more."""

        async def changed() -> tuple[str, str] | None:
            names = await self.names(audio_id)
            return None if set(names) & set(former) else names

        names: tuple[str, str] | None = await eventually(changed, "the objects keep their names")
        assert names is not None
        return names

    async def ended(self, audio_id: str) -> dict[str, Any]:
        """The row once its analysis has come to an end."""

        async def final() -> dict[str, Any] | None:
            row = await self.row(audio_id)
            return row if row["status"] in FINAL else None

        row: dict[str, Any] | None = await eventually(final, "the analysis does not end")
        assert row is not None
        return row


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    if url := os.environ.get("SUPABASE_URL"):
        public = next(os.environ[name] for name in PUBLIC_KEY_NAMES if os.environ.get(name))
        secret = next(os.environ[name] for name in SECRET_KEY_NAMES if os.environ.get(name))
        return Target(url, public, secret)
    embedded = request.getfixturevalue("embedded")
    return Target(embedded.url, embedded.keys.publishable_key, embedded.keys.secret_key)


@dataclass(frozen=True)
class SignedUp:
    """What a script in another language needs to act as a user."""

    id: str
    email: str
    access_token: str


@pytest.fixture(scope="module")
def signed_up(target: Target) -> Iterator[list[SignedUp]]:
    """Two users for a module's script, deleted after its last test with their objects."""
    made = []
    http = httpx.Client(transport=Patient(), timeout=LIMIT_S)
    server = create_client(target.url, target.secret_key, ClientOptions(auto_refresh_token=False))
    for _ in range(2):
        options = ClientOptions(auto_refresh_token=False, httpx_client=http)
        client = create_client(target.url, target.public_key, options)
        answer = client.auth.sign_up({"email": fresh_email(), "password": PASSWORD})
        assert answer.user is not None
        assert answer.session is not None
        assert answer.user.email is not None
        made.append(SignedUp(answer.user.id, answer.user.email, answer.session.access_token))
    yield made
    for user in made:
        files = server.storage.from_("audio-files")
        if left := files.list(user.id):
            files.remove([f"{user.id}/{item['name']}" for item in left])
        server.auth.admin.delete_user(user.id)
    http.close()


@pytest.fixture
async def sign_up(target: Target) -> AsyncIterator[Callable[[], Awaitable[User]]]:
    """Make users as a frontend does; they are deleted with everything they own afterwards."""
    made: list[User] = []

    async def make() -> User:
        client = await connect(target.url, target.public_key)
        answer = await client.auth.sign_up({"email": fresh_email(), "password": PASSWORD})
        assert answer.user is not None
        assert answer.session is not None
        made.append(User(client, answer.user.id))
        return made[-1]

    yield make
    admin = await connect(target.url, target.secret_key)
    for user in made:
        rows: Any = (
            await admin.table("audio_files").select("file_path").eq("user_id", user.id).execute()
        ).data
        for row in rows:
            await admin.storage.from_("audio-files").remove([row["file_path"]])
        try:
            await admin.auth.admin.delete_user(user.id)
        except AuthApiError as error:
            assert error.code == "user_not_found", "or the test has deleted it"  # noqa: PT017
        await user.client.realtime.close()


@pytest.fixture
async def alice(sign_up: Callable[[], Awaitable[User]]) -> User:
    return await sign_up()


@pytest.fixture
async def bob(sign_up: Callable[[], Awaitable[User]]) -> User:
    return await sign_up()


@pytest.fixture
async def anonymous(target: Target) -> AsyncClient:
    return await connect(target.url, target.public_key)


@pytest.fixture
async def service(target: Target) -> AsyncClient:
    """A server's client, with the secret key."""
    return await connect(target.url, target.secret_key)


def wav(y: Any, *, sample_rate: int = 22_050, subtype: str = "PCM_16") -> bytes:
    """A WAV file of the samples, shape (n,) or (n, channels)."""
    file = io.BytesIO()
    soundfile.write(file, y, sample_rate, format="WAV", subtype=subtype)
    return file.getvalue()


def tone(frequency_hz: float = 440.0, *, duration_s: float = 1.0, sample_rate: int = 22_050) -> bytes:
    """A WAV file of a sine at half of full scale."""
    t = np.arange(round(duration_s * sample_rate)) / sample_rate
    return wav(0.5 * np.sin(2 * np.pi * frequency_hz * t), sample_rate=sample_rate)


@pytest.fixture
def unlike() -> bytes:
    """A short sound that no other test uploads."""
    return tone(float(np.random.default_rng().uniform(200, 2000)))
