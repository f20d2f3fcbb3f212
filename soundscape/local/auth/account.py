"""The signed-in user: /user, /logout, /reauthenticate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from soundscape.local.auth import letters, one_time, sessions, users
from soundscape.local.auth.errors import AuthError, email_exists, invalid
from soundscape.local.auth.fields import Fields, challenge_of, query, valid_email, valid_password
from soundscape.local.auth.rows import Connection, Row
from soundscape.local.auth.service import Auth
from soundscape.local.auth.verify import take_new_email

RECENT = timedelta(hours=24)


async def get_user(auth: Auth, request: Request) -> Response:
    async with auth.transaction() as connection:
        user, _ = await auth.signed_in(connection, request)
        return JSONResponse(await users.wire(connection, user))


async def update_user(auth: Auth, request: Request) -> Response:
    fields = await Fields.of(request)
    challenge = challenge_of(fields)
    email = valid_email(fields.text("email")) if fields.text("email") else ""
    password = fields.text("password")
    if fields.text("phone"):
        raise AuthError(400, "phone_provider_disabled", "Unsupported phone provider")
    async with auth.transaction() as connection:
        user, session = await auth.signed_in(connection, request)
    if fields.has("app_metadata"):
        raise AuthError(403, "not_admin", "Updating app_metadata requires admin privileges")
    if password:
        valid_password(password, auth.settings)
        if user["is_anonymous"] and not email:
            raise invalid("Updating password of an anonymous user without an email or phone is not allowed")
        if await users.matches(password, user["encrypted_password"]):
            raise AuthError(422, "same_password", "New password should be different from the old password.")
    password_hash = await users.hashed(password) if password else ""
    async with auth.transaction() as connection:
        user, session = await auth.signed_in(connection, request, lock=True)
        if password:
            await _require_recent_proof(auth, connection, user, session, fields.text("nonce"))
            user = await users.save(connection, user, encrypted_password=password_hash)
            await sessions.end(connection, user["id"], session, "others" if session else "global")
        if (data := fields.mapping("data")) is not None:
            merged = users.merged(user["raw_user_meta_data"], data)
            user = await users.save(connection, user, raw_user_meta_data=merged)
        if email and email != user["email"]:
            user = await _change_email(auth, connection, request, user, email, challenge)
        return JSONResponse(await users.wire(connection, user))


async def logout(auth: Auth, request: Request) -> Response:
    scope = query(request, "scope") or "global"
    if scope not in ("global", "local", "others"):
        raise invalid(f'Unsupported logout scope "{scope}"')
    async with auth.transaction() as connection:
        user, session = await auth.signed_in(connection, request, lock=True)
        await sessions.end(connection, user["id"], session, scope)
    return Response(status_code=204)


async def reauthenticate(auth: Auth, request: Request) -> Response:
    async with auth.transaction() as connection:
        user, _ = await auth.signed_in(connection, request, lock=True)
        if not user["email"]:
            raise AuthError(422, "validation_failed", "Reauthentication requires the user to have an email")
        if user["email_confirmed_at"] is None:
            raise AuthError(422, "email_not_confirmed", "Please verify your email first.")
        await letters.send_reauthentication(auth, connection, user)
    return JSONResponse({})


async def _change_email(
    auth: Auth, connection: Connection, request: Request, user: Row, email: str, challenge: Any
) -> Row:
    if await users.by_email(connection, email) is not None:
        raise email_exists()
    if user["is_anonymous"] and auth.settings.autoconfirm:
        return await take_new_email(connection, user, email)
    target = auth.redirects.target(request)
    return await letters.send_email_change(auth, connection, user, email, target, challenge)


async def _require_recent_proof(
    auth: Auth, connection: Connection, user: Row, session: Row | None, nonce: str
) -> None:
    """A new password asks for a recent sign-in or a code, where `secure_password_change` is set."""
    if not auth.settings.secure_password_change:
        return
    if session is not None and datetime.now(UTC) < session["created_at"] + RECENT:
        return
    if not nonce:
        raise AuthError(400, "reauthentication_needed", "Password update requires reauthentication")
    message = "Nonce has expired or is invalid"
    found = await one_time.find_by_code(connection, user["email"] or "", nonce, ["reauthentication_token"])
    if found is None or found["user_id"] != user["id"]:
        raise AuthError(422, "reauthentication_not_valid", message)
    await one_time.spend(connection, auth.settings, found, message)
