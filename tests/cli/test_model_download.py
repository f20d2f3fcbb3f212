"""The download of models, against a server on loopback and a small model of known bytes."""

from __future__ import annotations

import hashlib
import io
import os
import pty
import socket
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from soundscape.audio.tagging import models
from soundscape.cli import model_download, model_progress
from soundscape.cli.model_download import (
    ModelDownloadFailed,
    ModelHostUnreachable,
    get_model_urls,
    pull_model,
)
from soundscape.errors import ModelError

CONTENT = bytes(range(256)) * 1000
WRONG = b"\xff" * len(CONTENT)
TINY = models.Model(
    name="tiny",
    filename="tiny.bin",
    urls=("http://127.0.0.1:9/never",),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    size_bytes=len(CONTENT),
    licence="CC0-1.0",
    purpose="tests",
)
REAL = Path(__file__).resolve().parents[3] / "shared/models/yamnet.tflite"


class _Handler(BaseHTTPRequestHandler):
    requests: list[str]

    def do_GET(self) -> None:
        self.requests.append(self.path)
        # The file's name below a mirror's folder does not matter here.
        path = self.path.removesuffix("/tiny.bin").removesuffix("/yamnet.tflite")
        if path == "/missing":
            self.send_error(404)
            return
        if path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/right")
            self.end_headers()
            return
        if path == "/moved-for-ever":
            self.send_response(302)
            self.send_header("Location", path)
            self.end_headers()
            return
        body = WRONG if path == "/wrong" else CONTENT
        self.send_response(200)
        if path != "/endless":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if path == "/stalled":
            self.wfile.write(body[:1000])
            self.wfile.flush()
            self.connection.settimeout(10)
            with suppress(OSError):
                self.connection.recv(1)  # until the client hangs up
            return
        if path == "/cut":
            body = body[: len(body) // 2]
        try:
            self.wfile.write(body)
            # Closes in the end, so that a client which would read on for ever fails and does not hang.
            for _ in range(200 if path == "/endless" else 0):
                self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.requests.append("hung up")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    requests: list[str] = []
    handler = type("Handler", (_Handler,), {"requests": requests})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}", requests
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(models.REGISTRY, "tiny", TINY)


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


@pytest.mark.parametrize("path", ["/right", "/moved"])
def test_pull_downloads_reports_progress_and_finds(
    path: str, server: tuple[str, list[str]], tmp_path: Path
) -> None:
    directory, seen = tmp_path / "not" / "there" / "yet", []
    target = pull_model(
        "tiny", urls=[server[0] + path], directory=directory, progress=lambda *done: seen.append(done)
    )
    assert target.read_bytes() == CONTENT
    assert models.find("tiny", directory=directory) == target
    assert files(directory) == ["tiny.bin"]
    done = [bytes_done for bytes_done, _ in seen]
    assert done == sorted(done)
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    # Readable by whoever runs the worker, not only by whoever pulled.
    assert target.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("path", "error", "code"),
    [
        ("/wrong", models.ModelCorrupt, "model_corrupt"),  # right size, other bytes
        ("/endless", models.ModelCorrupt, "model_corrupt"),  # more than it should be
        ("/cut", ModelDownloadFailed, "model_download_failed"),  # connection lost half way
        ("/missing", ModelDownloadFailed, "model_download_failed"),
        ("/moved-for-ever", ModelDownloadFailed, "model_download_failed"),
        ("/stalled", ModelDownloadFailed, "model_download_failed"),  # nothing more arrives
    ],
)
def test_refused_download_leaves_nothing_behind(
    path: str,
    error: type[ModelError],
    code: str,
    server: tuple[str, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model_download, "READ_TIMEOUT_S", 1.0)
    with pytest.raises(error) as raised:
        pull_model("tiny", urls=[server[0] + path], directory=tmp_path)
    assert raised.value.code == code
    assert "--from FILE" in raised.value.remedy
    assert files(tmp_path) == []


def test_endless_download_is_hung_up_on(server: tuple[str, list[str]], tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with pytest.raises(models.ModelCorrupt, match="more than 256000"):
        pull_model(
            "tiny",
            urls=[server[0] + "/endless"],
            directory=tmp_path,
            progress=lambda *done: seen.append(done),
        )
    assert seen[-1][0] <= len(CONTENT)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1/closed", "failed"),  # nobody listens
        ("gopher://127.0.0.1/", "failed"),
        ("http://[not-an-address/", "failed"),
        ("not a url", "failed"),
    ],
)
def test_unreachable_address(url: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ModelDownloadFailed, match=reason):
        pull_model("tiny", urls=[url], directory=tmp_path)
    assert files(tmp_path) == []


