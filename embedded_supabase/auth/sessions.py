"""Sessions: `/token`, access tokens and their hook, refresh tokens that rotate."""

from __future__ import annotations

import hmac
import secrets
import time
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from embedded_supabase.auth import codes, users
from embedded_supabase.auth.body import make_s256
from embedded_supabase.auth.call import Call, Result, Row
from embedded_supabase.auth.errors import AuthError, feature_disabled, invalid

HOOK_TIMEOUT_S = 2
REQUIRED_CLAIMS = (
    "aud", "exp", "iat", "sub", "email", "phone", "role", "aal", "session_id", "is_anonymous",
)  # fmt: skip
REFUSED = {"id_token": "Signing in with an ID token", "web3": "Web3"}


async def issue_tokens(call: Call) -> Result:
    grant = call.read_query("grant_type")
    if grant in REFUSED:
        raise feature_disabled(REFUSED[grant])
    if grant not in GRANTS:
        raise AuthError("invalid_credentials", "unsupported_grant_type")
    limit, sign_in = GRANTS[grant]
    call.consume(limit)
    return await sign_in(call)


async def _grant_password(call: Call) -> Result:
    if call.body.phone:
        raise AuthError("phone_provider_disabled")
    if not call.body.email:
        raise invalid("missing email or phone")
    if not call.settings.email.enable_signup:
        raise AuthError("email_provider_disabled")
    user = await call.find("user_by_email", email=call.body.email)
    stored = user["encrypted_password"] if user else None
    if not await users.matches(call.body.password, stored) or user is None:
        raise AuthError("invalid_credentials")
    user = await call.find("lock_user", id=user["id"])
    if user is None or user["encrypted_password"] != stored:  # changed while we compared
        raise AuthError("invalid_credentials")
    if user["email_confirmed_at"] is None:
        raise AuthError("email_not_confirmed")
    return await start(call, user, "password")


async def _grant_pkce(call: Call) -> Result:
    """Spend an auth code."""
    code, verifier = call.body.auth_code, call.body.code_verifier
    if not code or not verifier:
        raise invalid("invalid request: both auth code and code verifier should be non-empty")
    flow = await call.find("flow_by_code", auth_code=codes.hash_code(code))
    if flow is None:
        raise AuthError("flow_state_not_found")
    if flow["is_expired"]:
        raise AuthError("flow_state_expired")
    challenge = make_s256(verifier) if flow["code_challenge_method"] == "s256" else verifier
    if not hmac.compare_digest(challenge.encode(), flow["code_challenge"].encode()):
        raise AuthError("bad_code_verifier")
    await call.find("delete_flow", id=flow["id"])
    user = await call.find("lock_user", id=flow["user_id"])
    if user is None:
        raise AuthError("user_not_found")
    session = await start(call, user, flow["authentication_method"])
    given = {
        "provider_token": flow["provider_access_token"],
        "provider_refresh_token": flow["provider_refresh_token"],
    }
    return session | {name: token for name, token in given.items() if token}


async def start(call: Call, user: Row, method: str) -> Row:
    """Sign `user` in: make a session and the response of `/token`. `method` goes into the claim `amr`.

    Raises `AuthError`: `user_banned`, or the token hook's own error.
    """
    if users.is_banned(user):
        raise AuthError("user_banned")
    token = secrets.token_urlsafe(18)
    session = await call.fetch(
        "start_session", user_id=user["id"], method=method, token=token, **_describe_device(call)
    )
    return await _render_session(call, session, token, method)


