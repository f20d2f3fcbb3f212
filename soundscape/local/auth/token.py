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
    user_banned,
    user_not_found,
)
from soundscape.local.auth.fields import Fields, query
from soundscape.local.auth.service import Auth


async def token(auth: Auth, request: Request) -> Response:
    match query(request, "grant_type"):
        case "password":
            return await _password(auth, request)
        case "refresh_token":
            return await _refresh_token(auth, request)
        case "pkce":
            return await _pkce(auth, request)
        case "id_token":
            raise feature_disabled("Signing in with an ID token")
        case "web3":
            raise feature_disabled("Web3")
        case _:
            raise AuthError(400, "invalid_credentials", "unsupported_grant_type")


async def _password(auth: Auth, request: Request) -> Response:
    fields = await Fields.of(request)
    auth.limits.spend("sign_in_sign_ups", auth.address(request))
    email, password = fields.text("email"), fields.text("password")
    if email and fields.text("phone"):
        raise invalid("Only an email address or phone number should be provided on login.")
    if fields.text("phone"):
        raise AuthError(422, "phone_provider_disabled", "Phone logins are disabled")
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
        if users.is_banned(user):
            raise user_banned()
        if user["email_confirmed_at"] is None:
            raise AuthError(400, "email_not_confirmed", "Email not confirmed")
        return JSONResponse(await sessions.start(auth, connection, request, user, "password"))


async def _refresh_token(auth: Auth, request: Request) -> Response:
    fields = await Fields.of(request)
    auth.limits.spend("token_refresh", auth.address(request))
    presented = fields.text("refresh_token")
    if not presented:
        raise invalid("refresh_token required")
    return JSONResponse(await sessions.refresh(auth, request, presented))


async def _pkce(auth: Auth, request: Request) -> Response:
    fields = await Fields.of(request)
    auth.limits.spend("token_verifications", auth.address(request))
    async with auth.transaction() as connection:
        flow = await flows.exchange(connection, fields.text("auth_code"), fields.text("code_verifier"))
        user = await users.by_id(connection, flow["user_id"], lock=True)
        if user is None:
            raise user_not_found()
        answer = await sessions.start(auth, connection, request, user, flow["authentication_method"])
    for name, column in (
        ("provider_token", "provider_access_token"),
        ("provider_refresh_token", "provider_refresh_token"),
    ):
        if flow[column]:
            answer[name] = flow[column]
    return JSONResponse(answer)
