"""A signed URL ends when its recording is hidden, made private or deleted, however long it was signed for."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from supabase import AsyncClient

from tests.waiting import eventually

from .conftest import HOSTED, User, tone

TEN_YEARS_S = 10 * 365 * 24 * 3600
pytestmark = pytest.mark.skipif(HOSTED, reason="hosted, a CDN serves a signed URL for a while after its end")


async def sign_everything(client: AsyncClient, audio_id: str) -> dict[str, str]:
    """URLs of the file and of all results of a recording, by name, as somebody who may see it."""
    query = client.table("audio_files").select("file_path, audio_features(waveform_path)")
    rows: Any = (await query.eq("id", audio_id).execute()).data
    (row,) = rows
    signed = await client.storage.from_("audio-files").create_signed_url(row["file_path"], TEN_YEARS_S)
    urls = {row["file_path"]: str(signed["signedURL"])}
    waveforms = client.storage.from_("waveforms")
    folder = row["audio_features"]["waveform_path"].rpartition("/")[0]
    for item in (await waveforms.list_v2({"prefix": f"{folder}/"})).objects:
        signed = await waveforms.create_signed_url(item.name, TEN_YEARS_S)
        urls[item.name] = str(signed["signedURL"])
    assert len(urls) > 3
    return urls


async def statuses(urls: dict[str, str]) -> set[int]:
    async with httpx.AsyncClient() as http:
        return {(await http.get(url)).status_code for url in urls.values()}


async def jobs_of(service: AsyncClient, audio_id: str) -> list[Any]:
    found: Any = (await service.rpc("list_jobs", {"recording": audio_id}).execute()).data
    return [job["state"] for job in found]


@pytest.mark.parametrize("how", ["made private", "hidden", "deleted"])
async def test_old_urls_end(alice: User, bob: User, service: AsyncClient, how: str) -> None:
    sound = tone(877.0)
    audio_id = (await alice.add(sound, is_public=True))["id"]
    await alice.ended(audio_id)
    theirs, own = await sign_everything(bob.client, audio_id), await sign_everything(alice.client, audio_id)
    former = await alice.names(audio_id)
    assert await statuses(theirs) == {200}
    table = alice.client.table("audio_files")
    if how == "deleted":
        await table.delete().eq("id", audio_id).execute()
    elif how == "hidden":
        hidden = {"hidden_at": "2026-01-01T00:00:00Z", "hidden_reason": "A test."}
        await service.table("audio_files").update(hidden).eq("id", audio_id).execute()
    else:
        await table.update({"is_public": False}).eq("id", audio_id).execute()

    async def ended() -> bool:
        return await statuses(theirs | own) == {400}

    await eventually(ended, "an old URL still serves")
    if how == "deleted":
        return
    # The owner goes on with the names in the row, and nothing was analysed again.
    names = await alice.renamed(audio_id, former)
    assert await alice.audio.download(names[0]) == sound
    assert await statuses(await sign_everything(alice.client, audio_id)) == {200}
    assert (await alice.row(audio_id))["status"] == "ready"
    assert await jobs_of(service, audio_id) == ["succeeded"]


async def test_an_old_url_does_not_serve_what_comes_under_its_name_later(
    alice: User, bob: User, service: AsyncClient
) -> None:
    first = await alice.add(tone(881.0), is_public=True)
    await alice.ended(first["id"])
    urls = await sign_everything(bob.client, first["id"])
    old = {first["file_path"]: urls[first["file_path"]]}
    former = await alice.names(first["id"])
    await alice.client.table("audio_files").update({"is_public": False}).eq("id", first["id"]).execute()
    await alice.renamed(first["id"], former)

    # Private from the begin, under the name that others have signed.
    secret = tone(883.0)
    await alice.audio.upload(first["file_path"], secret, {"content-type": "audio/wav"})
    described = {"title": "Secret", "file_path": first["file_path"]}
    made: Any = (await alice.client.table("audio_files").insert(described).execute()).data

    async def ended() -> bool:
        return await statuses(old) == {400}

    await eventually(ended, "the old URL serves the new sound")
    row = await alice.ended(made[0]["id"])
    assert row["status"] == "ready"
    assert await alice.audio.download(row["file_path"]) == secret
    assert await jobs_of(service, row["id"]) == ["succeeded"]
