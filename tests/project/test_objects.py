"""Objects: streamed in whole or refused, stored over what was there, removed without fuss."""

from __future__ import annotations

import io
import os
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from storage3._async.file_api import AsyncBucketActionsMixin

from soundscape.cli.embedded_project import Project
from soundscape.errors import PolicyRefusal, ProjectError, ProjectUnreachable
from soundscape.project.client import connect
from soundscape.project.object_name import ObjectNameRefused
from soundscape.project.objects import AUDIO_BUCKET, WAVEFORM_BUCKET, Objects, ObjectVersion
from tests.object_names import NOT_CANONICAL

from .conftest import WorkerClients

GONE = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("size_bytes", [0, 1, (1 << 18) - 1, 1 << 18, 3_000_000])
async def test_fetched_as_it_was_stored(clients: WorkerClients, size_bytes: int) -> None:
    data = os.urandom(size_bytes)
    _, name = await clients.recording(data)
    into = io.BytesIO()
    assert await clients.objects.fetch(AUDIO_BUCKET, name, into, max_bytes=size_bytes) == size_bytes
    assert into.getvalue() == data


async def test_larger_than_allowed_is_refused_on_the_way(clients: WorkerClients) -> None:
    _, name = await clients.recording(os.urandom(2_000_000))
    into = io.BytesIO()
    with pytest.raises(PolicyRefusal) as refused:
        await clients.objects.fetch(AUDIO_BUCKET, name, into, max_bytes=500_000)
    assert (refused.value.code, refused.value.status) == ("too_large", "rejected")
    assert into.tell() <= 500_000, "what is beyond the limit is never written"


async def test_larger_than_it_was_known_by_is_another_object(clients: WorkerClients) -> None:
    _, name = await clients.recording(os.urandom(2_000_000))
    into = io.BytesIO()
    with pytest.raises(ProjectError) as changed:
        await clients.objects.fetch(
            AUDIO_BUCKET, name, into, max_bytes=1 << 30, expected=ObjectVersion(size_bytes=500_000)
        )
    assert changed.value.code == "object_changed"
    assert into.tell() <= 500_000, "what was not reserved is never written"


@pytest.mark.parametrize("name", [f"{GONE}/nothing.wav", "public/nothing.wav"])
async def test_an_object_that_is_not_there(clients: WorkerClients, name: str) -> None:
    with pytest.raises(ProjectError) as missing:
        await clients.objects.fetch(AUDIO_BUCKET, name, io.BytesIO(), max_bytes=100)
    assert not isinstance(missing.value, ProjectUnreachable)


@pytest.mark.parametrize("name", [f"{GONE}/../x.wav", "./x", f"{GONE}/%2e%2e/x", *NOT_CANONICAL])
async def test_a_name_that_is_not_canonical(clients: WorkerClients, name: str) -> None:
    """It is refused for good, and not retried as if the project had been unreachable."""
    with pytest.raises(ObjectNameRefused):
        await clients.objects.fetch(AUDIO_BUCKET, name, io.BytesIO(), max_bytes=100)


@pytest.mark.parametrize("name", [f"{GONE}/\u97f3.wav", f"{GONE}/ünicode.wav"])
async def test_a_name_that_storage_does_not_accept(clients: WorkerClients, name: str) -> None:
    with pytest.raises(ObjectNameRefused):
        await clients.objects.fetch(AUDIO_BUCKET, name, io.BytesIO(), max_bytes=100)


async def test_a_double_slash_does_not_lead_to_anothers_file(clients: WorkerClients) -> None:
    """supabase-py signs `public//x.wav` as `public/x.wav`, which may be somebody's private file."""
    name = f"public/{secrets.token_hex(4)}.wav"
    await clients.client.storage.from_("audio-files").upload(name, b"secret", {"content-type": "audio/wav"})
    into = io.BytesIO()
    with pytest.raises(ObjectNameRefused):
        await clients.objects.fetch(AUDIO_BUCKET, name.replace("/", "//"), into, max_bytes=100)
    assert into.getvalue() == b""


