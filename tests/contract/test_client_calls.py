"""The calls that the design promises to work verbatim, through supabase-py and through supabase-js."""

from __future__ import annotations

import secrets

from tests import node

from .conftest import PASSWORD, Target, User, connect, fresh_email, tone


async def test_every_call_through_supabase_py(target: Target, alice: User) -> None:
    client, user_id = alice.client, alice.id
    filename = f"{secrets.token_hex(8)}.mp3"

    profile = (await client.table("users").select("*").eq("id", user_id).execute()).data
    assert [row["id"] for row in profile] == [user_id]

    data = tone()
    stored = await client.storage.from_("audio-files").upload(
        "public/" + filename, data, {"content-type": "audio/mpeg", "cache-control": "3600"}
    )
    assert stored.path == "public/" + filename

    inserted = (
        await client.table("audio_files")
        .insert(
            [
                {
                    "title": "Verbatim",
                    "user_id": user_id,
                    "duration": 1.0,
                    "file_path": "public/" + filename,
                    "is_public": False,
                }
            ]
        )
        .execute()
    ).data
    assert inserted[0]["title"] == "Verbatim"

    mine = (await client.table("audio_files").select("*").eq("user_id", user_id).execute()).data
    assert [row["file_path"] for row in mine] == ["public/" + filename]

    signed = await client.storage.from_("audio-files").create_signed_url("public/" + filename, 3600)
    assert signed["signedURL"].startswith(target.url)
    assert await client.storage.from_("audio-files").download("public/" + filename) == data

    row = await alice.ended(inserted[0]["id"])
    assert row["status"] == "ready"
    await client.auth.sign_out()
    assert await client.auth.get_session() is None


async def test_signing_in_again_with_the_password(target: Target) -> None:
    client, email = await connect(target.url, target.public_key), fresh_email()
    made = await client.auth.sign_up({"email": email, "password": PASSWORD})
    await client.auth.sign_out()
    again = await client.auth.sign_in_with_password({"email": email, "password": PASSWORD})
    assert made.user is not None
    assert again.user is not None
    assert again.user.id == made.user.id
    assert again.session is not None


def test_every_call_through_supabase_js(target: Target) -> None:
    seen = node.run(
        "client_calls.mjs",
        {
            "url": target.url,
            "key": target.public_key,
            "email": fresh_email(),
            "password": PASSWORD,
            "filename": f"{secrets.token_hex(8)}.mp3",
            "wav": tone().hex(),
        },
    )
    assert seen["errors"] == {}
    assert seen["users"] == 1
    assert seen["status"] == "ready"
    assert seen["statuses"][-1] == "ready", "the realtime subscription saw the end"
    assert seen["duration"] == 1
    assert seen["same_bytes"]
    assert seen["signed_status"] == 206
    assert seen["stranger_rows"] == 0
    assert seen["signed_out"]
