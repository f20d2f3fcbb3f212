"""Accounts that their users delete: closed by the public API, then emptied as a worker does it."""

from __future__ import annotations

import pytest
from postgrest.exceptions import APIError
from supabase import AuthError

from soundscape.project import visitor
from soundscape.project.closed_accounts import ClosedAccounts

from .conftest import WorkerClients


async def test_from_the_call_of_its_user_to_the_end(clients: WorkerClients) -> None:
    accounts = ClosedAccounts(clients.client)
    key = clients.project.keys.publishable_key
    async with (
        visitor.signed_up_visitor(clients.project.url, key) as leaver,
        visitor.signed_up_visitor(clients.project.url, key) as stays,
    ):
        name = f"{leaver.user_id}/sound.wav"
        await leaver.client.storage.from_("audio-files").upload(
            name, b"bytes", {"content-type": "audio/wav", "metadata": {"title": "A sound"}}
        )
        listed = leaver.client.table("audio_files").select("id")
        assert len((await listed.execute()).data) == 1

        await leaver.client.rpc("delete_my_account").execute()

        # The token that is still there opens nothing.
        with pytest.raises(APIError, match="closed"):
            await leaver.client.table("audio_files").select("id").execute()
        assert await leaver.client.storage.from_("audio-files").list(leaver.user_id) == []
        with pytest.raises(AuthError):
            await leaver.client.auth.refresh_session()
        with pytest.raises(AuthError):
            await leaver.client.auth.sign_in_with_password(
                {"email": leaver.email, "password": leaver.password}
            )
        profiles = stays.client.table("users").select("id").in_("id", [leaver.user_id, stays.user_id])
        assert [row["id"] for row in (await profiles.execute()).data] == [stays.user_id]

        while await accounts.empty():
            pass
        assert leaver.user_id in await accounts.list_emptied()
        # A worker may die between the deletion and the next question: another one repeats it.
        for _ in range(2):
            await accounts.delete_user(leaver.user_id)
        assert leaver.user_id not in await accounts.list_emptied()
        assert clients.sql("select id from auth.users where id = %s", leaver.user_id) == []
        assert clients.sql("select id from public.users where id = %s", leaver.user_id) == []
        waiting = clients.sql("select name from soundscape.deletions where name = %s", name)
        assert [row["name"] for row in waiting] == [name]
