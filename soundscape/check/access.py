"""Access: what the owner, another user and nobody can reach, and the functions each may call."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import httpx
from postgrest import CountMethod
from postgrest.exceptions import APIError
from supabase import AsyncClient

from soundscape.check import functions
from soundscape.check.capability import CapabilityBroken
from soundscape.check.session import CheckSession, is_granted, run_query, select_rows


async def _list_visible(session: CheckSession, client: AsyncClient) -> dict[str, bool]:
    """Return which parts of the recording this client can see."""
    name, waveform = await session.read_names()
    audio, waveforms = client.storage.from_("audio-files"), client.storage.from_("waveforms")
    attempts: dict[str, Awaitable[Any]] = {
        "row": select_rows(client, "audio_files", "id", session.row["id"]),
        "features": select_rows(client, "audio_features", "audio_id", session.row["id"]),
        "file": audio.download(name),
        "signed URL": audio.create_signed_url(name, 60),
        "waveform": waveforms.download(waveform),
    }
    return {what: await is_granted(attempt) for what, attempt in attempts.items()}


async def check_private(session: CheckSession) -> None:
    """Test that nobody but the owner sees or changes a private recording."""
    for who, client in (("another user", session.stranger.client), ("nobody", await session.anonymous())):
        seen = [what for what, granted in (await _list_visible(session, client)).items() if granted]
        table = client.table("audio_files")
        writes: dict[str, Awaitable[Any]] = {
            "rename it": run_query(table.update({"title": "Mine"}).eq("id", session.row["id"])),
            "delete it": run_query(client.table("audio_files").delete().eq("id", session.row["id"])),
            "add one in the owner's name": run_query(
                client.table("audio_files").insert(
                    {"title": "Mine", "user_id": session.owner.user_id, "file_path": f"{session.name}.wav"}
                )
            ),
        }
        seen += [what for what, attempt in writes.items() if await is_granted(attempt)]
        if seen:
            raise CapabilityBroken(f"A private recording: {who} gets {', '.join(seen)}.")


async def check_publishing(session: CheckSession) -> None:
    """Test that a public recording is seen by everybody, and by its owner alone once it is private again."""
    audiences = (("another user", session.stranger.client), ("nobody", await session.anonymous()))
    await make(session, is_public=True)
    try:
        for who, client in audiences:
            hidden = [what for what, granted in (await _list_visible(session, client)).items() if not granted]
            if hidden:
                raise CapabilityBroken(f"A public recording: {who} does not get {', '.join(hidden)}.")
    finally:
        # Later lines test what is private.
        await make(session, is_public=False)
    for who, client in audiences:
        left = [what for what, granted in (await _list_visible(session, client)).items() if granted]
        if left:
            raise CapabilityBroken(f"Private again: {who} still gets {', '.join(left)}.")


async def make(session: CheckSession, **columns: Any) -> None:
    """Change columns of the recording as its owner. Raises `CapabilityBroken` if that changes nothing."""
    changed = await run_query(
        session.owner.client.table("audio_files").update(columns).eq("id", session.row["id"])
    )
    if not changed:
        raise CapabilityBroken("Its owner cannot change it.")


async def check_counts(session: CheckSession) -> None:
    """Only exact counts, which row level security applies to."""
    for who, client in (("a user", session.owner.client), ("nobody", await session.anonymous())):
        table = client.table("audio_files")
        for method in (CountMethod.planned, CountMethod.estimated):
            try:
                await table.select("id", count=method).limit(1).execute()
            except APIError as refused:
                if refused.code == "PT400":
                    continue
                raise
            raise CapabilityBroken(
                f"{who} gets {method} counts, which tell through statistics how many rows others have."
            )
        await table.select("id", count=CountMethod.exact).limit(1).execute()
        if await _is_planned_behind_another(session, client):
            raise CapabilityBroken(f"{who} gets planned counts by a second Prefer header.")


async def _is_planned_behind_another(session: CheckSession, client: AsyncClient) -> bool:
    """Tell whether a second Prefer header hides the first from the project."""
    signed_in = await client.auth.get_session()
    headers = [("apikey", session.key), ("prefer", "count=planned"), ("prefer", "return=representation")]
    if signed_in is not None:
        headers.append(("authorization", f"Bearer {signed_in.access_token}"))
    async with httpx.AsyncClient(timeout=15, trust_env=False) as http:
        answer = await http.get(f"{session.url}/rest/v1/audio_files?select=id&limit=1", headers=headers)
    return answer.is_success


async def check_functions(session: CheckSession) -> None:
    """Test that the owner can call every function that users may call."""
    broken = [said async for said in functions.try_functions(session.owner.client, session.row["id"])]
    if broken:
        raise CapabilityBroken("; ".join(broken))


async def check_worker_functions(session: CheckSession) -> None:
    """Test that only the worker can call the worker's functions."""
    reached = []
    for who, client in (("a user", session.owner.client), ("nobody", await session.anonymous())):
        for name, arguments in functions.WORKER.items():
            try:
                await client.rpc(name, arguments).execute()
            except APIError as refused:
                if refused.code in ("42501", "PGRST202"):
                    continue
            reached.append(f"{name} by {who}")
    if reached:
        raise CapabilityBroken(f"open: {', '.join(reached)}")
