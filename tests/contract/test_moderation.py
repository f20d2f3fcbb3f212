"""Roles, reports, and a hidden recording: gone for everybody else at once, back when it is restored."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from postgrest.exceptions import APIError
from storage3.exceptions import StorageApiError
from supabase import AsyncClient

from tests.waiting import LIMIT_S

from .conftest import User, read_now, tone


@dataclass(frozen=True)
class Heard:
    """A recording that was analysed, and where its parts are."""

    audio_id: str
    title: str
    file_path: str
    waveform_path: str


@pytest.fixture
async def moderator(sign_up: Any, service: AsyncClient) -> User:
    user: User = await sign_up()
    await service.table("user_roles").insert({"user_id": user.id, "role": "moderator"}).execute()
    return user


@pytest.fixture
async def heard(alice: User) -> Heard:
    """Alice's public recording."""
    title = f"A word of its own {alice.id}"
    row = await alice.add(tone(931.0), title=title, is_public=True)
    await alice.ended(row["id"])
    features = (
        await alice.client.table("audio_features").select("*").eq("audio_id", row["id"]).execute()
    ).data[0]
    return Heard(row["id"], title, row["file_path"], features["waveform_path"])


async def renamed(owner: User, heard: Heard) -> Heard:
    """The recording under its new names: nobody else may keep a signed URL of what is not listed."""
    names = await owner.renamed(heard.audio_id, (heard.file_path, heard.waveform_path))
    return replace(heard, file_path=names[0], waveform_path=names[1])


async def sights(client: AsyncClient, heard: Heard) -> dict[str, bool]:
    """What of it this client gets."""
    audio, waveforms = client.storage.from_("audio-files"), client.storage.from_("waveforms")

    async def rows(query: Any) -> bool:
        return bool((await query.execute()).data)

    async def file(attempt: Any) -> bool:
        try:
            return bool(await attempt)
        except StorageApiError:
            return False

    found = client.rpc("search_audio", {"query": f'"{heard.title}"'})
    return {
        "row": await rows(client.table("audio_files").select("*").eq("id", heard.audio_id)),
        "features": await rows(client.table("audio_features").select("*").eq("audio_id", heard.audio_id)),
        "found": await rows(found),
        "file": await file(read_now(audio, heard.file_path)),
        "signed URL": await file(audio.create_signed_url(heard.file_path, 60)),
        "waveform": await file(read_now(waveforms, heard.waveform_path)),
    }


def whole(value: bool) -> dict[str, bool]:
    return dict.fromkeys(("row", "features", "found", "file", "signed URL", "waveform"), value)


async def test_hidden_for_everybody_else_at_once_and_back(
    alice: User, bob: User, anonymous: AsyncClient, moderator: User, heard: Heard
) -> None:
    clients = (alice.client, bob.client, anonymous, moderator.client)
    for client in clients:
        assert await sights(client, heard) == whole(True)
    hide = {"recording": heard.audio_id, "reason": "Not your music."}
    for client in (bob.client, anonymous, alice.client):
        with pytest.raises(APIError) as refused:
            await client.rpc("hide_recording", hide).execute()
        assert refused.value.code == "42501"

    await moderator.client.rpc("hide_recording", hide).execute()
    for client in (bob.client, anonymous):
        assert await sights(client, heard) == whole(False)
    heard = await renamed(alice, heard)
    for client in (bob.client, anonymous):
        assert await sights(client, heard) == whole(False)
    assert await sights(alice.client, heard) == whole(True)
    assert (await alice.row(heard.audio_id))["hidden_reason"] == "Not your music."
    # To be judged it must be heard and seen; search is for what is listed.
    assert await sights(moderator.client, heard) == whole(True) | {"found": False}

    table = alice.client.table("audio_files")
    with pytest.raises(APIError, match="permission denied"):
        await table.update({"hidden_at": None, "hidden_reason": None}).eq("id", heard.audio_id).execute()
    with pytest.raises(APIError) as refused:
        await alice.client.rpc("restore_recording", {"recording": heard.audio_id}).execute()
    assert refused.value.code == "42501"

    await moderator.client.rpc("restore_recording", {"recording": heard.audio_id}).execute()
    for client in clients:
        assert await sights(client, heard) == whole(True)
    assert (await alice.row(heard.audio_id))["hidden_reason"] is None


