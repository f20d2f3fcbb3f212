"""Sessions: access tokens, and refresh tokens that rotate."""

from __future__ import annotations

import secrets
import time
from typing import Any
from uuid import UUID

from starlette.requests import Request

from soundscape.local.auth import users
from soundscape.local.auth.errors import AuthError, user_banned
from soundscape.local.auth.hook import hooked
from soundscape.local.auth.rows import Connection, Row, one
from soundscape.local.auth.service import Auth


async def start(auth: Auth, connection: Connection, request: Request, user: Row, method: str) -> Row:
    """Sign `user` in: a new session, the answer of `/token`. `method` is what `amr` will say.

    Raises `AuthError` (`user_banned`), or what the token hook refuses with.
    """
    if users.is_banned(user):
        raise user_banned()
    session = await one(
        connection,
        "insert_session",
        user_id=user["id"],
        method=method,
        provider=(user["raw_app_meta_data"] or {}).get("provider", "email"),
        **_device(auth, request),
    )
    assert session is not None
    user = await users.save(connection, user, last_sign_in_at=session["created_at"])
    issued = await _refresh_token(connection, user, session["id"])
    return await _answer(auth, connection, user, session["id"], issued, method)


async def refresh(auth: Auth, request: Request, presented: str) -> Row:
    """Swap a refresh token for a new one.

    A used token is good once more in two cases, both innocent: it is the parent of the token in force
    (the client never stored the answer), or it was used within the reuse interval (tabs race).
    Anything else revokes the whole family. Raises `AuthError`.
    """
    async with auth.transaction() as connection:
        answer = await _swap(auth, connection, request, presented)
    if answer is None:  # the revocation is committed by now
        raise AuthError(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")
    return answer


async def _swap(auth: Auth, connection: Connection, request: Request, presented: str) -> Row | None:
    async def read() -> Row | None:
        interval_s = auth.settings.reuse_interval_s
        return await one(connection, "refresh_token", token=presented, reuse_interval_s=interval_s)

    token = await read()
    if token is None:
        raise AuthError(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
    # Everybody who refreshes this session waits here, then reads what the one before left behind.
    user = await users.by_id(connection, token["user_id"], lock=True)
    session = await one(connection, "lock_session", id=token["session_id"])
    token = await read()
    if user is None or session is None or token is None:
        raise AuthError(400, "session_not_found", "Invalid Refresh Token: No Valid Session Found")
    if users.is_banned(user):
        raise AuthError(400, "user_banned", "Invalid Refresh Token: User Banned")
    issued = None
    if token["revoked"]:
        active = await one(connection, "active_refresh_token", session_id=session["id"])
        if active is not None and active["parent"] == presented:
            issued = active["token"]
        elif token["is_beyond_reuse"]:
            await one(connection, "revoke_refresh_tokens", session_id=session["id"])
            return None
    if issued is None:
        await one(connection, "revoke_refresh_token", id=token["id"])
        issued = await _refresh_token(connection, user, session["id"], parent=presented)
    await one(connection, "touch_session", id=session["id"], **_device(auth, request))
    return await _answer(auth, connection, user, session["id"], issued, "token_refresh")


async def end(connection: Connection, user_id: UUID, session: Row | None, scope: str) -> None:
    """Sign out: every session of the user (`global`), this one (`local`), or all but this one (`others`)."""
    session_id = session["id"] if session else None
    scope = scope if session else "global"
    await one(connection, f"end_sessions_{scope}", user_id=user_id, session_id=session_id)


def _device(auth: Auth, request: Request) -> Row:
    return {"user_agent": request.headers.get("user-agent"), "ip": auth.address(request)}


async def _refresh_token(
    connection: Connection, user: Row, session_id: UUID, *, parent: str | None = None
) -> str:
    token = secrets.token_urlsafe(18)
    await one(
        connection,
        "insert_refresh_token",
        token=token,
        user_id=str(user["id"]),
        session_id=session_id,
        parent=parent,
    )
    return token


async def _answer(
    auth: Auth, connection: Connection, user: Row, session_id: UUID, refresh_token: str, method: str
) -> Row:
    now = int(time.time())
    methods = await one(connection, "methods_of_session", id=session_id)
    claims: dict[str, Any] = {
        "iss": auth.stack.tokens.issuer,
        "sub": str(user["id"]),
        "aud": user["aud"] or "authenticated",
        "exp": now + auth.settings.jwt_expiry_s,
        "iat": now,
        "email": user["email"] or "",
        "phone": user["phone"] or "",
        "app_metadata": user["raw_app_meta_data"] or {},
        "user_metadata": user["raw_user_meta_data"] or {},
        "role": user["role"] or "authenticated",
        "aal": "aal1",
        "amr": methods["amr"] if methods else [],
        "session_id": str(session_id),
        "is_anonymous": user["is_anonymous"],
    }
    claims = await hooked(auth.settings.token_hook, connection, claims, method)
    return {
        "access_token": auth.stack.tokens.mint(claims),
        "token_type": "bearer",
        "expires_in": auth.settings.jwt_expiry_s,
        "expires_at": claims["exp"],
        "refresh_token": refresh_token,
        "user": await users.wire(connection, user),
    }
