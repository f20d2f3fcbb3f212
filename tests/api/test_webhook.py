"""The doorbell: an authentic call is accepted, everything else is 401 or 413, nothing is a 500."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soundscape.api import webhook
from soundscape.api.app import build
from soundscape.settings import Settings

PATH = "/webhooks/storage"
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()
CURRENT = "whsec_" + base64.b64encode(b"c" * 32).decode()
PREVIOUS = "whsec_" + base64.b64encode(b"p" * 32).decode()
SHARED = "a shared secret of a Database Webhook"
BODY = b'{"type": "soundscape.queue"}'
COUNTER = itertools.count()


def signed(
    body: bytes = BODY,
    *,
    secret: str = CURRENT,
    at: float | str | None = None,
    message_id: str | None = None,
) -> dict[str, str]:
    """Headers as Standard Webhooks 1.0 has them; the algorithm is written out here, not borrowed."""
    message_id = message_id or f"msg_{next(COUNTER)}"
    timestamp = str(int(time.time())) if at is None else str(at)
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def listed(*signatures: str) -> dict[str, str]:
    return signed() | {"webhook-signature": " ".join(signatures)}


def after(other: str) -> dict[str, str]:
    """A genuine call whose signature comes after another one."""
    genuine = signed()
    return genuine | {"webhook-signature": other + genuine["webhook-signature"]}


@pytest.fixture(scope="module")
def app() -> FastAPI:
    """The worker's app, its loop not started: only whether it would be woken matters here."""
    return build(
        Settings.model_construct(
            supabase_url="http://127.0.0.1:9",
            public_key="p",
            secret_key="s",
            webhook_secret=CURRENT,
            webhook_secret_previous=PREVIOUS,
            database_webhook_secret=SHARED,
        )
    )


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    # An exception in the app becomes the 500 that a client would see.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
        app.state.worker._wake.clear()
        yield client


def rung(app: FastAPI) -> bool:
    return bool(app.state.worker._wake.is_set())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param(lambda: signed(), 202, id="current secret"),
        pytest.param(lambda: signed(secret=PREVIOUS), 202, id="previous secret"),
        pytest.param(lambda: {"x-webhook-secret": SHARED}, 202, id="Database Webhook"),
        pytest.param(lambda: after("v1a,x "), 202, id="list"),
        pytest.param(lambda: signed(at=int(time.time() - 240)), 202, id="four minutes old"),
        pytest.param(dict, 401, id="nothing"),
        pytest.param(lambda: signed(secret=OTHER), 401, id="other secret"),
        pytest.param(lambda: signed(b"another body"), 401, id="other body"),
        pytest.param(lambda: signed() | {"webhook-id": "msg_2"}, 401, id="other id"),
        pytest.param(lambda: signed(at=int(time.time() - 360)), 401, id="six minutes old"),
        pytest.param(lambda: signed(at=int(time.time() + 360)), 401, id="six minutes ahead"),
        pytest.param(lambda: {"x-webhook-secret": "wrong"}, 401, id="wrong shared secret"),
        pytest.param(lambda: {"x-webhook-secret": ""}, 401, id="empty shared secret"),
        pytest.param(lambda: signed() | {"x-webhook-secret": "wrong"}, 401, id="wrong beside right"),
        *(
            pytest.param(lambda text=text: signed() | {"webhook-timestamp": text}, 401, id=f"time {text!r}")
            for text in ("", "x", "nan", "inf", "-inf", "1e400", "9" * 40, "-1", "0x10", "१२३")
        ),
        *(
            pytest.param(lambda text=text: listed(text), 401, id=f"signature {text!r}")
            for text in ("", "v1", "v1,", "v1,=", "v1,a,b", ",", " ", "v1,é", "v2,AAAA", "v1,AAAA", "v1,A")
        ),
    ],
)  # fmt: skip
async def test_signatures(
    client: httpx.AsyncClient, app: FastAPI, headers: Callable[[], dict[str, str]], status: int
) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers().items()]
    answer = await client.post(PATH, content=BODY, headers=raw)
    assert (answer.status_code, rung(app)) == (status, status == 202), answer.text
    if status == 401:
        problem = answer.json()
        assert problem["code"] == "webhook_unsigned"
        assert problem["remedy"]


