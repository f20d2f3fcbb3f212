"""What a project's failures mean: some pass, some do not, none is a traceback."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from soundscape.errors import DataRefused, LeaseLost, ProjectError, ProjectUnreachable
from soundscape.project.client import connect
from soundscape.project.objects import Objects
from soundscape.project.queue import Queue


class Oracle(BaseHTTPRequestHandler):
    """Answers everything with what the test wants said."""

    answer: tuple[int, str, bytes]
    asked: list[str]

    def _answer(self) -> None:
        self.asked.append(self.path)
        self.rfile.read(int(self.headers.get("content-length") or 0))
        status, content_type, body = self.answer
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        if status // 100 == 3:
            self.send_header("location", "/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET = _answer  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def oracle() -> Iterator[tuple[str, type[Oracle]]]:
    handler = type("OneOracle", (Oracle,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler
    server.shutdown()
    thread.join()
    server.server_close()


def error(code: str) -> bytes:
    return json.dumps({"code": code, "message": "m", "details": None, "hint": None}).encode()


PAGE = b"<html><body>Bad gateway</body></html>"


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (409, error("PT409"), LeaseLost),
        (503, error("PGRST002"), ProjectUnreachable),  # its schema cache is not there yet
        (504, error("PGRST003"), ProjectUnreachable),  # no connection left
        (500, error("40P01"), ProjectUnreachable),  # chosen as a deadlock's victim
        (500, error("57014"), ProjectUnreachable),  # took too long
        (500, error("08006"), ProjectUnreachable),  # the connection was lost
        (503, error("53300"), ProjectUnreachable),  # too many connections
        (502, PAGE, ProjectUnreachable),
        (521, PAGE, ProjectUnreachable),  # Cloudflare: the server is down
        (401, error("PGRST301"), ProjectError),  # a key that is none
        (404, error("PGRST202"), ProjectError),  # not deployed
        (403, error("42501"), ProjectError),
        (400, error("22P02"), DataRefused),
        (400, error("22P05"), DataRefused),
        (400, error("22003"), DataRefused),
        (400, error("23514"), DataRefused),
        (400, error("23502"), DataRefused),
        (409, error("23503"), ProjectError),  # another row is gone
        (404, PAGE, ProjectError),
    ],
)
async def test_what_a_refusal_means(
    oracle: tuple[str, type[Oracle]], status: int, body: bytes, meaning: type[ProjectError]
) -> None:
    url, handler = oracle
    handler.answer = (status, "application/json" if body != PAGE else "text/html", body)
    async with connect(url, "a key") as (client, _):
        with pytest.raises(ProjectError) as raised:
            await Queue(client, worker="w").claim(1, lease_s=30)
    assert type(raised.value) is meaning
    assert raised.value.remedy
    assert "a key" not in str(raised.value)


@pytest.mark.parametrize("body", [b"", PAGE, b"null", b"{}", b'"text"', b"[1]", b'[{"job_id": 1}]'])
async def test_an_answer_that_is_none_is_no_jobs(oracle: tuple[str, type[Oracle]], body: bytes) -> None:
    url, handler = oracle
    handler.answer = (200, "application/json", body)
    async with connect(url, "a key") as (client, _):
        # No jobs, or an error of ours: never a traceback, and never a job made of nothing.
        with suppress(ProjectError):
            assert await Queue(client, worker="w").claim(1, lease_s=30) == []


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (500, ProjectUnreachable),
        (503, ProjectUnreachable),
        (429, ProjectUnreachable),
        (404, ProjectError),
        (302, ProjectError),
    ],
)
async def test_storage(oracle: tuple[str, type[Oracle]], status: int, meaning: type[ProjectError]) -> None:
    url, handler = oracle
    handler.answer = (status, "text/html", PAGE)
    async with connect(url, "a key") as (client, http):
        with pytest.raises(ProjectError) as raised:
            await Objects(client, http).fetch("audio-files", "a/b.wav", io.BytesIO(), max_bytes=10)
    assert type(raised.value) is meaning
    assert "/elsewhere" not in handler.asked, "no redirect is followed"