async def test_private_public_private_moves_everything_at_once(
    alice: User, bob: User, anonymous: AsyncClient, moderator: User, heard: Heard
) -> None:
    for is_public in (False, True, False):
        change = alice.client.table("audio_files").update({"is_public": is_public})
        await change.eq("id", heard.audio_id).execute()
        for client in (bob.client, anonymous, moderator.client):
            assert await sights(client, heard) == whole(is_public)
        if not is_public:
            heard = await renamed(alice, heard)
            assert await sights(bob.client, heard) == whole(False)
        assert await sights(alice.client, heard) == whole(True)


async def test_from_report_to_resolution(alice: User, bob: User, moderator: User, heard: Heard) -> None:
    reports = bob.client.table("reports")
    report = {"audio_id": heard.audio_id, "reason": "copyright", "details": "It is mine."}
    made = (await reports.insert(report).execute()).data[0]
    with pytest.raises(APIError, match="duplicate key"):
        await reports.insert(report).execute()
    with pytest.raises(APIError, match="row-level security"):
        await alice.client.table("reports").insert(report).execute()
    with pytest.raises(APIError, match="permission denied"):
        await reports.update({"resolution": "hidden"}).eq("id", made["id"]).execute()
    for name, more in (
        ("assign_report", {}),
        ("resolve_report", {"resolution": "hidden", "reason": "r"}),
    ):
        with pytest.raises(APIError) as refused:
            await bob.client.rpc(name, {"report": made["id"]} | more).execute()
        assert refused.value.code == "42501"
    assert (await alice.client.table("reports").select("*").execute()).data == []

    await moderator.client.rpc("assign_report", {"report": made["id"]}).execute()
    handled = "*, report_assignments(assignee_id)"
    seen = (await moderator.client.table("reports").select(handled).eq("id", made["id"]).execute()).data[0]
    assert (seen["status"], seen["report_assignments"]) == ("assigned", {"assignee_id": moderator.id})
    seen = (await reports.select(handled).eq("id", made["id"]).execute()).data[0]
    assert (seen["status"], seen["report_assignments"]) == ("assigned", None)
    assert moderator.id not in str(seen), "the reporter is not told who"

    ending = {"report": made["id"], "resolution": "hidden", "reason": "It is theirs."}
    await moderator.client.rpc("resolve_report", ending).execute()
    seen = (await reports.select(handled).eq("id", made["id"]).execute()).data[0]
    assert (seen["status"], seen["resolution"]) == ("resolved", "hidden")
    assert moderator.id not in str(seen)
    assert (await bob.client.table("audio_files").select("id").eq("id", heard.audio_id).execute()).data == []
    owned = await alice.row(heard.audio_id)
    assert owned["hidden_reason"] == "It is theirs."
    assert bob.id not in str(owned), "the owner is not told who reported"


def _claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


