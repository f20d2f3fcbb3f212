"""How a recording comes to be: row first, object first, described by its upload, or by nobody."""

from __future__ import annotations

import json
import secrets
import struct
from pathlib import PurePath
from typing import Any

import httpx
import pytest
from supabase import AsyncClient

from tests.audio import recordings

from .conftest import Target, User, tone


async def test_object_first(alice: User, unlike: bytes) -> None:
    row = await alice.add(unlike)
    ended = await alice.ended(row["id"])
    assert ended["status"] == "ready"
    assert ended["duration"] == pytest.approx(1.0)
    assert (ended["sample_rate"], ended["channels"], ended["size_bytes"]) == (22_050, 1, len(unlike))


async def test_row_first(alice: User, unlike: bytes) -> None:
    path = f"{alice.id}/{secrets.token_hex(8)}.wav"
    row = (
        await alice.client.table("audio_files").insert({"title": "To come", "file_path": path}).execute()
    ).data[0]
    assert row["status"] == "awaiting_upload"
    await alice.audio.upload(path, unlike, {"content-type": "audio/wav"})
    assert (await alice.ended(row["id"]))["status"] == "ready"


@pytest.mark.parametrize("folder", ["{user}", "public"])
async def test_an_upload_with_a_title_describes_itself(alice: User, unlike: bytes, folder: str) -> None:
    path = f"{folder.format(user=alice.id)}/{secrets.token_hex(8)}.wav"
    said = {"title": "Nightingale, 4 am", "tags": ["bird", "night"], "license": "CC0-1.0", "is_public": False}
    await alice.audio.upload(path, unlike, {"content-type": "audio/wav", "metadata": said})
    rows = (await alice.client.table("audio_files").select("*").eq("file_path", path).execute()).data
    assert len(rows) == 1
    assert {name: rows[0][name] for name in said} == said
    assert rows[0]["user_id"] == alice.id
    assert (await alice.ended(rows[0]["id"]))["status"] == "ready"


@pytest.mark.parametrize(
    ("setting", "said", "agrees"),
    [
        (True, {}, True),
        (True, {"fill_from_file": False}, False),
        (False, {"fill_from_file": True}, True),
        (False, {}, False),
    ],
)
async def test_when_and_where_are_read_from_the_file_if_the_owner_agrees(
    alice: User, unlike: bytes, setting: bool, said: dict[str, bool], agrees: bool
) -> None:
    """What stands in the file is in no answer about the recording otherwise."""
    guano = b"GUANO|Version: 1.0\nTimestamp: 2024-05-01T09:30:00+02:00\nLoc Position: 59.3293 18.0686\n"
    chunk = b"guan" + struct.pack("<I", len(guano)) + guano + bytes(len(guano) & 1)
    data = unlike + chunk
    data = data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    preferences = alice.client.table("user_preferences").update({"fill_from_file": setting})
    await preferences.eq("user_id", alice.id).execute()
    path = f"{alice.id}/{secrets.token_hex(8)}.wav"
    metadata = {"title": "Bats", "is_public": True, **said}
    await alice.audio.upload(path, data, {"content-type": "audio/wav", "metadata": metadata})
    rows = (await alice.client.table("audio_files").select("id").eq("file_path", path).execute()).data
    ended = await alice.ended(rows[0]["id"])
    assert ended["status"] == "ready"
    features = await alice.client.table("audio_features").select("*").eq("audio_id", ended["id"]).execute()
    assert "59.3293" not in json.dumps(features.data)
    if agrees:
        assert ended["recorded_at"] == "2024-05-01T07:30:00+00:00"
        # To a kilometre, unless the owner says otherwise.
        assert (ended["latitude"], ended["longitude"]) != (59.3293, 18.0686)
        assert (ended["latitude"], ended["longitude"]) == pytest.approx((59.3293, 18.0686), abs=0.01)
    else:
        assert (ended["recorded_at"], ended["latitude"], ended["longitude"]) == (None, None, None)