@pytest.mark.parametrize("first", ["/wrong", "/missing", "/cut"])
def test_the_next_address_is_tried(first: str, server: tuple[str, list[str]], tmp_path: Path) -> None:
    url, requests = server
    target = pull_model("tiny", urls=[url + first, url + "/right"], directory=tmp_path)
    assert target.read_bytes() == CONTENT
    assert requests == [first, "/right"]


def test_every_failure_is_told(server: tuple[str, list[str]], tmp_path: Path) -> None:
    with pytest.raises(ModelDownloadFailed) as raised:
        pull_model("tiny", urls=[server[0] + "/missing", server[0] + "/wrong"], directory=tmp_path)
    assert "/missing answered 404" in raised.value.message
    assert "/wrong is not the model" in raised.value.message


def test_pull_of_what_is_there_asks_nobody(server: tuple[str, list[str]], tmp_path: Path) -> None:
    url, requests = server
    pull_model("tiny", urls=[url + "/right"], directory=tmp_path)
    pull_model("tiny", urls=[url + "/right"], directory=tmp_path)
    assert requests == ["/right"]


def test_registry_addresses_are_the_default(
    server: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(models.REGISTRY, "tiny", replace(TINY, urls=(server[0] + "/right",)))
    assert pull_model("tiny", directory=tmp_path).read_bytes() == CONTENT


def test_corrupt_file_is_named_replaced_and_survives_a_failed_pull(
    server: tuple[str, list[str]], tmp_path: Path
) -> None:
    target = tmp_path / "tiny.bin"
    target.write_bytes(WRONG)
    with pytest.raises(models.ModelCorrupt, match="is not the model tiny"):
        models.find("tiny", directory=tmp_path)
    with pytest.raises(ModelDownloadFailed):
        pull_model("tiny", urls=[server[0] + "/missing"], directory=tmp_path)
    assert target.read_bytes() == WRONG
    pull_model("tiny", urls=[server[0] + "/right"], directory=tmp_path)
    assert models.find("tiny", directory=tmp_path).read_bytes() == CONTENT


def test_pull_from_a_file(tmp_path: Path) -> None:
    brought = tmp_path / "brought"
    brought.write_bytes(CONTENT)
    target = pull_model("tiny", source=brought, directory=tmp_path / "models")
    assert target.read_bytes() == CONTENT
    assert brought.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (WRONG, "its SHA-256 is"),
        (CONTENT[:-1], "it has 255999 bytes"),
        (CONTENT + b"!", "it has more than 256000 bytes"),
        (b"", "it has 0 bytes"),
    ],
)
def test_pull_from_a_wrong_file(content: bytes, reason: str, tmp_path: Path) -> None:
    brought, directory = tmp_path / "brought", tmp_path / "models"
    brought.write_bytes(content)
    with pytest.raises(models.ModelCorrupt, match=reason):
        pull_model("tiny", source=brought, directory=directory)
    assert files(directory) == []


@pytest.mark.parametrize("name", ["absent", "."])  # no such file; a directory
def test_pull_from_what_cannot_be_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(models.ModelMissing, match="cannot be read"):
        pull_model("tiny", source=tmp_path / name, directory=tmp_path / "models")
    assert files(tmp_path / "models") == []


