"""Every function of the Data API, by who may call it: users, owners, moderators, the worker."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from postgrest.exceptions import APIError
from supabase import AsyncClient

NOBODYS = "00000000-0000-4000-8000-000000000000"

WORKER: dict[str, dict[str, Any]] = {
    "register_worker": {"worker": "check", "version": "check", "migration": "0"},
    "claim_jobs": {"worker": "check", "max_jobs": 0, "lease_s": 1},
    "claim_previews": {"worker": "check", "max_jobs": 0, "lease_s": 1},
    "complete_preview": {"job_id": 0, "token": "0.0", "path": "check", "size_bytes": 1},
    "next_message_s": {},
    "extend_lease": {"job_id": 0, "token": "0.0", "lease_s": 1},
    "report_progress": {"job_id": 0, "token": "0.0", "stage": "analyzing", "progress": 0},
    "complete_job": {"job_id": 0, "token": "0.0", "result": {}},
    "fail_job": {"job_id": 0, "token": "0.0", "kind": "passing", "code": "c", "message": "m"},
    "reconcile": {},
    "pending_deletions": {"max_objects": 0},
    "confirm_deletions": {"bucket": "waveforms", "removed": []},
    "pending_renames": {"max_renames": 0},
    "complete_rename": {"rename_id": 0, "attempt": 0, "new_name": "none/"},
    "list_jobs": {"max_jobs": 1},
    "show_job": {"job_id": 0},
    "queue_stats": {},
    "set_queue": {},
    "retry_jobs": {"jobs": []},
    "cancel_jobs": {"jobs": []},
    "reanalyze": {"version": "check", "max_recordings": 0, "plan": True},
    "fingerprint_candidates": {"keys": [0], "frames": [0], "version": 1, "max_candidates": 1},
    "stored_fingerprints": {"recordings": []},
    "unindexed_recordings": {"version": 1, "max_recordings": 0},
    "impressions_after": {"max_rows": 1},
    "index_recording": {"recording": NOBODYS, "object_version": "check", "result": {}},
    "index_snapshot": {},
    "pending_comparisons": {"max_fingerprints": 0},
    "empty_accounts": {"max_s": 0},
    "emptied_accounts": {"max_accounts": 0},
    "complete_comparison": {"recording": NOBODYS, "others": [], "matches": []},
    "begin_fit": {"every_h": 1_000_000},
    "end_fit": {"token": NOBODYS},
    "fit_history": {"max_people": 0},
    "fit_embeddings": {"recordings": [], "space": "check"},
    "model_items": {"model": 0, "recordings": []},
    "stage_model": {"token": NOBODYS, "model": {}},
    "stage_items": {"token": NOBODYS, "model": 0, "items": []},
    "stage_cold": {"token": NOBODYS, "model": 0},
    "publish_model": {"token": NOBODYS, "model": 0},
    "clear_models": {"token": NOBODYS},
    "list_models": {"max_models": 0},
    "claim_export": {"lease_s": 0},
    "list_export": {"export": NOBODYS, "token": NOBODYS},
    "read_export": {"export": NOBODYS, "token": NOBODYS, "wanted_table": "users"},
    "save_export": {"export": NOBODYS, "token": NOBODYS},
    "restart_export": {"export": NOBODYS, "token": NOBODYS},
    "complete_export": {"export": NOBODYS, "token": NOBODYS},
    "fail_export": {"export": NOBODYS, "token": NOBODYS, "code": "c", "message": "m"},
    "claim_caption": {"lease_s": 0},
    "complete_caption": {
        "recording": NOBODYS,
        "token": NOBODYS,
        "caption": "c",
        "keywords": [],
        "model": "m",
        "version": 1,
        "tokens": 0,
    },
    "fail_caption": {"recording": NOBODYS, "token": NOBODYS, "code": "c"},
    "flag_for": {"key": "check"},
    "flags_for": {"keys": [], "user_ids": []},
    "record_download": {"recording": NOBODYS, "listener": "check"},
    "roll_up_stats": {"max_events": 0},
    "project_stats": {"days": 0},
    "claim_image_check": {"lease_s": 0},
    "complete_image_check": {"object_id": NOBODYS, "token": NOBODYS},
    "claim_delivery": {"channels": [], "lease_s": 0},
    "complete_delivery": {"delivery": NOBODYS, "token": NOBODYS},
    "fail_delivery": {"delivery": NOBODYS, "token": NOBODYS, "outcome": "later", "code": "c", "message": "m"},
    "report_channel": {"channel": "none", "is_on": False},
    "unsubscribe": {"account": NOBODYS, "kinds": []},
    "list_deliveries": {"max_deliveries": 0},
    "show_delivery": {"delivery": NOBODYS},
    "retry_deliveries": {"deliveries": []},
    "cancel_deliveries": {"deliveries": []},
    "reopen_address": {"account": NOBODYS},
    "reopen_addresses": {"code": "check"},
    "delivery_stats": {},
    "open_key_session": {"key_hash": ""},
    "record_key_session": {"key": NOBODYS, "session": NOBODYS, "expires_at": "2000-01-01T00:00:00Z"},
}

MODERATORS: dict[str, dict[str, Any]] = {
    "hide_recording": {"recording": NOBODYS, "reason": "a check"},
    "restore_recording": {"recording": NOBODYS},
    "assign_report": {"report": NOBODYS},
    "resolve_report": {"report": NOBODYS, "resolution": "dismissed", "reason": "a check"},
    "operator_overview": {},
}

OWNERS: dict[str, dict[str, Any]] = {
    "cancel_analysis": {"recording": NOBODYS},
    "retry_analysis": {"recording": NOBODYS},
    "dismiss_match": {"match": NOBODYS},
    "set_captions": {"recording": NOBODYS, "wanted": True},
    "replace_caption": {"recording": NOBODYS, "caption": "c"},
    "revoke_api_key": {"key": NOBODYS},
}

USERS = (
    "delete_my_account",
    "search_audio",
    "search_facets",
    "similar_audio",
    "similar_to_embedding",
    "radio",
    "mood_mix",
    "nearby_audio",
    "recommended_audio",
    "move_playlist_item",
    "reorder_playlist",
    "accepted_uploads",
    "create_api_key",
    "describe_audio",
    "export_my_data",
    "my_audio_stats",
    "flag",
    "flags",
    "notification_settings",
    "notification_channels",
    "save_push_subscription",
)


async def try_functions(user: AsyncClient, audio_id: str) -> AsyncIterator[str]:
    """Call every function of users and moderators. Yields a sentence per function that misbehaves."""
    found = (await user.rpc("search_audio", {"query": "check", "limit": 5}).execute()).data
    if audio_id not in str(found):
        yield "search_audio does not find the recording by its title"
    counts: Any = (await user.rpc("search_facets", {"query": "check"}).execute()).data
    if not any(row["facet"] == "all" and row["recordings"] for row in counts):
        yield "search_facets does not count what search_audio finds"
    uploads: Any = (await user.rpc("accepted_uploads", {}).execute()).data
    if not any(row["mime_types"] for row in uploads):
        yield "accepted_uploads names no type"
    described: Any = (await user.rpc("describe_audio", {"rows": [{"file_path": "check"}]}).execute()).data
    if [row["result"] for row in described] != ["refused"]:
        yield "describe_audio takes a name that is nobody's"
    known: Any = (await user.rpc("flags", {}).execute()).data
    for flag in known:
        if (await user.rpc("flag", {"key": flag["key"]}).execute()).data is not flag["is_on"]:
            yield f"flag and flags say different things of {flag['key']}"
    own: Any = (await user.rpc("my_audio_stats", {"from": "2000-01-01", "to": "2000-01-02"}).execute()).data
    if own:
        yield "my_audio_stats knows of plays before there was anything to play"
    for told in (_neighbours(user, audio_id), _playlist(user, audio_id)):
        async for sentence in told:
            yield sentence
    for name, arguments in (*MODERATORS.items(), *OWNERS.items()):
        try:
            await user.rpc(name, arguments).execute()
        except APIError as refused:
            # Ours says what permission it takes; without EXECUTE it is Postgres that refuses.
            if refused.code == "42501" and not str(refused.message).startswith("permission denied for"):
                continue
            yield f"{name} answers {refused.message}"
        else:
            yield f"{name} lets anybody do what only some may"


async def _neighbours(user: AsyncClient, audio_id: str) -> AsyncIterator[str]:
    found: Any = (await user.rpc("similar_audio", {"audio_id": audio_id, "limit": 5}).execute()).data
    if any(row["id"] == audio_id for row in found):
        yield "similar_audio finds the recording itself"
    if audio_id in str((await user.rpc("radio", {"audio_id": audio_id, "limit": 5}).execute()).data):
        yield "radio plays what it began with"
    if not (await user.table("mood_rules").select("mood").eq("mood", "calm").limit(1).execute()).data:
        yield "mood_rules says nothing of what is calm"
    if audio_id in str((await user.rpc("mood_mix", {"mood": "nature", "limit": 5}).execute()).data):
        yield "mood_mix takes a tone for nature"
    async for sentence in _try_nearby(user, audio_id):
        yield sentence
    async for sentence in _try_recommended(user, audio_id):
        yield sentence
    places: Any = (
        await user.table("audio_embeddings").select("space, embedding").eq("audio_id", audio_id).execute()
    ).data
    for place in places:
        near = {"space": place["space"], "embedding": json.loads(place["embedding"]), "limit": 5}
        if audio_id not in str((await user.rpc("similar_to_embedding", near).execute()).data):
            yield "similar_to_embedding does not find the recording at its own place"


async def _try_nearby(user: AsyncClient, audio_id: str) -> AsyncIterator[str]:
    recording = user.table("audio_files")
    await recording.update({"latitude": -48.876, "longitude": -123.393}).eq("id", audio_id).execute()
    near = {"latitude": -48.88, "longitude": -123.39, "radius_m": 5000}
    if audio_id not in str((await user.rpc("nearby_audio", near).execute()).data):
        yield "nearby_audio does not find the recording at its own place"
    await recording.update({"latitude": None, "longitude": None}).eq("id", audio_id).execute()
    if audio_id in str((await user.rpc("nearby_audio", near).execute()).data):
        yield "nearby_audio finds a recording that has no place"


async def _try_recommended(user: AsyncClient, audio_id: str) -> AsyncIterator[str]:
    offered: Any = (await user.rpc("recommended_audio", {"limit": 5, "seed": 1}).execute()).data
    if any(row["id"] == audio_id for row in offered):
        yield "recommended_audio offers the caller's own recording"
    # By GET nothing is written, so what was written is the answer above.
    await user.rpc("recommended_audio", {"seed": 1}, get=True).limit(5).execute()
    shown: Any = (await user.table("impressions").select("audio_id").order("place").execute()).data
    if [row["audio_id"] for row in shown] != [row["id"] for row in offered]:
        yield "impressions are not what recommended_audio answered"


async def _playlist(user: AsyncClient, audio_id: str) -> AsyncIterator[str]:
    made: Any = (await user.table("playlists").insert({"title": "A check"}).execute()).data
    playlist = made[0]["id"]
    items: Any = (
        await user.table("playlist_items")
        .insert([{"playlist_id": playlist, "audio_id": audio_id} for _ in range(2)])
        .execute()
    ).data
    first, second = items[0]["id"], items[1]["id"]
    await user.rpc("move_playlist_item", {"item": first, "to_position": 2}).execute()
    if await _order(user, playlist) != [second, first]:
        yield "move_playlist_item does not move"
    await user.rpc("reorder_playlist", {"playlist": playlist, "items": [first, second]}).execute()
    if await _order(user, playlist) != [first, second]:
        yield "reorder_playlist does not reorder"
    await user.table("playlists").delete().eq("id", playlist).execute()


async def _order(user: AsyncClient, playlist: str) -> list[str]:
    rows: Any = (
        await user.table("playlist_items")
        .select("id")
        .eq("playlist_id", playlist)
        .order("position")
        .execute()
    ).data
    return [row["id"] for row in rows]