async def test_the_shared_secret_is_no_way_in_where_none_is_set() -> None:
    with pytest.raises(webhook.SignatureRefused):
        webhook.Signatures((CURRENT,)).verify(BODY, {"x-webhook-secret": "None"})


@pytest.mark.parametrize("body", [b"", b"not JSON", b"\xff\xfe", b"[" * 10_000])
async def test_the_payload_is_never_read(client: httpx.AsyncClient, app: FastAPI, body: bytes) -> None:
    answer = await client.post(PATH, content=body, headers=signed(body))
    # Bytes that are no UTF-8 cannot be signed by the standard; anything else is.
    assert answer.status_code == (401 if body == b"\xff\xfe" else 202)


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(("excess", "status"), [(0, 202), (1, 413)])
async def test_too_large(
    client: httpx.AsyncClient, app: FastAPI, excess: int, status: int, declared: bool
) -> None:
    body = b"x" * (webhook.MAX_BODY_BYTES + excess)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 5000):
            yield body[start : start + 5000]

    answer = await client.post(PATH, content=body if declared else chunks(), headers=signed(body))
    assert (answer.status_code, rung(app)) == (status, status == 202)


@pytest.mark.parametrize("declared", ["²", "9" * 5000, "-1", "1e9", "x"])
async def test_a_declared_length_that_is_none(app: FastAPI, declared: str) -> None:
    """Past a server that passes the header on as it came."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "query_string": b"",
        "headers": [(b"content-length", declared.encode("latin-1"))],
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert sent[0]["status"] == (413 if declared.isdecimal() else 401)


async def test_what_is_too_large_is_not_read_to_its_end(client: httpx.AsyncClient) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1 << 14
            yield b"x" * (1 << 14)

    answer = await client.post(PATH, content=endless())
    assert answer.status_code == 413
    assert read <= webhook.MAX_BODY_BYTES + (1 << 15)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_other_methods(client: httpx.AsyncClient, app: FastAPI, method: str) -> None:
    answer = await client.request(method, PATH, headers=signed())
    assert (answer.status_code, rung(app)) == (405, False)


HEADER_BYTES = st.binary(max_size=60).map(lambda raw: bytes(b for b in raw if b >= 32 and b != 127))
NAMES = st.sampled_from(
    [b"webhook-id", b"webhook-timestamp", b"webhook-signature", b"x-webhook-secret", b"content-type"]
)
NUMBERS = st.one_of(st.integers().map(str), st.floats().map(str)).map(str.encode)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    headers=st.lists(st.tuples(NAMES, st.one_of(HEADER_BYTES, NUMBERS)), max_size=8),
    keep=st.sets(st.sampled_from(sorted(signed()))),
    body=st.binary(max_size=200),
)
async def test_nothing_a_stranger_sends_is_a_500_or_wakes_the_worker(
    app: FastAPI, headers: list[tuple[bytes, bytes]], keep: set[str], body: bytes
) -> None:
    """Parts of a genuine call for another body, mixed with anything at all."""
    app.state.worker._wake.clear()
    genuine = signed(BODY + b"!")
    mixed = [(name.encode(), genuine[name].encode()) for name in keep] + headers
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
        answer = await client.post(PATH, content=body, headers=mixed)
    assert answer.status_code == 401
    assert not rung(app)


def _mutations(headers: dict[str, str]) -> Iterator[dict[str, Any]]:
    for name, value in headers.items():
        for index in range(len(value)):
            changed = chr(ord(value[index]) ^ 1)
            yield headers | {name: value[:index] + changed + value[index + 1 :]}


def test_every_single_bit_of_the_signed_headers_counts() -> None:
    """Each character changed by one bit is refused, but for base64's own spare bits before the padding."""
    headers = signed()
    accepted = []
    for mutation in _mutations(headers):
        try:
            webhook.Signatures((CURRENT,)).verify(BODY, mutation)
        except webhook.SignatureRefused:
            continue
        accepted.append(mutation)
    for mutation in accepted:
        assert mutation["webhook-id"] == headers["webhook-id"]
        assert mutation["webhook-timestamp"] == headers["webhook-timestamp"]
        encoded = mutation["webhook-signature"].removeprefix("v1,")
        assert base64.b64decode(encoded) == base64.b64decode(headers["webhook-signature"].removeprefix("v1,"))