async def test_an_upload_into_somebody_elses_folder_leaves_no_row(
    target: Target, alice: User, bob: User, service: AsyncClient
) -> None:
    path = f"{bob.id}/{secrets.token_hex(8)}.wav"
    session = await alice.client.auth.get_session()
    assert session is not None
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            f"{target.url}/storage/v1/object/audio-files/{path}",
            content=tone(),
            headers={
                "apikey": target.public_key,
                "authorization": f"Bearer {session.access_token}",
                "content-type": "audio/wav",
                "x-metadata": _base64({"title": "Into somebody else's folder"}),
            },
        )
    assert (answer.status_code, answer.json()["statusCode"]) == (400, "403")
    assert (await service.table("audio_files").select("id").eq("file_path", path).execute()).data == []


async def test_new_bytes_are_heard_again_and_a_move_is_only_a_new_name(alice: User) -> None:
    row = await alice.add(tone(300.0))
    await alice.ended(row["id"])
    first = (await alice.client.table("audio_features").select("*").eq("audio_id", row["id"]).execute()).data[
        0
    ]

    await alice.audio.update(row["file_path"], tone(300.0, duration_s=2.0), {"content-type": "audio/wav"})
    ended = await alice.ended(row["id"])
    assert ended["duration"] == pytest.approx(2.0)
    second = (
        await alice.client.table("audio_features").select("*").eq("audio_id", row["id"]).execute()
    ).data[0]
    assert second["object_version"] != first["object_version"]
    assert second["sha256"] != first["sha256"]

    await alice.audio.move(row["file_path"], f"{alice.id}/moved.wav")
    moved = await alice.row(row["id"])
    assert moved["file_path"] == f"{alice.id}/moved.wav"
    assert (moved["status"], moved["analyzed_at"]) == ("ready", ended["analyzed_at"])


async def test_a_recording_whose_object_is_removed_waits_for_a_new_one(alice: User) -> None:
    row = await alice.add(tone(500.0))
    await alice.ended(row["id"])
    await alice.audio.remove([row["file_path"]])
    left = await alice.row(row["id"])
    assert (left["status"], left["analysis_version"]) == ("awaiting_upload", None)
    assert (
        await alice.client.table("audio_features").select("*").eq("audio_id", row["id"]).execute()
    ).data == []
    await alice.audio.upload(row["file_path"], tone(600.0), {"content-type": "audio/wav"})
    assert (await alice.ended(row["id"]))["status"] == "ready"


async def test_what_analysis_measures_cannot_be_written_by_its_owner(alice: User) -> None:
    row = await alice.add(tone(700.0))
    for column, value in {
        "status": "ready",
        "sample_rate": 1,
        "analysis_version": "mine",
        "user_id": alice.id,
    }.items():
        with pytest.raises(Exception, match="permission denied"):
            await alice.client.table("audio_files").update({column: value}).eq("id", row["id"]).execute()


async def test_every_kind_of_recording(alice: User) -> None:
    """Each real recording becomes ready; silence too, with no loudness instead of a made-up one."""
    rows = {}
    for name in recordings.names():
        rows[name] = await alice.add(recordings.read(name), suffix=PurePath(name).suffix, title=name)
    for name, row in rows.items():
        ended = await alice.ended(row["id"])
        assert ended["status"] == "ready", (name, ended["error_code"], ended["error_message"])
    silence = (
        await alice.client.table("audio_features")
        .select("*")
        .eq("audio_id", rows["silence.flac"]["id"])
        .execute()
    ).data[0]
    assert silence["integrated_lufs"] is None
    assert silence["sample_peak_dbfs"] is None
    assert silence["tempo_bpm"] is None
    assert silence["key"] is None


def _base64(value: dict[str, Any]) -> str:
    import base64

    return base64.b64encode(json.dumps(value).encode()).decode()
