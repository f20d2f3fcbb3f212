"""Access: what the owner, another user and nobody can reach, and the functions each may call."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from postgrest import CountMethod
from postgrest.exceptions import APIError
from supabase import AsyncClient

from soundscape.check import functions
from soundscape.check.capability import Broken
from soundscape.check.session import CheckSession, is_granted, run_query, select_rows


async def _list_visible(session: CheckSession, client: AsyncClient) -> dict[str, bool]:
    """Return which parts of the recording this client can see."""
    audio, waveforms = client.storage.from_("audio-files"), client.storage.from_("waveforms")
    attempts: dict[str, Awaitable[Any]] = {
        "row": select_rows(client, "audio_files", "id", session.row["id"]),
        "features": select_rows(client, "audio_features", "audio_id", session.row["id"]),
        "file": audio.download(session.name),
        "signed URL": audio.create_signed_url(session.name, 60),
        "waveform": waveforms.download(session.features["waveform_path"]),
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
            raise Broken(f"A private recording: {who} gets {', '.join(seen)}.")


async def check_publishing(session: CheckSession) -> None:
    """Test that a public recording is seen by everybody, and by its owner alone once it is private again."""
    audiences = (("another user", session.stranger.client), ("nobody", await session.anonymous()))
    await make(session, is_public=True)
    for who, client in audiences:
        hidden = [what for what, granted in (await _list_visible(session, client)).items() if not granted]
        if hidden:
            raise Broken(f"A public recording: {who} does not get {', '.join(hidden)}.")
    await make(session, is_public=False)
    for who, client in audiences:
        left = [what for what, granted in (await _list_visible(session, client)).items() if granted]
        if left:
            raise Broken(f"Private again: {who} still gets {', '.join(left)}.")


async def make(session: CheckSession, **columns: Any) -> None:
    """Change columns of the recording as its owner. Raises `Broken` if that changes nothing."""
    changed = await run_query(
        session.owner.client.table("audio_files").update(columns).eq("id", session.row["id"])
    )
    if not changed:
        raise Broken("Its owner cannot change it.")


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
            raise Broken(
                f"{who} gets {method} counts, which tell through statistics how many rows others have."
            )
        await table.select("id", count=CountMethod.exact).limit(1).execute()


async def check_functions(session: CheckSession) -> None:
    """Test that the owner can call every function that users may call."""
    broken = [said async for said in functions.try_functions(session.owner.client, session.row["id"])]
    if broken:
        raise Broken("; ".join(broken))


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
        raise Broken(f"open: {', '.join(reached)}")