async def _grant_refresh(call: Call) -> Result:
    """Swap a refresh token for a new one.

    A used token is accepted again in two cases: it is the parent of the active token (the client never stored
    the response), or it was used within the reuse interval (two tabs raced). Otherwise all tokens of the
    session are revoked. Raises `AuthError`.
    """
    presented = call.body.refresh_token
    if not presented:
        raise invalid("refresh_token required")
    # Others who refresh this session wait here, and then see what this request wrote.
    session = await call.find("lock_session_of_token", token=presented)
    if session is None:
        raise AuthError("refresh_token_not_found")
    if users.is_banned(session):
        raise AuthError("user_banned", "Invalid Refresh Token: User Banned")
    token = await call.find("refresh_token", token=presented, reuse_interval_s=call.settings.reuse_interval_s)
    if token is None:
        raise AuthError("session_not_found", "Invalid Refresh Token: No Valid Session Found", status=400)
    issued = token["child"]
    if issued is None and token["is_stolen"]:
        await call.find("revoke_refresh_tokens", session_id=session["session_id"])
        return AuthError("refresh_token_already_used")
    if issued is None:
        issued = secrets.token_urlsafe(18)
        await call.find("rotate_refresh_token", presented=presented, token=issued)
    await call.find("touch_session", id=session["session_id"], **_describe_device(call))
    return await _render_session(call, session, issued, "token_refresh")


async def end(call: Call, user: Row, session_id: Any, scope: str) -> None:
    """Sign out: every session of the user (`global`), this one (`local`), or all but this one (`others`)."""
    scope = scope if session_id else "global"
    await call.find("end_sessions", user_id=user["id"], session_id=session_id, scope=scope)


def _describe_device(call: Call) -> Row:
    return {"user_agent": call.request.headers.get("user-agent"), "ip": call.address}


async def _render_session(call: Call, user: Row, refresh_token: str, method: str) -> Row:
    """The response with tokens. `user` is a row of `auth.users` with a `session_id`."""
    now, lives_s, tokens = int(time.time()), call.settings.jwt_expiry_s, call.auth.embedded.tokens
    found = await call.fetch("claims", session_id=user["session_id"])
    claims = {"iss": tokens.issuer, "iat": now, "exp": now + lives_s, **found["claims"]}
    claims = await run_hook(call, claims, method)
    return {
        "access_token": tokens.mint(claims),
        "token_type": "bearer",
        "expires_in": lives_s,
        "expires_at": claims["exp"],
        "refresh_token": refresh_token,
        "user": await users.render(call, user),
    }


async def run_hook(call: Call, claims: dict[str, Any], method: str) -> dict[str, Any]:
    """The claims after the hook, which runs as `supabase_auth_admin`, as hosted. Raises `AuthError`."""
    hook = call.settings.hook.custom_access_token
    if not hook.enabled:
        return claims
    event = {"user_id": claims["sub"], "claims": claims, "authentication_method": method}
    limit = sql.SQL("set local statement_timeout = {}")
    try:
        await call.connection.execute(limit.format(HOOK_TIMEOUT_S * 1000))
        statement = sql.SQL("select {}(%s::jsonb)").format(sql.Identifier(*hook.function))
        row = await (await call.connection.execute(statement, [Jsonb(event)])).fetchone()
        await call.connection.execute(limit.format(0))
    except psycopg.errors.QueryCanceled as error:
        message = f"Failed to run the hook within maximum time of {HOOK_TIMEOUT_S} seconds"
        raise AuthError("hook_timeout", message) from error
    except psycopg.Error as error:
        raise AuthError("unexpected_failure", f"Error running hook URI: {hook.uri}: {error}") from error
    output = row[0] if row else None
    if not isinstance(output, dict):
        raise AuthError("unexpected_failure", "Error unmarshaling JSON output from hook")
    refusal, given = output.get("error"), output.get("claims")
    if isinstance(refusal, dict) and refusal.get("message"):
        status = refusal.get("http_code")
        status = status if isinstance(status, int) and 400 <= status <= 599 else 500
        raise AuthError("unknown", str(refusal["message"]), status=status)
    checked = given if isinstance(given, dict) else {}
    if missing := [f"(root): {name} is required" for name in REQUIRED_CLAIMS if name not in checked]:
        message = f"output claims do not conform to the expected schema: {'; '.join(missing)}"
        raise AuthError("unexpected_failure", message)
    return checked


GRANTS = {
    "password": ("sign_in_sign_ups", _grant_password),
    "refresh_token": ("token_refresh", _grant_refresh),
    "pkce": ("token_verifications", _grant_pkce),
}