async def test_a_replay(client: httpx.AsyncClient, app: FastAPI) -> None:
    """The same message, however it is dressed, wakes once; another one of the same second passes."""
    first = signed(message_id="msg_once")
    assert (await client.post(PATH, content=BODY, headers=first)).status_code == 202
    app.state.worker._wake.clear()
    dressed = first | {"webhook-signature": "v1a,x " + first["webhook-signature"]}
    fraction = first | {"webhook-timestamp": first["webhook-timestamp"] + ".5"}
    resigned = signed(message_id="msg_once", secret=PREVIOUS)
    for again in (first, dressed, fraction, resigned):
        answer = await client.post(PATH, content=BODY, headers=again)
        assert (answer.status_code, answer.json()["code"]) == (401, "webhook_replayed")
    assert not rung(app)
    assert (await client.post(PATH, content=BODY, headers=signed())).status_code == 202
    # An unsigned call does not use up the id of a genuine one.
    genuine = signed(message_id="msg_later")
    assert (await client.post(PATH, content=BODY + b"x", headers=genuine)).status_code == 401
    assert (await client.post(PATH, content=BODY, headers=genuine)).status_code == 202


def test_ids_are_remembered_as_long_as_they_could_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    known = webhook.Signatures((CURRENT,))
    now = [1000.0]
    # The name here alone: every event loop of the process goes by that of the module `time`.
    monkeypatch.setattr(webhook, "monotonic", lambda: now[0])
    assert [known._is_known(name) for name in ("a", "b", "a")] == [False, False, True]
    now[0] += 2 * webhook.TOLERANCE_S - 1
    assert known._is_known("a")
    now[0] += 2
    assert not known._is_known("a")
    assert len(known._seen) == 1, "what can no longer pass is forgotten"
    monkeypatch.setattr(webhook, "REMEMBERED_IDS", 10)
    flooded = webhook.Signatures((CURRENT,))
    for number in range(100):
        assert not flooded._is_known("x" * 10_000 + str(number))
    assert [len(name) for name in flooded._seen] == [16] * 10


async def test_a_database_webhook(client: httpx.AsyncClient, app: FastAPI) -> None:
    """Supabase's own payload: https://supabase.com/docs/guides/database/webhooks#payload."""
    payload = {
        "type": "INSERT",
        "table": "objects",
        "schema": "storage",
        "record": {"bucket_id": "audio-files", "name": "a/b.wav"},
        "old_record": None,
    }
    for _ in range(2):  # it has no id: the same one may wake twice
        app.state.worker._wake.clear()
        answer = await client.post(PATH, json=payload, headers={"x-webhook-secret": SHARED})
        assert (answer.status_code, rung(app)) == (202, True)
    app.state.worker._wake.clear()
    for wrong in ("", SHARED[:-1], SHARED + "x", SHARED.upper()):
        answer = await client.post(PATH, json=payload, headers={"x-webhook-secret": wrong})
        assert (answer.status_code, rung(app)) == (401, False)


async def test_a_shared_secret_of_other_letters() -> None:
    known = webhook.Signatures((CURRENT,), "glöckchen")
    known.verify(b"", {"x-webhook-secret": "glöckchen".encode().decode("latin-1")})
    with pytest.raises(webhook.SignatureRefused):
        known.verify(b"", {"x-webhook-secret": "glockchen"})


async def test_signed_as_the_database_signs(client: httpx.AsyncClient, app: FastAPI) -> None:
    """What `soundscape.ring_doorbell()` builds in SQL, here over the text that jsonb prints."""
    body = json.dumps({"type": "soundscape.queue", "timestamp": "2026-11-22T18:00:00+00:00"}).encode()
    answer = await client.post(PATH, content=body, headers=signed(body))
    assert (answer.status_code, rung(app)) == (202, True)
