"""Objects: names that are not canonical, and copies between buckets, are refused by the project."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
from supabase import AsyncClient

from soundscape.check.capability import CapabilityBroken
from soundscape.check.people import PNG
from soundscape.check.session import CheckSession, get_error_message

BUCKETS = ("audio-files", "profile-images", "waveforms", "exports")
# Names in the body of a request: a proxy on the way to Storage may clean those in its path.
NOT_CANONICAL = ("check//x", "check/./x", "check/../x", "check/x/")


async def check_names(session: CheckSession) -> None:
    """Test that no bucket takes a name that is not canonical. Moves name it in the body of a request."""
    owner = session.owner.user_id
    moves = [(session.owner.client, "audio-files", session.name, b"", "")]
    moves.append((session.owner.client, "profile-images", f"{owner}/check.png", PNG, "image/png"))
    if session.target.secret_key is not None:
        # Only the worker writes here.
        moves.append((await session.admin(), "waveforms", f"{owner}/check.png", PNG, "image/png"))
    for client, bucket, name, content, media_type in moves:
        files = client.storage.from_(bucket)
        if content:
            await files.upload(name, content, {"content-type": media_type, "upsert": "true"})
        try:
            for other in NOT_CANONICAL:
                moved = {"bucketId": bucket, "sourceKey": name, "destinationKey": f"{owner}/{other}"}
                if await _is_done(session, client, "move", moved):
                    back = {"bucketId": bucket, "sourceKey": f"{owner}/{other}", "destinationKey": name}
                    await _is_done(session, client, "move", back)
                    raise CapabilityBroken(f"The bucket {bucket} takes the name {{user_id}}/{other}.")
        finally:
            if content:
                await files.remove([name])


async def check_copies(session: CheckSession) -> None:
    """Test that nobody copies a file from one bucket into another, whose types and size it goes around."""
    owner = session.owner
    sources = {"audio-files": session.name, "profile-images": f"{owner.user_id}/check-copy.png"}
    _, waveform = await session.read_names()
    if waveform:
        sources["waveforms"] = waveform
    await owner.client.storage.from_("profile-images").upload(
        sources["profile-images"], PNG, {"content-type": "image/png", "upsert": "true"}
    )
    if session.target.secret_key is not None and session.target.has_database:
        # The policy finds an export by the name that a worker gives it.
        sources["exports"] = f"{owner.user_id}/{uuid.uuid4()}.zip"
        await _make_export(session, sources["exports"])
    try:
        for source, name in sources.items():
            # What is not found is not copied either.
            await owner.client.storage.from_(source).download(name)
            for target in BUCKETS:
                if source != target or source != "audio-files":
                    await _check_copy(session, source, name, target)
    finally:
        await owner.client.storage.from_("profile-images").remove([sources["profile-images"]])
        if "exports" in sources:
            await owner.client.table("exports").delete().eq("file_path", sources["exports"]).execute()
            await (await session.admin()).storage.from_("exports").remove([sources["exports"]])


async def _check_copy(session: CheckSession, source: str, name: str, target: str) -> None:
    copied = f"{session.owner.user_id}/check-copied"
    copy = {"bucketId": source, "sourceKey": name, "destinationBucket": target, "destinationKey": copied}
    if await _is_done(session, session.owner.client, "copy", copy):
        has_key = session.target.secret_key is not None
        client = await session.admin() if has_key else session.owner.client
        await client.storage.from_(target).remove([copied])
        raise CapabilityBroken(f"A file was copied from the bucket {source} into the bucket {target}.")


async def _make_export(session: CheckSession, name: str) -> None:
    """A zip that the owner may download, as a worker leaves it."""
    files = (await session.admin()).storage.from_("exports")
    await files.upload(name, b"check", {"content-type": "application/zip", "upsert": "true"})
    values = f"('{session.owner.user_id}', 'ready', '{name}', now() + interval '1 hour')"
    await session.query(
        f"insert into public.exports (user_id, status, file_path, expires_at) values {values} returning id"  # noqa: S608
    )


async def _is_done(session: CheckSession, client: AsyncClient, what: str, names: dict[str, Any]) -> bool:
    """Move or copy an object. False if that is refused; raises `CapabilityBroken` if it fails otherwise."""
    path = f"{session.url}/storage/v1/object/{what}"
    async with httpx.AsyncClient(timeout=15, trust_env=False) as http:
        answer = await http.post(path, json=names, headers=await _get_headers(session, client))
    if answer.is_success:
        return True
    body = answer.json()
    statuses = {str(answer.status_code), str(body.get("statusCode"))}
    if "403" in statuses or body.get("code") == "InvalidKey" or (what == "copy" and "404" in statuses):
        return False
    raise CapabilityBroken(f"To {what} a file fails with {answer.status_code}: {get_error_message(answer)}")


async def _get_headers(session: CheckSession, client: AsyncClient) -> dict[str, str]:
    signed_in = await client.auth.get_session()
    if signed_in is None:
        return {"apikey": client.supabase_key, "authorization": f"Bearer {client.supabase_key}"}
    return {"apikey": session.key, "authorization": f"Bearer {signed_in.access_token}"}