def test_interrupted_pull_leaves_nothing_behind(tmp_path: Path) -> None:
    brought, directory = tmp_path / "brought", tmp_path / "models"
    brought.write_bytes(CONTENT)

    def interrupt(done_bytes: int, total_bytes: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull_model("tiny", source=brought, directory=directory, progress=interrupt)
    assert files(directory) == []


def test_directory_that_cannot_be_made(tmp_path: Path) -> None:
    brought = tmp_path / "brought"
    brought.write_bytes(CONTENT)
    with pytest.raises(ModelError) as raised:
        pull_model("tiny", source=brought, directory=brought / "models")
    assert raised.value.code == "model_directory"
    assert "SOUNDSCAPE_MODELS_DIR" in raised.value.remedy


@pytest.mark.skipif(not REAL.exists(), reason="../shared/models/yamnet.tflite is not here")
def test_the_registered_yamnet_is_the_file_it_names(tmp_path: Path) -> None:
    target = pull_model("yamnet", source=REAL, directory=tmp_path)
    assert models.find("yamnet", directory=tmp_path) == target


def test_unknown_model() -> None:
    with pytest.raises(ModelError) as raised:
        pull_model("nobody")
    assert raised.value.code == "model_unknown"
    assert "yamnet" in raised.value.remedy


@pytest.fixture
def unanswered() -> Iterator[str]:
    """An address whose host takes connections so slowly that none is ever made."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # The queue of connections holds these; the kernel drops whatever comes after.
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels refuse a connection that finds no room")
def test_a_host_that_does_not_answer_is_tried_once(
    unanswered: str, server: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert model_download.CONNECT_TIMEOUT_S == 5
    monkeypatch.setattr(model_download, "CONNECT_TIMEOUT_S", 0.5)
    with pytest.raises(ModelHostUnreachable) as raised:
        pull_model("tiny", urls=[f"{unanswered}/1", f"{unanswered}/2"], directory=tmp_path)
    assert f"{unanswered}/1 failed" in raised.value.message
    assert f"{unanswered}/2" not in raised.value.message
    assert pull_model("tiny", urls=[f"{unanswered}/1", f"{server[0]}/right"], directory=tmp_path).is_file()


def test_a_setting_replaces_the_addresses() -> None:
    assert get_model_urls(TINY, {}) == TINY.urls
    assert get_model_urls(TINY, {"SOUNDSCAPE_MODELS_URL": " "}) == TINY.urls
    mirror = {"SOUNDSCAPE_MODELS_URL": "https://mirror.test/models/"}
    assert get_model_urls(TINY, mirror) == ("https://mirror.test/models/tiny.bin",)


class _FirstUse:
    """`pull_tag_model_once` with the small model in YAMNet's place, and what it printed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.printed = ""

    def __call__(self, url: str, *, terminal: bool = True, **environment: str) -> bool:
        """Whether the model is there afterwards."""
        out = io.StringIO()
        model_progress.pull_tag_model_once(
            directory=self.directory,
            console=Console(file=out, force_terminal=terminal, width=1000),
            environment={"SOUNDSCAPE_MODELS_URL": url, **environment},
        )
        self.printed = out.getvalue()
        return (self.directory / TINY.filename).is_file()


@pytest.fixture
def first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _FirstUse:
    monkeypatch.setattr(model_progress, "YAMNET", TINY)
    return _FirstUse(tmp_path)


@pytest.mark.parametrize("path", ["/right", "/moved"])
def test_first_use_downloads_with_a_progress_bar(
    path: str, first_use: _FirstUse, server: tuple[str, list[str]]
) -> None:
    url, requests = server
    assert first_use(url + path)
    assert "downloading the tag model" in first_use.printed
    assert "256.0/256.0 kB" in first_use.printed
    asked = len(requests)
    assert first_use(url + path)
    assert len(requests) == asked
    assert first_use.printed == ""


def test_first_use_replaces_a_corrupt_model(first_use: _FirstUse, server: tuple[str, list[str]]) -> None:
    (first_use.directory / TINY.filename).write_bytes(WRONG)
    assert first_use(server[0] + "/right")
    assert models.find("tiny", directory=first_use.directory).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/wrong", "its SHA-256 is"),
        ("/cut", "failed"),
        ("/missing", "answered 404"),
        ("/stalled", "timed out"),
    ],
)
def test_first_use_says_in_one_line_what_failed(
    path: str,
    reason: str,
    first_use: _FirstUse,
    server: tuple[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model_download, "READ_TIMEOUT_S", 1.0)
    url, requests = server
    assert not first_use(url + path)
    said = [line for line in first_use.printed.splitlines() if "was not downloaded" in line]
    assert len(said) == 1
    assert reason in said[0]
    # The next use does not wait for it again; one that comes later does.
    assert not first_use(url + "/right")
    assert [each for each in requests if "/right" in each] == []
    monkeypatch.setattr(model_progress, "RETRY_AFTER_S", 0)
    assert first_use(url + "/right")


def test_first_use_is_silent_offline(
    first_use: _FirstUse, unanswered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_download, "CONNECT_TIMEOUT_S", 0.5)
    for url in ("http://127.0.0.1:1", unanswered):
        monkeypatch.setattr(model_progress, "RETRY_AFTER_S", 0)
        assert not first_use(url)
        assert "was not downloaded" not in first_use.printed


@pytest.mark.parametrize("unwanted", [{"terminal": False}, {"SOUNDSCAPE_MODELS": "off"}])
def test_first_use_asks_nobody_where_it_is_not_wanted(
    unwanted: dict[str, Any], first_use: _FirstUse, server: tuple[str, list[str]]
) -> None:
    url, requests = server
    assert not first_use(url + "/right", **unwanted)
    assert (requests, first_use.printed, files(first_use.directory)) == ([], "", [])


def test_first_use_needs_a_directory_it_can_write(
    first_use: _FirstUse, server: tuple[str, list[str]], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()
    first_use.directory = file / "models"
    assert not first_use(server[0] + "/right")
    assert "cannot be written" in first_use.printed


@pytest.mark.parametrize(
    ("setting", "asks"), [({}, True), ({"SOUNDSCAPE_MODELS": "off"}, False), ({"tags": "no"}, False)]
)
def test_analyze_on_a_terminal_goes_on_without_the_model(
    setting: dict[str, str], asks: bool, server: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, requests = server
    sound = tmp_path / "sound.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 22050, 0, "NONE", ""))
        file.writeframes(bytes(2 * 22050))
    environment = {
        **os.environ,
        "SOUNDSCAPE_MODELS_DIR": str(tmp_path / "models"),
        "SOUNDSCAPE_MODELS": "",
        "SOUNDSCAPE_MODELS_URL": url + "/missing",
        **setting,
    }
    arguments = ["--no-tags"] if environment.pop("tags", "") else []
    terminal, other_end = pty.openpty()
    command = [sys.executable, "-m", "soundscape", "analyze", *arguments, str(sound)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=other_end, env=environment, text=True
    ) as process:
        os.close(other_end)
        printed = _read_all(terminal)
        found, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert [each for each in requests if "yamnet.tflite" in each] == (
        ["/missing/yamnet.tflite"] if asks else []
    )
    assert ("was not downloaded" in printed) is asks
    assert ("soundscape models pull" in found) is not bool(arguments)


def _read_all(terminal: int) -> str:
    """What was written to a pseudo-terminal until its other end was closed."""
    printed = b""
    with open(terminal, "rb", buffering=0) as file, suppress(OSError):  # EIO is the end
        while piece := file.read(1 << 16):
            printed += piece
    return printed.decode()
