"""POST /token: a password, a refresh token or an auth code becomes a session."""

from __future__ import annotations

from soundscape.local.auth import flows, sessions, users
from soundscape.local.auth.call import Answer, Call
from soundscape.local.auth.errors import AuthError, feature_disabled, invalid

REFUSED = {"id_token": "Signing in with an ID token", "web3": "Web3"}


async def token(call: Call) -> Answer:
    grant = call.query("grant_type")
    if grant in REFUSED:
        raise feature_disabled(REFUSED[grant])
    if grant not in GRANTS:
        raise AuthError("invalid_credentials", "unsupported_grant_type")
    limit, sign_in = GRANTS[grant]
    call.spend(limit)
    return await sign_in(call)


async def _password(call: Call) -> Answer:
    if call.body.phone:
        raise AuthError("phone_provider_disabled")
    if not call.body.email:
        raise invalid("missing email or phone")
    if not call.settings.email.enable_signup:
        raise AuthError("email_provider_disabled")
    user = await users.by_email(call, call.body.email)
    stored = user["encrypted_password"] if user else None
    if not await users.matches(call.body.password, stored) or user is None:
        raise AuthError("invalid_credentials")
    user = await call.one("lock_user", id=user["id"])
    if user is None or user["encrypted_password"] != stored:  # changed while we compared
        raise AuthError("invalid_credentials")
    if user["email_confirmed_at"] is None:
        raise AuthError("email_not_confirmed")
    return await sessions.start(call, user, "password")


async def _refresh_token(call: Call) -> Answer:
    if not call.body.refresh_token:
        raise invalid("refresh_token required")
    return await sessions.refresh(call)


async def _pkce(call: Call) -> Answer:
    flow = await flows.exchange(call)
    user = await call.one("lock_user", id=flow["user_id"])
    if user is None:
        raise AuthError("user_not_found")
    answer = await sessions.start(call, user, flow["authentication_method"])
    given = {
        "provider_token": flow["provider_access_token"],
        "provider_refresh_token": flow["provider_refresh_token"],
    }
    return answer | {name: token for name, token in given.items() if token}


GRANTS = {
    "password": ("sign_in_sign_ups", _password),
    "refresh_token": ("token_refresh", _refresh_token),
    "pkce": ("token_verifications", _pkce),
}