async def test_a_signed_url_of_another_name_is_not_followed(
    clients: WorkerClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever changed the name on the way: a client, a proxy, the server."""
    _, name = await clients.recording(b"mine")
    _, other = await clients.recording(b"another's")
    sign = AsyncBucketActionsMixin.create_signed_url

    async def sign_other(self: Any, path: str, *arguments: Any) -> Any:
        return await sign(self, other, *arguments)

    monkeypatch.setattr(AsyncBucketActionsMixin, "create_signed_url", sign_other)
    into = io.BytesIO()
    with pytest.raises(ProjectError) as refused:
        await clients.objects.fetch(AUDIO_BUCKET, name, into, max_bytes=100)
    assert (refused.value.code, into.getvalue()) == ("object_unreadable", b"")


@pytest.mark.parametrize(
    "changed",
    [
        {"version": GONE},
        {"size_bytes": 4},
        {"size_bytes": 6},
        {"etag": "0" * 32},
        # What the response to the download says is compared too.
        {"etag": "0" * 32, "version": None},
        {"size_bytes": 6, "version": None},
    ],
)
async def test_an_object_that_is_not_the_jobs(clients: WorkerClients, changed: dict[str, Any]) -> None:
    audio_id, name = await clients.recording(b"bytes")
    (row,) = clients.sql(
        "select object_version as version, size_bytes, object_etag as etag from public.audio_files "
        "where id = %s",
        audio_id,
    )
    assert None not in row.values()
    right = ObjectVersion(**row)
    assert await clients.objects.fetch(AUDIO_BUCKET, name, io.BytesIO(), max_bytes=100, expected=right) == 5
    with pytest.raises(ProjectError) as refused:
        await clients.objects.fetch(
            AUDIO_BUCKET, name, io.BytesIO(), max_bytes=100, expected=replace(right, **changed)
        )
    assert refused.value.code == "object_changed"


async def test_a_claim_says_which_object_it_means(clients: WorkerClients) -> None:
    clients.sql("delete from pgmq.q_soundscape_uploads")
    audio_id, name = await clients.recording(b"bytes")
    (job,) = await clients.queue.claim(1, lease_s=30)
    assert job.audio_id == audio_id
    expected = ObjectVersion(job.object_version, job.size_bytes, job.object_etag)
    assert None not in (expected.version, expected.size_bytes, expected.etag)
    assert (
        await clients.objects.fetch(AUDIO_BUCKET, name, io.BytesIO(), max_bytes=100, expected=expected) == 5
    )


async def test_stored_over_what_was_there(clients: WorkerClients, tmp_path: Path) -> None:
    path, name = tmp_path / "w.dat", f"{GONE}/v1/w.dat"
    for data in (b"first", b"second, and longer"):
        path.write_bytes(data)
        await clients.objects.store(WAVEFORM_BUCKET, name, path, content_type="application/octet-stream")
        into = io.BytesIO()
        await clients.objects.fetch(WAVEFORM_BUCKET, name, into, max_bytes=100)
        assert into.getvalue() == data
    row = clients.sql("select metadata from storage.objects where name = %s", name)[0]
    assert row["metadata"]["mimetype"] == "application/octet-stream"
    assert "31536000" in row["metadata"]["cacheControl"]
    await clients.objects.remove(WAVEFORM_BUCKET, [name, f"{GONE}/never/there"])
    assert clients.sql("select from storage.objects where name = %s", name) == []
    await clients.objects.remove(WAVEFORM_BUCKET, [name])


async def test_a_type_the_bucket_does_not_take(clients: WorkerClients, tmp_path: Path) -> None:
    path = tmp_path / "x.html"
    path.write_text("<script>")
    with pytest.raises(ProjectError) as refused:
        await clients.objects.store(WAVEFORM_BUCKET, f"{GONE}/v1/x", path, content_type="text/html")
    assert refused.value.code == "storage_refused"


async def test_nobody_there(tmp_path: Path) -> None:
    path = tmp_path / "w.dat"
    path.write_bytes(b"x")
    async with connect("http://127.0.0.1:9", "a key") as (client, http):
        objects = Objects(client, http)
        for attempt in (
            objects.fetch(AUDIO_BUCKET, "a/b", io.BytesIO(), max_bytes=10),
            objects.store(WAVEFORM_BUCKET, "a/b", path, content_type="image/png"),
            objects.remove(WAVEFORM_BUCKET, ["a/b"]),
        ):
            with pytest.raises(ProjectUnreachable):
                await attempt


async def test_a_strangers_key_reads_nothing(quiet: Project, clients: WorkerClients) -> None:
    _, name = await clients.recording()
    async with connect(quiet.url, quiet.keys.publishable_key) as (client, http):
        with pytest.raises(ProjectError):
            await Objects(client, http).fetch(AUDIO_BUCKET, name, io.BytesIO(), max_bytes=10)
