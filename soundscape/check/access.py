"""Who gets what: the owner, another user, nobody; and the functions each may call."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from postgrest.exceptions import APIError
from supabase import AsyncClient

from soundscape.check.runner import Broken
from soundscape.check.session import Visit, data, is_granted, rows
from soundscape.deploy import functions


async def sights(visit: Visit, client: AsyncClient) -> dict[str, bool]:
    """What of the recording this client gets to see."""
    audio, waveforms = client.storage.from_("audio-files"), client.storage.from_("waveforms")
    attempts: dict[str, Awaitable[Any]] = {
        "row": rows(client, "audio_files", "id", visit.row["id"]),
        "features": rows(client, "audio_features", "audio_id", visit.row["id"]),
        "file": audio.download(visit.name),
        "signed URL": audio.create_signed_url(visit.name, 60),
        "waveform": waveforms.download(visit.features["waveform_path"]),
    }
    return {what: await is_granted(attempt) for what, attempt in attempts.items()}


async def private(visit: Visit) -> None:
    for who, client in (("another user", visit.stranger.client), ("nobody", await visit.anonymous())):
        seen = [what for what, granted in (await sights(visit, client)).items() if granted]
        table = client.table("audio_files")
        writes: dict[str, Awaitable[Any]] = {
            "rename it": data(table.update({"title": "Mine"}).eq("id", visit.row["id"])),
            "delete it": data(client.table("audio_files").delete().eq("id", visit.row["id"])),
            "add one in the owner's name": data(
                client.table("audio_files").insert(
                    {"title": "Mine", "user_id": visit.owner.user_id, "file_path": f"{visit.name}.wav"}
                )
            ),
        }
        seen += [what for what, attempt in writes.items() if await is_granted(attempt)]
        if seen:
            raise Broken(f"A private recording: {who} gets {', '.join(seen)}.")


async def publish(visit: Visit) -> None:
    audiences = (("another user", visit.stranger.client), ("nobody", await visit.anonymous()))
    await make(visit, is_public=True)
    for who, client in audiences:
        hidden = [what for what, granted in (await sights(visit, client)).items() if not granted]
        if hidden:
            raise Broken(f"A public recording: {who} does not get {', '.join(hidden)}.")
    await make(visit, is_public=False)
    for who, client in audiences:
        left = [what for what, granted in (await sights(visit, client)).items() if granted]
        if left:
            raise Broken(f"Private again: {who} still gets {', '.join(left)}.")


async def make(visit: Visit, **columns: Any) -> None:
    changed = await data(visit.owner.client.table("audio_files").update(columns).eq("id", visit.row["id"]))
    if not changed:
        raise Broken("Its owner cannot change it.")


async def rpc(visit: Visit) -> None:
    broken = [said async for said in functions.tried(visit.owner.client, visit.row["id"])]
    if broken:
        raise Broken("; ".join(broken))


async def closed(visit: Visit) -> None:
    reached = []
    for who, client in (("a user", visit.owner.client), ("nobody", await visit.anonymous())):
        for name, arguments in functions.WORKER.items():
            try:
                await client.rpc(name, arguments).execute()
            except APIError as refused:
                if refused.code in ("42501", "PGRST202"):
                    continue
            reached.append(f"{name} by {who}")
    if reached:
        raise Broken(f"open: {', '.join(reached)}")
