"""Users: sign-up, sign-in, the role in their token, their profile and its image."""

from __future__ import annotations

from contextlib import suppress

import jwt
from supabase_auth.errors import AuthError

from soundscape.check.capability import CapabilityBroken
from soundscape.check.session import CheckSession, get_error_message, select_rows
from soundscape.project import visitor
from soundscape.project.visitor import ConfirmationWanted

HOOK = "Auth may not call it: soundscape deploy --repair, or switch it off under Authentication → Hooks."

# A single grey pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a4944415478"
    "9c636800000082008177cd72b60000000049454e44ae426082"
)


async def sign_up(session: CheckSession) -> None:
    """Sign up two users: the owner of the recording and a stranger."""
    session.signed_up = True
    for name in ("owner", "stranger"):
        called = f"check-{name}-{session.tag}"
        try:
            session.visitors.append(await visitor.sign_up(session.url, session.key, called=called))
        except ConfirmationWanted as wanted:
            session.unconfirmed.append(wanted.user_id)
            raise
        except AuthError as refused:
            if "hook" in refused.message.lower():
                raise CapabilityBroken(
                    f"The access token hook fails: {refused.message}", remedy=HOOK
                ) from refused
            raise


async def sign_in(session: CheckSession) -> None:
    """Sign both users out and in again."""
    for user in session.visitors:
        await user.client.auth.sign_out()
        answer = await user.client.auth.sign_in_with_password(
            {"email": user.email, "password": user.password}
        )
        if answer.session is None:
            raise CapabilityBroken("No session came back.")
        await user.client.realtime.set_auth(answer.session.access_token)


async def check_role_claim(session: CheckSession) -> None:
    """Test that tokens carry the user's role."""
    auth_session = await session.owner.client.auth.get_session()
    # Our own token, fresh from the project: its claims are checked, not its signature.
    claims = (
        jwt.decode(auth_session.access_token, options={"verify_signature": False}) if auth_session else {}
    )
    if claims.get("user_role") != "user":
        raise CapabilityBroken(
            "Tokens lack the claim user_role, so a frontend cannot tell a moderator from a user."
        )


async def check_profile(session: CheckSession) -> None:
    """Test that an account has a profile, which its owner can change."""
    if not await select_rows(session.owner.client, "users", "id", session.owner.user_id):
        raise CapabilityBroken("The account has no row in users.")
    changed = (
        await session.owner.client.table("users")
        .update({"display_name": "A check"})
        .eq("id", session.owner.user_id)
        .execute()
    ).data
    if not changed:
        raise CapabilityBroken("Its owner cannot change it.")


async def check_profile_image(session: CheckSession) -> None:
    """Test that a user can upload and remove a profile image, which everybody sees."""
    bucket = session.owner.client.storage.from_("profile-images")
    name = f"{session.owner.user_id}/check.png"
    await bucket.upload(name, PNG, {"content-type": "image/png"})
    answer = await session.get(f"/storage/v1/object/public/profile-images/{name}")
    removed = await bucket.remove([name])
    if answer.content != PNG:
        raise CapabilityBroken(f"Nobody else can see it: {answer.status_code} {get_error_message(answer)}")
    if not removed:
        raise CapabilityBroken("Its owner cannot remove it.")


async def check_account_deletion(session: CheckSession) -> None:
    """Test that a user can delete their account, and that it is closed from then on."""
    called = f"check-leaver-{session.tag}"
    leaver = await visitor.sign_up(session.url, session.key, called=called)
    session.visitors.append(leaver)
    await leaver.client.table("playlists").insert({"title": "A check", "is_public": True}).execute()
    await leaver.client.rpc("delete_my_account").execute()
    for table, column in (("users", "id"), ("playlists", "user_id")):
        if await select_rows(session.owner.client, table, column, leaver.user_id):
            raise CapabilityBroken(f"Others still see the account in {table}.")
    with suppress(AuthError):
        await leaver.client.auth.sign_in_with_password({"email": leaver.email, "password": leaver.password})
        raise CapabilityBroken("Its user can still sign in.")
