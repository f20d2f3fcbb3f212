"""API keys: made and seen by their owner alone, held to their scope, and ended at once.

The session is opened here with the secret key, as the worker does it.
"""

from __future__ import annotations

from postgrest.exceptions import APIError
from storage3.exceptions import StorageApiError
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from soundscape.check.capability import CapabilityBroken
from soundscape.check.session import CheckSession, run_query, select_rows
from soundscape.check.user_data import require_refusals
from soundscape.project.client import http_client
from soundscape.project.key_sessions import KeySessions


async def check_api_keys(session: CheckSession) -> None:
    """Test a key of the scope read from its making to its end."""
    owner, user_id = session.owner.client, session.owner.user_id
    (made,) = await run_query(owner.rpc("create_api_key", {"name": "A check"}))
    if not await select_rows(owner, "api_keys", "id", made["id"]):
        raise CapabilityBroken("Its owner does not see it.")
    await require_refusals(
        "API keys",
        {
            "another user sees it": select_rows(session.stranger.client, "api_keys", "id", made["id"]),
            "nobody sees it": select_rows(await session.anonymous(), "api_keys", "id", made["id"]),
        },
    )
    script = await _sign_in(session, made["key"])
    if not await select_rows(script, "user_preferences", "user_id", user_id):
        raise CapabilityBroken("A key of the scope read does not read what its owner reads.")
    try:
        await run_query(script.table("playlists").insert({"title": "A check"}))
    except APIError as refused:
        if refused.code != "25006":
            raise
    else:
        raise CapabilityBroken("A key of the scope read writes.")
    try:
        await script.storage.from_("audio-files").upload(f"{user_id}/check-key.wav", b"RIFF")
    except StorageApiError:
        pass
    else:
        raise CapabilityBroken("A key of the scope read uploads.")
    await owner.rpc("revoke_api_key", {"key": made["id"]}).execute()
    try:
        await select_rows(script, "user_preferences", "user_id", user_id)
    except APIError as refused:
        if refused.code != "PT401":
            raise
    else:
        raise CapabilityBroken("A revoked key still reads.")


async def _sign_in(session: CheckSession, api_key: str) -> AsyncClient:
    admin = await session.admin()
    secret_key = str(session.target.secret_key)
    async with http_client() as http:
        sessions = KeySessions(admin, http, url=session.url, secret_key=secret_key)
        token = (await sessions.open(api_key)).access_token
    headers = {"Authorization": f"Bearer {token}"}
    options = AsyncClientOptions(auto_refresh_token=False, persist_session=False, headers=headers)
    return await acreate_client(session.url, session.key, options)
