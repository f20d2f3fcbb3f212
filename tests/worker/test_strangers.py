"""A running project under whatever strangers send to `/api`: no 500, and nothing in it changes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import random
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from soundscape.cli.embedded_project import Project
from soundscape.project.visitor import signed_up_visitor
from tests import embedded
from tests.waiting import LIMIT_S

STATE = """
select md5(string_agg(t.row, ',' order by t.row)) from (
    select 'file' || f::text as row from public.audio_files f
    union all select 'job' || j::text from soundscape.jobs j
    union all select 'user' || u.id::text from auth.users u
    union all select 'object' || o.id::text from storage.objects o) t
"""
PATHS = [
    "/api/webhooks/storage", "/api/identify", "/api/health/ready", "/api/metrics", "/api/openapi.json",
    "/api/nothing", "/api",
    "/api/webhooks/storage/..", "/api/%2e%2e/rest/v1/audio_files", "/api/webhooks/storage?x=%00", "/api/\xff",
]  # fmt: skip
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "BREW"]


def state(project: Project) -> str:
    with psycopg.connect(project.db_url) as connection:
        row = connection.execute(STATE).fetchone()
    assert row is not None
    return str(row[0])


def signed(project: Project, body: bytes, *, secret: str | None = None) -> dict[str, str]:
    key = base64.b64decode((secret or project.keys.webhook_secret).removeprefix("whsec_"))
    sent_at, message_id = str(int(time.time())), f"msg_{random.getrandbits(64):x}"
    mac = hmac.digest(key, f"{message_id}.{sent_at}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": sent_at,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


def requests(project: Project, chance: random.Random, token: str) -> Iterator[bytes]:
    """Genuine requests with something wrong, and things that are hardly requests at all."""
    signed_in = {"authorization": f"Bearer {token}"}
    forged = "whsec_" + base64.b64encode(chance.randbytes(32)).decode()
    for path, method in itertools.product(PATHS, METHODS):
        body = chance.randbytes(chance.randrange(200))
        headers = chance.choice([signed(project, b"other"), signed(project, body, secret=forged), {}])
        headers |= chance.choice(
            [
                {"authorization": f"Bearer {project.keys.anon_jwt}"},
                {"authorization": "Bearer " + "x." * chance.randrange(50)},
                {"x-webhook-secret": chance.randbytes(5).hex()},
                {"content-type": "multipart/form-data; boundary="},
                signed_in | {"content-type": "multipart/form-data; boundary=x; charset=undefined"},
                signed_in | {"content-type": "audio/wav"},
                {"expect": "100-continue"},
                {"cookie": "a" * 5000},
                {"host": ""},
            ]
        )
        head = [f"{method} {path} HTTP/1.1", f"content-length: {len(body)}", "connection: close"]
        head += [f"{name}: {value}" for name, value in headers.items()]
        yield "\r\n".join([*head, "", ""]).encode("latin-1") + body
    post = b"POST /api/webhooks/storage HTTP/1.1\r\nhost: x\r\n"
    yield from (
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /api/health/live HTTP/9.9\r\n\r\n",
        b"POST /api/webhooks/storage HTTP/1.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        post + b"content-length: -1\r\n\r\n",
        post + b"content-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        post + b"content-length: 99999999999999999999999\r\n\r\n",
        post + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        post + b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        + b"4000\r\n" + b"x" * 0x4000 + b"\r\n" + b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n0\r\n\r\n",
        post + b"webhook-id: " + b"\xff" * 200 + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        post + b"x" * 100_000,
        post + b"upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: x\r\n\r\n",
    )  # fmt: skip
    for _ in range(30):
        yield chance.randbytes(chance.randrange(1, 400)) + b"\r\n\r\n"


async def send(port: int, request: bytes, *, within_s: float = 0.5) -> bytes:
    """The first bytes of the answer; none when the server hangs up on it, or waits for more of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(within_s):
            return await reader.read(4096)
    except (TimeoutError, OSError):
        return b""
    finally:
        writer.close()


@pytest.fixture(scope="module")
def project(data_dirs: Path) -> Iterator[Project]:
    """One where nobody else does anything."""
    with embedded.served(data_dirs / "strangers") as project:
        yield project


@pytest.mark.parametrize("seed", [1])
async def test_strangers(project: Project, seed: int) -> None:
    async with signed_up_visitor(project.url, project.keys.publishable_key, called="stranger") as stranger:
        session = await stranger.client.auth.get_session()
        assert session is not None
    before = state(project)
    port = int(project.url.rpartition(":")[2])
    statuses: set[int] = set()
    for request in requests(project, random.Random(seed), session.access_token):
        answer = await send(port, request)
        if answer:
            status = int(answer.split(b" ", 2)[1])
            assert status < 500 or b"/health/ready" in request or b"/metrics" in request, (request, answer)
            statuses.add(status)
    assert {400, 401, 404, 405, 413} <= statuses
    assert b" 200 " in await send(
        port, b"GET /api/health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", within_s=LIMIT_S
    )
    assert state(project) == before
