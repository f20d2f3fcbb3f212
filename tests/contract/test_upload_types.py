"""Media types under which browsers, phones and clients send recordings, and those that the bucket refuses."""

from __future__ import annotations

from typing import Any

import pytest
from storage3.exceptions import StorageApiError

from .conftest import User

SENT = [
    "audio/mpeg", "audio/wav", "audio/x-caf", "audio/mp4;codecs=opus",
    "video/mp4", "video/webm", "video/quicktime", "video/3gpp", "video/x-matroska", "video/ogg",
    "video/x-ms-asf", "video/x-msvideo", "video/mp2t", "application/ogg", "application/x-flac",
    "application/octet-stream",
]  # fmt: skip
REFUSED = ["image/png", "image/svg+xml", "text/html", "text/javascript", "application/pdf", "application/zip"]


@pytest.mark.parametrize("mime_type", SENT)
async def test_a_recording_is_accepted(alice: User, mime_type: str) -> None:
    name = f"{alice.id}/{mime_type.replace('/', '-')}"
    assert (
        await alice.audio.upload(name, b"bytes", {"content-type": mime_type, "upsert": "true"})
    ).path == name


async def test_a_recording_without_a_type_is_accepted(alice: User) -> None:
    await alice.audio.upload(f"{alice.id}/none.caf", b"bytes", {"upsert": "true"})


@pytest.mark.parametrize("mime_type", REFUSED)
async def test_what_is_no_recording_is_refused(alice: User, mime_type: str) -> None:
    with pytest.raises(StorageApiError) as refused:
        await alice.audio.upload(f"{alice.id}/x", b"bytes", {"content-type": mime_type})
    assert int(refused.value.status) == 415


async def test_frontends_are_told(alice: User) -> None:
    told: Any = (await alice.client.rpc("accepted_uploads").execute()).data
    (accepted,) = told
    assert {"audio/*", "video/*", "application/octet-stream"} <= set(accepted["mime_types"])
    assert {".caf", ".w64", ".flac", ".mp3"} <= set(accepted["extensions"])
    assert accepted["max_bytes"] == 2 << 30
