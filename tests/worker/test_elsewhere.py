"""The worker talks to its project and to nobody else, whatever the project answers."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from soundscape.api.keyring import Keyring
from soundscape.errors import ProjectError, UnreadableAudio
from soundscape.project.client import connect
from soundscape.project.objects import Objects
from soundscape.project.queue import Job, Queue
from tests.service import Answer, Request, Service, serving

JOB = Job(1, "t", "0" * 32, 1, "a", "u", "u/x.wav", "v", 1, "audio/wav")
SECRET = "sb_secret_of_the_worker"


def welcome(_: Request) -> Answer:
    return 200, {"content-type": "application/json"}, b"[]"


@asynccontextmanager
async def project(
    answer: Callable[[Request, str], Answer],
) -> AsyncIterator[tuple[Queue, Objects, httpx.AsyncClient, Service, Service]]:
    """A project whose answers may point to a second server; both are listened to."""
    async with serving(welcome) as elsewhere, serving(lambda request: answer(request, elsewhere.url)) as own:
        async with connect(own.url, SECRET) as (client, http):
            yield Queue(client, worker="w"), Objects(client, http), http, own, elsewhere
        assert elsewhere.requests == [], "a key went to a stranger"


def redirecting(status: int) -> Callable[[Request, str], Answer]:
    def answer(request: Request, elsewhere: str) -> Answer:
        return status, {"location": elsewhere + request.path}, b""

    return answer


CALLS: dict[str, Callable[[Queue, Objects], Any]] = {
    "claim": lambda queue, _: queue.claim(1, lease_s=60),
    "extend": lambda queue, _: queue.extend(JOB, lease_s=60),
    "progress": lambda queue, _: queue.report_progress(JOB, stage="analyzing", share=0.5),
    "complete": lambda queue, _: queue.complete(JOB, {}),
    "refuse": lambda queue, _: queue.refuse(JOB, UnreadableAudio("no")),
    "reconcile": lambda queue, _: queue.reconcile(),
    "stats": lambda queue, _: queue.read_stats(),
    "removals": lambda queue, _: queue.list_deletions(1),
    "fetch": lambda _, objects: objects.fetch("audio-files", "u/x.wav", io.BytesIO(), max_bytes=10),
    "remove": lambda _, objects: objects.remove("audio-files", ["u/x.wav"]),
}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("call", CALLS)
async def test_a_project_that_redirects(call: str, status: int) -> None:
    async with project(redirecting(status)) as (queue, objects, _, own, _elsewhere):
        with pytest.raises(ProjectError):
            await CALLS[call](queue, objects)
        assert len(own.requests) == 1


async def test_uploads_are_not_redirected(tmp_path: Path) -> None:
    file = tmp_path / "waveform.dat"
    file.write_bytes(b"peaks")
    async with project(redirecting(307)) as (_, objects, _, own, _elsewhere):
        with pytest.raises(ProjectError), file.open("rb", buffering=0) as opened:
            await objects.store(
                "waveforms", "a/waveform.dat", opened, content_type="application/octet-stream"
            )  # type: ignore[arg-type]
        assert len(own.requests) == 1


@pytest.mark.parametrize(
    "signed",
    [
        "/{elsewhere}/object/sign/audio-files/u/x.wav?token=t",
        "{elsewhere}/object/sign/audio-files/u/x.wav?token=t",
        "//127.0.0.1/object/sign/audio-files/u/x.wav",
        "///127.0.0.1:9/object/sign/x",
        "/../../rest/v1/audio_files",
        "/object/public/x",
        "/object/sign/../../../auth/v1/admin/users",
        "file:///etc/passwd",
        "xfile:///etc/passwd",
        None,
        7,
        "",
    ],
)
async def test_a_signed_url_that_leads_elsewhere(signed: Any) -> None:
    def answer(request: Request, elsewhere: str) -> Answer:
        url = signed.format(elsewhere=elsewhere) if isinstance(signed, str) else signed
        return 200, {"content-type": "application/json"}, json.dumps({"signedURL": url}).encode()

    async with project(answer) as (_, objects, _, own, _elsewhere):
        with pytest.raises(ProjectError):
            await objects.fetch("audio-files", "u/x.wav", io.BytesIO(), max_bytes=1000)
        assert [request.method for request in own.requests] == ["POST"]


async def test_the_download_itself_is_not_redirected_and_bears_no_key() -> None:
    def answer(request: Request, elsewhere: str) -> Answer:
        if request.method == "POST":
            return 200, {}, b'{"signedURL": "/object/sign/audio-files/u/x.wav?token=t"}'
        return 302, {"location": f"{elsewhere}/u/x.wav"}, b""

    async with project(answer) as (_, objects, _, own, _elsewhere):
        with pytest.raises(ProjectError):
            await objects.fetch("audio-files", "u/x.wav", io.BytesIO(), max_bytes=1000)
        sign, download = own.requests
        assert download.path == "/storage/v1/object/sign/audio-files/u/x.wav?token=t"
        assert SECRET in str(sign.headers)
        assert SECRET not in str(download.headers)


async def test_keys_are_not_fetched_elsewhere() -> None:
    async with project(redirecting(302)) as (_, _objects, http, own, _elsewhere):
        assert await Keyring(http, own.url).find("kid") is None


async def test_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(welcome) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        async with project(lambda *_: (200, {}, b"[]")) as (queue, _, _, own, _elsewhere):
            assert await queue.claim(1, lease_s=60) == []
            assert len(own.requests) == 1
        assert proxy.requests == []
