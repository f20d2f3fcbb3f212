"""Sessions: access tokens, and refresh tokens that rotate."""

from __future__ import annotations

import secrets
import time
from typing import Any

from soundscape.local.auth import users
from soundscape.local.auth.call import Call, Row
from soundscape.local.auth.errors import AuthError
from soundscape.local.auth.hook import hooked


async def start(call: Call, user: Row, method: str) -> Row:
    """Sign `user` in: a new session, the answer of `/token`. `method` is what `amr` will say.

    Raises `AuthError` (`user_banned`), or what the token hook refuses with.
    """
    if users.is_banned(user):
        raise AuthError("user_banned")
    token = secrets.token_urlsafe(18)
    session = await call.row("start_session", user_id=user["id"], method=method, token=token, **_device(call))
    return await _answer(call, session, token, method)


async def refresh(call: Call) -> Row | AuthError:
    """Swap a refresh token for a new one.

    A used token is good once more in two cases, both innocent: it is the parent of the token in force
    (the client never stored the answer), or it was used within the reuse interval (tabs race).
    Anything else revokes the whole family, which stays. Raises `AuthError`.
    """
    presented = call.body.refresh_token
    # Everybody who refreshes this session waits here, then reads what the one before left behind.
    session = await call.one("lock_session_of_token", token=presented)
    if session is None:
        raise AuthError("refresh_token_not_found")
    if users.is_banned(session):
        raise AuthError("user_banned", "Invalid Refresh Token: User Banned")
    token = await call.one("refresh_token", token=presented, reuse_interval_s=call.settings.reuse_interval_s)
    if token is None:
        raise AuthError("session_not_found", "Invalid Refresh Token: No Valid Session Found", status=400)
    issued = token["child"]
    if issued is None and token["is_stolen"]:
        await call.one("revoke_refresh_tokens", session_id=session["session_id"])
        return AuthError("refresh_token_already_used")
    if issued is None:
        issued = secrets.token_urlsafe(18)
        await call.one("rotate_refresh_token", presented=presented, token=issued)
    await call.one("touch_session", id=session["session_id"], **_device(call))
    return await _answer(call, session, issued, "token_refresh")


async def end(call: Call, user: Row, session_id: Any, scope: str) -> None:
    """Sign out: every session of the user (`global`), this one (`local`), or all but this one (`others`)."""
    scope = scope if session_id else "global"
    await call.one("end_sessions", user_id=user["id"], session_id=session_id, scope=scope)


def _device(call: Call) -> Row:
    return {"user_agent": call.request.headers.get("user-agent"), "ip": call.address}


async def _answer(call: Call, user: Row, refresh_token: str, method: str) -> Row:
    """`user` is a row of `auth.users` with a `session_id`."""
    now, lives_s = int(time.time()), call.settings.jwt_expiry_s
    methods = await call.row("methods_of_session", id=user["session_id"])
    claims: dict[str, Any] = {
        "iss": call.auth.stack.tokens.issuer,
        "sub": str(user["id"]),
        "aud": user["aud"] or "authenticated",
        "exp": now + lives_s,
        "iat": now,
        "email": user["email"] or "",
        "phone": user["phone"] or "",
        "app_metadata": user["raw_app_meta_data"] or {},
        "user_metadata": user["raw_user_meta_data"] or {},
        "role": user["role"] or "authenticated",
        "aal": "aal1",
        "amr": methods["amr"],
        "session_id": str(user["session_id"]),
        "is_anonymous": user["is_anonymous"],
    }
    claims = await hooked(call, claims, method)
    return {
        "access_token": call.auth.stack.tokens.mint(claims),
        "token_type": "bearer",
        "expires_in": lives_s,
        "expires_at": claims["exp"],
        "refresh_token": refresh_token,
        "user": await users.wire(call, user),
    }
