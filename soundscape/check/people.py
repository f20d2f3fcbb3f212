"""People: signing up and in, what their token says, their profile and its picture."""

from __future__ import annotations

import jwt
from supabase_auth.errors import AuthError

from soundscape.check.runner import Broken
from soundscape.check.session import Visit, message, rows
from soundscape.project.visitor import ConfirmationWanted
from soundscape.project.visitor import sign_up as signed_up_at

HOOK = "Auth may not call it: soundscape deploy --repair, or switch it off under Authentication → Hooks."

# A single transparent pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000 1f15c4890000000d49444154789c6360000002"
    "0000050001e221bc330000000049454e44ae426082".replace(" ", "")
)


async def sign_up(visit: Visit) -> None:
    for called in ("check-owner", "check-stranger"):
        try:
            visit.visitors.append(await signed_up_at(visit.url, visit.key, called=called))
        except ConfirmationWanted as wanted:
            visit.unconfirmed.append(wanted.user_id)
            raise
        except AuthError as refused:
            if "hook" in refused.message.lower():
                raise Broken(f"The access token hook fails: {refused.message}", remedy=HOOK) from refused
            raise


async def sign_in(visit: Visit) -> None:
    for visitor in visit.visitors:
        await visitor.client.auth.sign_out()
        answer = await visitor.client.auth.sign_in_with_password(
            {"email": visitor.email, "password": visitor.password}
        )
        if answer.session is None:
            raise Broken("no session came back")
        await visitor.client.realtime.set_auth(answer.session.access_token)


async def role_claim(visit: Visit) -> None:
    session = await visit.owner.client.auth.get_session()
    # Our own token, fresh from the project: what it says is asked, not whether it holds.
    claims = jwt.decode(session.access_token, options={"verify_signature": False}) if session else {}
    if claims.get("user_role") != "user":
        raise Broken(
            "Tokens lack the claim user_role, so that a frontend cannot tell a moderator from a user."
        )


async def profile(visit: Visit) -> None:
    if not await rows(visit.owner.client, "users", "id", visit.owner.user_id):
        raise Broken("No row in users was made with the account.")
    changed = (
        await visit.owner.client.table("users")
        .update({"display_name": "A check"})
        .eq("id", visit.owner.user_id)
        .execute()
    ).data
    if not changed:
        raise Broken("Its owner cannot change it.")


async def profile_image(visit: Visit) -> None:
    bucket = visit.owner.client.storage.from_("profile-images")
    name = f"{visit.owner.user_id}/check.png"
    await bucket.upload(name, PNG, {"content-type": "image/png"})
    answer = await visit.get(f"/storage/v1/object/public/profile-images/{name}")
    removed = await bucket.remove([name])
    if answer.content != PNG:
        raise Broken(f"Nobody else can see it: {answer.status_code} {message(answer)}")
    if not removed:
        raise Broken("Its owner cannot remove it.")
