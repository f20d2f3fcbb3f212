"""The signed-in user: /user and /logout."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from soundscape.local.auth import letters, sessions, users
from soundscape.local.auth.errors import AuthError, email_exists, feature_disabled, invalid, no_phones
from soundscape.local.auth.fields import Challenge, Fields, query, valid_password
from soundscape.local.auth.rows import Connection, Row
from soundscape.local.auth.service import Auth
from soundscape.local.auth.verify import take_new_email


async def get_user(auth: Auth, request: Request) -> Response:
    async with auth.transaction() as connection:
        user, _ = await auth.signed_in(connection, request)
        return JSONResponse(await users.wire(connection, user))


async def update_user(auth: Auth, request: Request) -> Response:
    fields = await Fields.of(request)
    challenge, email, password = fields.challenge(), fields.email(), fields.text("password")
    if fields.text("phone"):
        raise no_phones()
    async with auth.transaction() as connection:
        user, session = await auth.signed_in(connection, request)
    if "app_metadata" in fields.values:
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
            user = await users.save(connection, user, encrypted_password=password_hash)
            await sessions.end(connection, user["id"], session, "others")
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
    auth.claims(request)
    raise feature_disabled("Reauthentication")


async def _change_email(
    auth: Auth, connection: Connection, request: Request, user: Row, email: str, challenge: Challenge | None
) -> Row:
    if await users.by_email(connection, email) is not None:
        raise email_exists()
    if user["is_anonymous"] and not auth.settings.confirmations:
        return await take_new_email(connection, user, email)
    target = auth.redirects.target(request)
    return await letters.send_email_change(auth, connection, user, email, target, challenge)
