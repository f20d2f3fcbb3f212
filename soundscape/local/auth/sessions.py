"""Sessions: access tokens, and refresh tokens that rotate."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb
from starlette.requests import Request

from soundscape.local.auth import users
from soundscape.local.auth.errors import AuthError, user_banned
from soundscape.local.auth.rows import Connection, Row, insert, many, one, update
from soundscape.local.auth.service import Auth

HOOK_TIMEOUT_S = 2
REQUIRED_CLAIMS = (
    "aud", "exp", "iat", "sub", "email", "phone", "role", "aal", "session_id", "is_anonymous",
)  # fmt: skip


async def start(
    auth: Auth, connection: Connection, request: Request, user: Row, method: str
) -> dict[str, Any]:
    """Sign `user` in: a new session, the answer of `/token`. `method` is what `amr` will say.

    Raises `AuthError` (`user_banned`), or what the token hook refuses with.
    """
    if users.is_banned(user):
        raise user_banned()
    now = datetime.now(UTC)
    session = await insert(
        connection,
        "sessions",
        {
            "id": uuid4(),
            "user_id": user["id"],
            "created_at": now,
            "updated_at": now,
            "aal": "aal1",
            "user_agent": request.headers.get("user-agent"),
            "ip": auth.address(request),
        },
    )
    await insert(
        connection,
        "mfa_amr_claims",
        {
            "id": uuid4(),
            "session_id": session["id"],
            "created_at": now,
            "updated_at": now,
            "authentication_method": method,
        },
    )
    await connection.execute(
        "update auth.identities set last_sign_in_at = %s where user_id = %s and provider = %s",
        [now, user["id"], (user["raw_app_meta_data"] or {}).get("provider", "email")],
    )
    user = await users.save(connection, user, last_sign_in_at=now)
    token = await _refresh_token(connection, user["id"], session["id"], parent=None)
    return await _answer(auth, connection, user, session["id"], token, method)


async def refresh(auth: Auth, request: Request, presented: str) -> dict[str, Any]:
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


async def _swap(
    auth: Auth, connection: Connection, request: Request, presented: str
) -> dict[str, Any] | None:
    token = await one(connection, "select * from auth.refresh_tokens where token = %s", [presented])
    if token is None:
        raise AuthError(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
    # Everybody who refreshes this session waits here, then reads what the one before left behind.
    user = await users.by_id(connection, token["user_id"], lock=True)
    session = await one(
        connection, "select * from auth.sessions where id = %s for update", [token["session_id"]]
    )
    token = await one(connection, "select * from auth.refresh_tokens where token = %s", [presented])
    if user is None or session is None or token is None:
        raise AuthError(400, "session_not_found", "Invalid Refresh Token: No Valid Session Found")
    if users.is_banned(user):
        raise AuthError(400, "user_banned", "Invalid Refresh Token: User Banned")
    _check_validity(auth, session, token)
    now = datetime.now(UTC)
    issued = None
    if token["revoked"]:
        active = await one(
            connection,
            "select * from auth.refresh_tokens where session_id = %s and not revoked order by id desc",
            [session["id"]],
        )
        if active is not None and active["parent"] == presented:
            issued = active["token"]
        elif now > token["updated_at"] + timedelta(seconds=auth.settings.reuse_interval_s):
            if auth.settings.rotate_refresh_tokens:
                await connection.execute(
                    "update auth.refresh_tokens set revoked = true, updated_at = %s"
                    " where session_id = %s and not revoked",
                    [now, session["id"]],
                )
            return None
    if issued is None:
        await update(connection, "refresh_tokens", token["id"], {"revoked": True, "updated_at": now})
        issued = await _refresh_token(connection, user["id"], session["id"], parent=presented)
    await update(
        connection,
        "sessions",
        session["id"],
        {
            "refreshed_at": now.replace(tzinfo=None),
            "updated_at": now,
            "user_agent": request.headers.get("user-agent"),
            "ip": auth.address(request),
        },
    )
    return await _answer(auth, connection, user, session["id"], issued, "token_refresh")


async def end(connection: Connection, user_id: UUID, session: Row | None, scope: str) -> None:
    """Sign out: every session of the user, this one, or all but this one."""
    if session is None or scope == "global":
        await connection.execute("delete from auth.sessions where user_id = %s", [user_id])
    elif scope == "local":
        await connection.execute("delete from auth.sessions where id = %s", [session["id"]])
    else:
        await connection.execute(
            "delete from auth.sessions where user_id = %s and id <> %s", [user_id, session["id"]]
        )


def _check_validity(auth: Auth, session: Row, token: Row) -> None:
    now = datetime.now(UTC)
    timebox, inactivity = auth.settings.session_timebox_s, auth.settings.session_inactivity_s
    past_end = session["not_after"] is not None and now > session["not_after"]
    if past_end or (timebox and now > session["created_at"] + timedelta(seconds=timebox)):
        raise AuthError(400, "session_expired", "Invalid Refresh Token: Session Expired")
    if inactivity and now > token["updated_at"] + timedelta(seconds=inactivity):
        raise AuthError(400, "session_expired", "Invalid Refresh Token: Session Expired (Inactivity)")


async def _refresh_token(
    connection: Connection, user_id: UUID, session_id: UUID, *, parent: str | None
) -> str:
    now = datetime.now(UTC)
    stored = await insert(
        connection,
        "refresh_tokens",
        {
            "instance_id": users.NOBODY,
            "token": secrets.token_urlsafe(18),
            "user_id": str(user_id),
            "revoked": False,
            "created_at": now,
            "updated_at": now,
            "parent": parent,
            "session_id": session_id,
        },
    )
    return str(stored["token"])


async def _answer(
    auth: Auth, connection: Connection, user: Row, session_id: UUID, refresh_token: str, method: str
) -> dict[str, Any]:
    claims = await _claims(auth, connection, user, session_id)
    claims = await _hooked(auth, connection, user, claims, method)
    return {
        "access_token": auth.stack.tokens.mint(claims),
        "token_type": "bearer",
        "expires_in": auth.settings.jwt_expiry_s,
        "expires_at": claims["exp"],
        "refresh_token": refresh_token,
        "user": await users.wire(connection, user),
    }


async def _claims(auth: Auth, connection: Connection, user: Row, session_id: UUID) -> dict[str, Any]:
    now = int(time.time())
    methods = await many(
        connection,
        "select authentication_method, extract(epoch from updated_at)::bigint as moment"
        " from auth.mfa_amr_claims where session_id = %s order by updated_at desc",
        [session_id],
    )
    return {
        "iss": auth.stack.tokens.issuer,
        "sub": str(user["id"]),
        "aud": user["aud"] or users.AUDIENCE,
        "exp": now + auth.settings.jwt_expiry_s,
        "iat": now,
        "email": user["email"] or "",
        "phone": user["phone"] or "",
        "app_metadata": user["raw_app_meta_data"] or {},
        "user_metadata": user["raw_user_meta_data"] or {},
        "role": user["role"] or "authenticated",
        "aal": "aal1",
        "amr": [{"method": row["authentication_method"], "timestamp": row["moment"]} for row in methods],
        "session_id": str(session_id),
        "is_anonymous": user["is_anonymous"],
    }


async def _hooked(
    auth: Auth, connection: Connection, user: Row, claims: dict[str, Any], method: str
) -> dict[str, Any]:
    """The claims after `[auth.hook.custom_access_token]`, called as `supabase_auth_admin` like hosted."""
    hook = auth.settings.token_hook
    if hook is None:
        return claims
    call = sql.SQL("select {}.{}(%s::jsonb) as answer").format(
        sql.Identifier(hook.schema), sql.Identifier(hook.function)
    )
    event = {"user_id": str(user["id"]), "claims": claims, "authentication_method": method}
    try:
        await connection.execute(
            "select set_config('statement_timeout', %s, true)", [str(HOOK_TIMEOUT_S * 1000)]
        )
        row = await one(connection, call, [Jsonb(event)])
        await connection.execute("select set_config('statement_timeout', '0', true)")
    except psycopg.errors.QueryCanceled as error:
        raise AuthError(
            422, "hook_timeout", f"Failed to run the hook within maximum time of {HOOK_TIMEOUT_S} seconds"
        ) from error
    except psycopg.Error as error:
        uri = f"pg-functions://postgres/{hook.schema}/{hook.function}"
        raise AuthError(500, "unexpected_failure", f"Error running hook URI: {uri}: {error}") from error
    answer = row["answer"] if row else None
    if not isinstance(answer, dict):
        raise AuthError(500, "unexpected_failure", "Error unmarshaling JSON output from hook")
    refusal = answer.get("error")
    if isinstance(refusal, dict) and refusal.get("message"):
        status = refusal.get("http_code")
        if not isinstance(status, int) or not 400 <= status <= 599:
            status = 500
        raise AuthError(status, "unknown", str(refusal["message"]))
    made = answer.get("claims")
    missing = [name for name in REQUIRED_CLAIMS if not isinstance(made, dict) or name not in made]
    if missing or not isinstance(made, dict):
        raise AuthError(
            500,
            "unexpected_failure",
            "output claims do not conform to the expected schema: "
            + "; ".join(f"(root): {name} is required" for name in missing),
        )
    return made
