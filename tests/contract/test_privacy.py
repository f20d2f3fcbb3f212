"""What is private stays so, for strangers and for nobody: rows, features, objects, waveforms, events."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from postgrest.exceptions import APIError
from storage3.exceptions import StorageApiError
from supabase import AsyncClient

from tests.waiting import LIMIT_S

from .conftest import User, read_now, tone


@asynccontextmanager
async def events(client: AsyncClient, *tables: str) -> AsyncIterator[list[dict[str, Any]]]:
    """Every change of `tables` that the client is told of, while the block runs."""
    seen: list[dict[str, Any]] = []
    listening = asyncio.Event()
    session = await client.auth.get_session()
    if session is not None:
        await client.realtime.set_auth(session.access_token)
    channel = client.channel(f"watch-{secrets.token_hex(4)}")
    for table in tables:
        channel.on_postgres_changes("*", schema="public", table=table, callback=seen.append)
    channel.on_system(lambda _: listening.set())
    await channel.subscribe()
    await asyncio.wait_for(listening.wait(), LIMIT_S)
    try:
        yield seen
    finally:
        await client.remove_channel(channel)


async def test_a_private_recording_is_seen_by_its_owner_only(
    alice: User, bob: User, anonymous: AsyncClient
) -> None:
    watched = ("audio_files", "audio_features")
    async with (
        events(alice.client, *watched) as seen_by_alice,
        events(bob.client, *watched) as seen_by_bob,
        events(anonymous, *watched) as seen_by_nobody,
    ):
        row = await alice.add(tone(811.0))
        await alice.ended(row["id"])
        # Bob's own recording is the mark behind which alice's events would have arrived long ago.
        mark = await bob.add(tone(812.0))
        await bob.ended(mark["id"])
        async with asyncio.timeout(LIMIT_S):
            while not any(_record(event).get("status") == "ready" for event in seen_by_bob):
                await asyncio.sleep(0.02)
    own = [_record(event)["status"] for event in seen_by_alice if _table(event) == "audio_files"]
    assert own[-1] == "ready"
    assert row["id"] not in str(seen_by_bob)
    assert mark["id"] not in str(seen_by_alice)
    assert seen_by_nobody == []

    features = (
        await alice.client.table("audio_features").select("*").eq("audio_id", row["id"]).execute()
    ).data[0]
    assert await alice.client.storage.from_("waveforms").download(features["waveform_path"])

    for client in (bob.client, anonymous):
        assert (await client.table("audio_files").select("*").eq("id", row["id"]).execute()).data == []
        assert (
            await client.table("audio_features").select("*").eq("audio_id", row["id"]).execute()
        ).data == []
        for bucket, name in (("audio-files", row["file_path"]), ("waveforms", features["waveform_path"])):
            storage = client.storage.from_(bucket)
            with pytest.raises(StorageApiError):
                await storage.download(name)
            with pytest.raises(StorageApiError):
                await storage.create_signed_url(name, 60)
            assert await storage.list(name.rpartition("/")[0]) == []


async def test_public_and_back(alice: User, bob: User, anonymous: AsyncClient) -> None:
    row = await alice.add(tone(813.0), is_public=True)
    await alice.ended(row["id"])
    for client in (bob.client, anonymous):
        features = (await client.table("audio_features").select("*").eq("audio_id", row["id"]).execute()).data
        assert len(features) == 1
        assert await client.storage.from_("audio-files").download(row["file_path"]) == tone(813.0)
        assert await client.storage.from_("waveforms").download(features[0]["waveform_path"])

    await alice.client.table("audio_files").update({"is_public": False}).eq("id", row["id"]).execute()
    for client in (bob.client, anonymous):
        assert (await client.table("audio_files").select("id").eq("id", row["id"]).execute()).data == []
        assert (
            await client.table("audio_features").select("*").eq("audio_id", row["id"]).execute()
        ).data == []
        for bucket, name in (("audio-files", row["file_path"]), ("waveforms", features[0]["waveform_path"])):
            with pytest.raises(StorageApiError):
                await read_now(client.storage.from_(bucket), name)


async def test_nobody_takes_the_id_of_a_recording_that_was_deleted(alice: User, bob: User) -> None:
    """Its waveform lies there until the worker has removed it."""
    row = await alice.add(tone(818.0), is_public=True)
    await alice.ended(row["id"])
    await alice.client.table("audio_files").delete().eq("id", row["id"]).execute()
    taken = {"id": row["id"], "title": "Mine now", "file_path": f"{bob.id}/mine.wav"}
    with pytest.raises(APIError, match="permission denied"):
        await bob.client.table("audio_files").insert(taken).execute()


async def test_a_row_about_somebody_elses_object_opens_nothing(alice: User, bob: User) -> None:
    path = f"public/{secrets.token_hex(8)}.wav"
    await alice.audio.upload(path, tone(814.0), {"content-type": "audio/wav"})
    with pytest.raises(APIError, match="cannot be used"):
        await (
            bob.client.table("audio_files")
            .insert({"title": "Mine now", "file_path": path, "is_public": True})
            .execute()
        )
    with pytest.raises(StorageApiError):
        await bob.audio.download(path)


async def test_a_name_that_another_user_described_first_is_taken(alice: User, bob: User) -> None:
    path = f"public/{secrets.token_hex(8)}.wav"
    await alice.client.table("audio_files").insert({"title": "Reserved", "file_path": path}).execute()
    with pytest.raises(StorageApiError, match="cannot be used"):
        await bob.audio.upload(path, tone(815.0), {"content-type": "audio/wav"})
    await alice.audio.upload(path, tone(816.0), {"content-type": "audio/wav"})


@pytest.mark.parametrize("change", ["update", "delete"])
async def test_strangers_change_nothing(alice: User, bob: User, change: str) -> None:
    row = await alice.add(tone(817.0), is_public=True)
    table = bob.client.table("audio_files")
    query = table.update({"title": "Bob's"}) if change == "update" else table.delete()
    assert (await query.eq("id", row["id"]).execute()).data == []
    assert (await alice.row(row["id"]))["title"] == "A sound"


async def test_nobody_but_the_owner_writes_into_a_folder(
    alice: User, bob: User, anonymous: AsyncClient
) -> None:
    for client in (bob.client, anonymous):
        for bucket, name in (
            ("audio-files", f"{alice.id}/x.wav"),
            ("profile-images", f"{alice.id}/x.png"),
            ("waveforms", f"{alice.id}/x.dat"),
        ):
            with pytest.raises(StorageApiError):
                await client.storage.from_(bucket).upload(name, b"bytes", {"content-type": "audio/wav"})


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("claim_jobs", {"worker": "w", "max_jobs": 1, "lease_s": 60}),
        ("extend_lease", {"job_id": 1, "token": "1.1", "lease_s": 60}),
        ("complete_job", {"job_id": 1, "token": "1.1", "result": {}}),
        (
            "fail_job",
            {"job_id": 1, "token": "1.1", "kind": "failed", "code": "c", "message": "m"},
        ),
        ("reconcile", {}),
        ("pending_deletions", {"max_objects": 1}),
        ("confirm_deletions", {"bucket": "waveforms", "removed": []}),
        ("pending_renames", {"max_renames": 1}),
        ("complete_rename", {"rename_id": 1, "attempt": 1, "new_name": "none/"}),
    ],
)
async def test_only_the_worker_may_call(
    alice: User, anonymous: AsyncClient, function: str, arguments: dict[str, Any]
) -> None:
    for client in (alice.client, anonymous):
        with pytest.raises(APIError) as refused:
            await client.rpc(function, arguments).execute()
        assert refused.value.code in ("42501", "PGRST202")


def _record(event: dict[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = event["data"]["record"]
    return record


def _table(event: dict[str, Any]) -> str:
    return str(event["data"]["table"])