async def test_the_token_tells_of_a_role_after_a_refresh(
    alice: User, bob: User, service: AsyncClient
) -> None:
    async def claim() -> str:
        answer = await alice.client.auth.refresh_session()
        assert answer.session is not None
        return str(_claims(answer.session.access_token)["user_role"])

    assert await claim() == "user"
    with pytest.raises(APIError, match="row-level security"):
        await alice.client.table("user_roles").insert({"user_id": alice.id, "role": "admin"}).execute()
    await service.table("user_roles").insert({"user_id": alice.id, "role": "admin"}).execute()
    assert await claim() == "admin"
    roles = alice.client.table("user_roles")
    await roles.insert({"user_id": bob.id, "role": "moderator"}).execute()
    assert (await bob.client.table("user_roles").select("role").execute()).data == [{"role": "moderator"}]
    await roles.delete().eq("user_id", bob.id).execute()
    await service.table("user_roles").delete().eq("user_id", alice.id).execute()
    assert await claim() == "user"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("status", "ready"),
        ("analysis_version", "mine"),
        ("analyzed_at", "2026-01-01T00:00:00Z"),
        ("sample_rate", 1),
        ("object_id", "00000000-0000-4000-8000-000000000001"),
        ("object_version", "mine"),
        ("error_code", "mine"),
        ("hidden_at", None),
        ("is_listed", True),
        ("created_at", "2026-01-01T00:00:00Z"),
    ],
)
async def test_nobody_writes_what_is_not_theirs_to_say(alice: User, column: str, value: Any) -> None:
    path = f"{alice.id}/claimed.wav"
    table, row = alice.client.table("audio_files"), {"title": "t", "file_path": path}
    made = (await table.insert(row).execute()).data[0]
    for attempt in (
        table.insert(row | {"file_path": f"{alice.id}/other.wav", column: value}),
        table.upsert(row | {column: value}, on_conflict="file_path"),
        table.upsert({"id": made["id"], **row, column: value}),
        table.update({column: value}).eq("id", made["id"]),
    ):
        with pytest.raises(APIError) as refused:
            await attempt.execute()
        assert refused.value.code in ("42501", "428C9"), refused.value
    assert await alice.row(made["id"]) == made


@pytest.mark.parametrize("table", ["audio_features", "audio_tags", "audio_embeddings", "audio_matches"])
async def test_nobody_writes_findings(alice: User, table: str) -> None:
    for attempt in (
        alice.client.table(table).insert({}),
        alice.client.table(table).upsert({"audio_id": alice.id}),
        alice.client.table(table).delete().eq("audio_id", alice.id),
    ):
        with pytest.raises(APIError) as refused:
            await attempt.execute()
        assert refused.value.code == "42501"


async def test_a_deleted_user_leaves_nothing(
    sign_up: Any, alice: User, service: AsyncClient, target: Any
) -> None:
    """Rows go with the account; objects follow, taken away by the worker."""
    gone: User = await sign_up()
    row = await gone.add(tone(941.0), is_public=True)
    await gone.ended(row["id"])
    features = (
        await gone.client.table("audio_features").select("*").eq("audio_id", row["id"]).execute()
    ).data[0]
    await gone.client.storage.from_("profile-images").upload(
        f"{gone.id}/me.png", b"\x89PNG", {"content-type": "image/png"}
    )
    listed = (await alice.client.table("playlists").insert({"title": "t"}).execute()).data[0]["id"]
    item = {"playlist_id": listed, "audio_id": row["id"]}
    await alice.client.table("playlist_items").insert(item).execute()
    await alice.client.table("likes").insert({"audio_id": row["id"]}).execute()

    await service.auth.admin.delete_user(gone.id)
    for table, column, value in (
        ("users", "id", gone.id),
        ("user_preferences", "user_id", gone.id),
        ("audio_files", "user_id", gone.id),
        ("audio_features", "user_id", gone.id),
        ("audio_tags", "user_id", gone.id),
        ("audio_embeddings", "user_id", gone.id),
        ("playlist_items", "audio_id", row["id"]),
        ("likes", "audio_id", row["id"]),
    ):
        assert (await service.table(table).select("*").eq(column, value).execute()).data == [], table

    objects = (
        ("audio-files", row["file_path"]),
        ("waveforms", features["waveform_path"]),
        ("profile-images", f"{gone.id}/me.png"),
    )
    async with asyncio.timeout(LIMIT_S):
        for bucket, name in objects:
            folder, _, file = name.rpartition("/")
            while file in str(await service.storage.from_(bucket).list(folder)):
                await asyncio.sleep(0.2)
    async with httpx.AsyncClient() as http:
        image = await http.get(f"{target.url}/storage/v1/object/public/profile-images/{gone.id}/me.png")
    assert image.status_code == 400
