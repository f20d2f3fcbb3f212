"""The signed-in user: /user and /logout."""

from __future__ import annotations

from starlette.responses import Response

from soundscape.local.auth import letters, sessions, users
from soundscape.local.auth.body import valid_email
from soundscape.local.auth.call import Answer, Call
from soundscape.local.auth.errors import AuthError, feature_disabled, invalid
from soundscape.local.auth.verify import take_new_email


async def get_user(call: Call) -> Answer:
    user, _ = await call.signed_in()
    return await users.wire(call, user)


async def update_user(call: Call) -> Answer:
    body = call.body
    if body.phone:
        raise AuthError("phone_provider_disabled")
    email = valid_email(body.email) if body.email else ""
    user, session_id = await call.signed_in()
    if body.app_metadata:
        raise AuthError("not_admin", "Updating app_metadata requires admin privileges")
    if body.password:
        if user["is_anonymous"] and not email:
            raise invalid("Updating password of an anonymous user without an email or phone is not allowed")
        password_hash = await users.hashed(body.password, call.settings)
        if await users.matches(body.password, user["encrypted_password"]):
            raise AuthError("same_password")
        user = await users.save(call, user, encrypted_password=password_hash)
        await sessions.end(call, user, session_id, "others")
    if body.data:
        metadata = users.merged(user["raw_user_meta_data"], body.data)
        user = await users.save(call, user, raw_user_meta_data=metadata)
    if email and email != user["email"]:
        if await users.by_email(call, email) is not None:
            raise AuthError("email_exists")
        if user["is_anonymous"] and not call.settings.email.enable_confirmations:
            user = await take_new_email(call, user, email)
        else:
            user = await users.save(call, user, email_change=email, email_change_confirm_status=0)
            user = await letters.send(call, user, "email_change")
    return await users.wire(call, user)


async def logout(call: Call) -> Answer:
    scope = call.query("scope") or "global"
    if scope not in ("global", "local", "others"):
        raise invalid(f'Unsupported logout scope "{scope}"')
    user, session_id = await call.signed_in()
    await sessions.end(call, user, session_id, scope)
    return Response(status_code=204)


async def reauthenticate(call: Call) -> Answer:
    call.auth.claims(call.request)
    raise feature_disabled("Reauthentication")


async def link_identity(call: Call) -> Answer:
    call.auth.claims(call.request)
    raise AuthError("manual_linking_disabled")
