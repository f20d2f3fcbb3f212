"""The log: fields as ECS has them, whoever logs; and never a secret, however it gets there."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given
from hypothesis import settings as given_settings
from hypothesis import strategies as st

from soundscape import __version__
from soundscape.telemetry import logs
from tests.waiting import LIMIT_S

SECRETS = [
    "sb_secret_0123456789abcdef",
    "a shared secret, with spaces",
    'a "quoted" secret',
    "sécret-of-letters",
]


pytestmark = pytest.mark.usefixtures("own_logging")


@pytest.fixture(autouse=True)
def nothing_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_hidden", set())
    monkeypatch.setattr(logs, "_hidden_pattern", None)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_names_as_ecs_has_them(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(readable=False)
    log = structlog.get_logger("soundscape.worker")
    with structlog.contextvars.bound_contextvars(**{"trace.id": "0" * 32, "job.id": 7}):
        log.info("job ended", **{"event.outcome": "succeeded"})
        log.warning("attempt failed", code="worker_disk", error="no space left")
        log.debug("not at this level")
    first, second = lines(capsys)
    assert first.pop("@timestamp").endswith("Z")
    assert first == {
        "message": "job ended",
        "log.level": "info",
        "trace.id": "0" * 32,
        "job.id": 7,
        "event.outcome": "succeeded",
        "service.name": "soundscape",
        "service.version": __version__,
        "ecs.version": logs.ECS_VERSION,
    }
    assert (second["error.code"], second["error.message"]) == ("worker_disk", "no space left")


def test_exceptions(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(readable=False)
    try:
        local = "of the function"
        raise ValueError(f"not {len(local)}")
    except ValueError as error:
        structlog.get_logger().exception("it broke")
        structlog.get_logger().error("it broke", exc_info=error)
        logging.getLogger("library").exception("it broke there")
    ours, given_, foreign = lines(capsys)
    for line in (ours, given_, foreign):
        assert (line["error.type"], line["error.message"]) == ("ValueError", "not 15")
        assert line["error.stack_trace"].startswith("Traceback")
        assert line["error.stack_trace"].endswith("ValueError: not 15")
        assert line["log.level"] == "error"
    assert (foreign["message"], foreign["log.logger"]) == ("it broke there", "library")


def test_libraries_log_alike(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(readable=False)
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request %s", "received")
    logging.getLogger("httpx").info("HTTP Request: GET http://project/?token=abc")
    (line,) = lines(capsys)
    assert line["message"] == "Invalid HTTP request received"
    assert line["service.name"] == "soundscape"


NESTED = st.recursive(
    st.sampled_from(SECRETS).map(lambda secret: f"before {secret} after") | st.text(max_size=10) | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["k", *SECRETS]), inner, max_size=3)
        | inner.map(lambda v: ValueError(v))
        | inner.map(lambda v: str(v).encode())
        | inner.map(lambda v: (v, {"deep": v}))
    ),
    max_leaves=6,
)


@given_settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=NESTED, where=st.sampled_from(["event", "field", "name", "exception", "library", "context"]))
@pytest.mark.parametrize("readable", [True, False])
def test_a_known_secret_is_never_written(
    capsys: pytest.CaptureFixture[str], value: Any, where: str, readable: bool
) -> None:
    logs.configure(readable=readable, level="debug")
    logs.hide(SECRETS)
    log = structlog.get_logger()
    if where == "event":
        log.info(str(value))
    elif where == "field":
        log.info("told", value=value)
    elif where == "name":
        log.info("told", **{str(value): 1})
    elif where == "context":
        with structlog.contextvars.bound_contextvars(value=value):
            log.info("told")
    elif where == "library":
        logging.getLogger("library").warning("told %s", value)
    else:
        secret_in_a_local = value
        try:
            raise RuntimeError(secret_in_a_local)
        except RuntimeError:
            log.exception("it broke")
    written = capsys.readouterr().err
    assert written
    for secret in SECRETS:
        for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]):
            assert form not in written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic ***"),
        ("{'authorization': 'basic dXNlcjpwYXNz'}", "{'authorization': 'basic ***'}"),
        ("of basic interest", "of basic interest"),
        (r'{"password": "p4ss \" word", "x": 1}', '{"password": "***", "x": 1}'),
        ('{"apiKey":"abc"}', '{"apiKey":"***"}'),
        ("GET /object/sign/a/b.wav?token=abc.def&x=1", "GET /object/sign/a/b.wav?token=***&x=1"),
        ("postgresql://postgres:p4ss!word@db:5432/postgres", "postgresql://postgres:***@db:5432/postgres"),
        ("key sb_secret_abcDEF-123_x is wrong", "key *** is wrong"),
        ("whsec_" + "A" * 43 + "=", "***"),
        ("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln and more", "*** and more"),
        ("token sbp_0123456789abcdef", "token ***"),
        ("sb_publishable_abc is public", "sb_publishable_abc is public"),
        ("http://127.0.0.1:54321/rest/v1/?select=id", "http://127.0.0.1:54321/rest/v1/?select=id"),
        ("reading audio-files/u/x.wav: HTTP 404", "reading audio-files/u/x.wav: HTTP 404"),
        ("12:30:01 a@b.org wrote", "12:30:01 a@b.org wrote"),
    ],
)
def test_what_looks_like_a_secret(text: str, written: str) -> None:
    assert logs.clean(text) == written


@pytest.mark.parametrize(
    "part", ["a-", "eyJ-", "bearer ", "a://", "://a:", "a:b@", "?token=", "x", "sbp_", '"token":"', "\n"]
)
def test_a_long_text_costs_its_length(part: str) -> None:
    began = time.process_time()
    written = logs.clean(part * 200_000)
    assert time.process_time() - began < 2.0
    assert len(written) < 40_000
    assert "characters more" in written or logs.HIDDEN in written


def test_short_values_make_no_holes() -> None:
    logs.hide(["s", "", None])
    assert logs.clean("sounds") == "sounds"


def test_in_a_process_of_its_own() -> None:
    """Standard error of a worker whose project answers with the key it was given."""
    script = """
import asyncio, sys
from soundscape.telemetry import logs
from soundscape.settings import Settings
from soundscape.api.app import build
from tests.service import serving

KEY = "sb_secret_" + "k" * 30
HOOK = "whsec_" + "c2Vj" * 12

def echo(request):
    text = str(request.headers).replace('"', "'")
    return 400, {"content-type": "application/json"}, ('{"message": "%s", "code": "22000"}' % text).encode()

async def main():
    logs.configure(level="debug", readable=False)
    async with serving(echo) as project:
        known = {"supabase_url": project.url, "secret_key": KEY, "webhook_secret": HOOK}
        app = build(Settings.model_construct(public_key="p", **known))
        async with app.router.lifespan_context(app):
            while not project.requests:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.2)
asyncio.run(main())
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert ended.returncode == 0, ended.stderr
    told = [json.loads(line) for line in ended.stderr.splitlines()]
    assert any(logs.HIDDEN in line.get("error.message", "") for line in told), told
    assert "sb_secret_k" not in ended.stderr
    assert "c2Vjc2Vj" not in ended.stderr
