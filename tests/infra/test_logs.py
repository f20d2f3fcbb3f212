"""Log lines of the worker, carried by a real rsyslog to a stub of Elasticsearch's `_bulk`."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import until

ELASTICSEARCH = Path(__file__).resolve().parents[2] / "infra" / "monitoring" / "elasticsearch"
MODULE = Path("/usr/lib/x86_64-linux-gnu/rsyslog/omelasticsearch.so")
WRITE_LINES = """
import sys, structlog
from soundscape.telemetry import logs
logs.configure(level="info", readable=False)
log = structlog.get_logger("soundscape.worker")
for number in range(int(sys.argv[1])):
    log.info("analysed “rain”", number=number, **{"trace.id": "0" * 32})
try:
    1 / 0
except ZeroDivisionError:
    log.exception("job failed unexpectedly")
"""

pytestmark = pytest.mark.skipif(
    shutil.which("rsyslogd") is None or not MODULE.exists(), reason="needs Debian's rsyslog-elasticsearch"
)


class Bulk(ThreadingHTTPServer):
    """Keeps the documents of `POST /_bulk`, and refuses the first requests as an overloaded cluster does."""

    def __init__(self, *, port: int, refusals: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.refusals = refusals
        self.documents: list[dict[str, Any]] = []
        self.actions: list[dict[str, Any]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Bulk

    def do_GET(self) -> None:
        self._answer(200, {"cluster_name": "stub"})

    def do_HEAD(self) -> None:
        self._answer(200, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        if self.server.refusals > 0:
            self.server.refusals -= 1
            self._answer(503, {"error": "overloaded"})
            return
        lines = [json.loads(line) for line in body.splitlines()]
        self.server.actions += lines[::2]
        self.server.documents += lines[1::2]
        self._answer(200, {"errors": False, "items": [{"create": {"status": 201}} for _ in lines[::2]]})

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def serving(*, port: int = 0, refusals: int = 0) -> Iterator[Bulk]:
    server = Bulk(port=port, refusals=refusals)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def carrying(folder: Path, port: int) -> Iterator[Path]:
    """Run rsyslog on a log file, whose path is yielded."""
    (folder / "work").mkdir(exist_ok=True)
    log = folder / "worker.log"
    log.touch()
    environment = os.environ | {
        "RSYSLOG_WORK": str(folder / "work"),
        "RSYSLOG_REFUSED": str(folder / "refused.log"),
        "SOUNDSCAPE_LOG_FILES": str(log),
        "ELASTICSEARCH_SERVER": "http://127.0.0.1",
        "ELASTICSEARCH_PORT": str(port),
        "ELASTICSEARCH_USER": "soundscape",
        "ELASTICSEARCH_PASSWORD": "secret",
    }
    with (folder / "rsyslog.log").open("a") as output:
        process = subprocess.Popen(
            ["rsyslogd", "-n", "-f", str(ELASTICSEARCH / "rsyslog.conf"), "-i", str(folder / "pid")],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield log
    finally:
        process.terminate()
        process.wait()


def write_lines(log: Path, count: int) -> list[dict[str, Any]]:
    """Have the worker's logging write to the file, and return what it wrote."""
    with log.open("a") as output:
        subprocess.run([sys.executable, "-c", WRITE_LINES, str(count)], stderr=output, check=True)
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_every_line_arrives_as_it_was_written(tmp_path: Path) -> None:
    with serving() as server, carrying(tmp_path, server.server_port) as log:
        written = write_lines(log, 50)
        with log.open("a") as output:
            output.write('malloc(): "corrupted" top size\n')
        until(lambda: len(server.documents) > len(written))
        (wrapped,) = [each for each in server.documents if "malloc" in each["message"]]
        # The last words of a library are no JSON.
        assert wrapped["message"].strip() == 'malloc(): "corrupted" top size'
        assert (wrapped["log.level"], wrapped["service.name"]) == ("error", "soundscape")
        server.documents.remove(wrapped)
        assert sorted(map(json.dumps, server.documents)) == sorted(map(json.dumps, written))
        assert {each["create"]["_index"] for each in server.actions} == {"logs-soundscape-default"}
        assert len({each["create"]["_id"] for each in server.actions}) == len(written) + 1
    assert not (tmp_path / "refused.log").exists()


def test_lines_wait_while_nobody_answers(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with carrying(tmp_path, port) as log:
        written = write_lines(log, 5)
        until(lambda: "Failed to connect" in (tmp_path / "rsyslog.log").read_text())
        with serving(port=port) as server:
            until(lambda: len(server.documents) >= len(written))
            assert sorted(map(json.dumps, server.documents)) == sorted(map(json.dumps, written))


def test_lines_that_are_refused_are_kept_beside_the_reason(tmp_path: Path) -> None:
    refused = tmp_path / "refused.log"
    with serving(refusals=1) as server, carrying(tmp_path, server.server_port) as log:
        written = write_lines(log, 5)
        until(
            lambda: (
                refused.exists()
                and len(server.documents) + refused.read_text().count("create") >= len(written)
            )
        )
        assert "overloaded" in refused.read_text()


def test_the_template_knows_what_lines_hold(tmp_path: Path) -> None:
    """The fields that searches use are declared, and Kibana's searches name none that is not."""
    template = json.loads((ELASTICSEARCH / "index-template.json").read_text())
    declared = set(_flatten(template["template"]["mappings"]["properties"]))
    written = write_lines(tmp_path / "worker.log", 1)
    assert {name for line in written for name in line} - declared == {"number"}
    for line in (ELASTICSEARCH / "kibana.ndjson").read_text().splitlines():
        saved = json.loads(line)
        columns = set(saved["attributes"].get("columns", ()))
        assert columns - declared <= {"reason", "stderr"}, saved["id"]


def _flatten(properties: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, field in properties.items():
        yield prefix + name
        yield from _flatten(field.get("properties", {}), f"{prefix}{name}.")
