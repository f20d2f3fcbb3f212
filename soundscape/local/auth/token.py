"""POST /token: a password, a refresh token or an auth code becomes a session."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from soundscape.local.auth import flows, sessions, users
from soundscape.local.auth.errors import (
    AuthError,
    feature_disabled,
    invalid,
    invalid_credentials,
    no_phones,
    user_not_found,
)
from soundscape.local.auth.fields import Fields, query
from soundscape.local.auth.rows import Row
from soundscape.local.auth.service import Auth

REFUSED = {"id_token": "Signing in with an ID token", "web3": "Web3"}


async def token(auth: Auth, request: Request) -> Response:
    grant = query(request, "grant_type")
    if grant in REFUSED:
        raise feature_disabled(REFUSED[grant])
    if grant not in GRANTS:
        raise AuthError(400, "invalid_credentials", "unsupported_grant_type")
    limit, sign_in = GRANTS[grant]
    fields = await Fields.of(request)
    auth.limits.spend(limit, auth.address(request))
    return JSONResponse(await sign_in(auth, request, fields))


async def _password(auth: Auth, request: Request, fields: Fields) -> Row:
    email, password = fields.text("email"), fields.text("password")
    if fields.text("phone"):
        raise no_phones()
    if not email:
        raise invalid("missing email or phone")
    if not auth.settings.email_enabled:
        raise AuthError(422, "email_provider_disabled", "Email logins are disabled")
    async with auth.transaction() as connection:
        user = await users.by_email(connection, email)
    stored = user["encrypted_password"] if user else None
    if not await users.matches(password, stored) or user is None:
        raise invalid_credentials()
    async with auth.transaction() as connection:
        user = await users.by_id(connection, user["id"], lock=True)
        if user is None or user["encrypted_password"] != stored:  # changed while we compared
            raise invalid_credentials()
        if user["email_confirmed_at"] is None:
            raise AuthError(400, "email_not_confirmed", "Email not confirmed")
        return await sessions.start(auth, connection, request, user, "password")


async def _refresh_token(auth: Auth, request: Request, fields: Fields) -> Row:
    presented = fields.text("refresh_token")
    if not presented:
        raise invalid("refresh_token required")
    return await sessions.refresh(auth, request, presented)


async def _pkce(auth: Auth, request: Request, fields: Fields) -> Row:
    async with auth.transaction() as connection:
        flow = await flows.exchange(connection, fields.text("auth_code"), fields.text("code_verifier"))
        user = await users.by_id(connection, flow["user_id"], lock=True)
        if user is None:
            raise user_not_found()
        answer = await sessions.start(auth, connection, request, user, flow["authentication_method"])
    for name in ("access_token", "refresh_token"):
        if flow[f"provider_{name}"]:
            answer[f"provider_{name.removeprefix('access_')}"] = flow[f"provider_{name}"]
    return answer


GRANTS = {
    "password": ("sign_in_sign_ups", _password),
    "refresh_token": ("token_refresh", _refresh_token),
    "pkce": ("token_verifications", _pkce),
}
