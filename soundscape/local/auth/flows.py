"""PKCE between the app and this service: a flow begins with a challenge and ends with an auth code.

The code is kept as its SHA-256, is good for five minutes, and is spent by `exchange`.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID, uuid4

from soundscape.local.auth.errors import AuthError, invalid
from soundscape.local.auth.rows import Connection, Row, insert, one, update

EXPIRY = timedelta(minutes=5)
_KEPT = timedelta(days=1)


async def begin(
    connection: Connection,
    *,
    provider: str,
    method: str,
    challenge: tuple[str, str] | None,
    user_id: UUID | None = None,
    referrer: str | None = None,
    client_state_id: UUID | None = None,
) -> Row:
    now = datetime.now(UTC)
    await connection.execute("delete from auth.flow_state where created_at < %s", [now - _KEPT])
    code_challenge, challenge_method = challenge or (None, None)
    return await insert(
        connection,
        "flow_state",
        {
            "id": uuid4(),
            "user_id": user_id,
            "code_challenge": code_challenge,
            "code_challenge_method": challenge_method,
            "provider_type": provider,
            "authentication_method": method,
            "referrer": referrer,
            "oauth_client_state_id": client_state_id,
            "created_at": now,
            "updated_at": now,
        },
    )


async def issue_code(connection: Connection, flow: Row, **columns: object) -> str:
    """The auth code that ends `flow`."""
    code = str(uuid4())
    now = datetime.now(UTC)
    await update(
        connection,
        "flow_state",
        flow["id"],
        {"auth_code": _fingerprint(code), "auth_code_issued_at": now, "updated_at": now, **columns},
    )
    return code


async def issue_code_for(connection: Connection, user_id: UUID, method: str) -> str:
    """The auth code of the newest flow `user_id` began by mail."""
    flow = await one(
        connection,
        "select * from auth.flow_state where user_id = %s and authentication_method = %s"
        " and auth_code is null order by created_at desc limit 1 for update",
        [user_id, method],
    )
    if flow is None:
        raise AuthError(404, "flow_state_not_found", "No valid flow state found for user.")
    return await issue_code(connection, flow)


async def exchange(connection: Connection, auth_code: str, verifier: str) -> Row:
    """Spend an auth code. Raises `AuthError` (`flow_state_not_found`, `flow_state_expired`,
    `bad_code_verifier`)."""
    if not auth_code or not verifier:
        raise invalid("invalid request: both auth code and code verifier should be non-empty")
    flow = await one(
        connection,
        "select * from auth.flow_state where auth_code = %s for update",
        [_fingerprint(auth_code)],
    )
    if flow is None:
        raise AuthError(404, "flow_state_not_found", "invalid flow state, no valid flow state found")
    if datetime.now(UTC) > flow["auth_code_issued_at"] + EXPIRY:
        raise AuthError(403, "flow_state_expired", "invalid flow state, flow state has expired")
    answer = s256(verifier) if flow["code_challenge_method"] == "s256" else verifier
    if not hmac.compare_digest(answer.encode(), flow["code_challenge"].encode()):
        raise AuthError(
            400, "bad_code_verifier", "code challenge does not match previously saved code verifier"
        )
    await connection.execute("delete from auth.flow_state where id = %s", [flow["id"]])
    return flow


def s256(verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636, 4.2)."""
    return base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def new_verifier() -> str:
    return secrets.token_urlsafe(48)


def _fingerprint(code: str) -> str:
    return sha256(code.encode()).hexdigest()
