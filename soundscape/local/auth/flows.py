"""PKCE between the app and this service: a flow begins with a challenge and ends with an auth code.

The code is kept as its SHA-256, is good for five minutes, and is spent by `exchange`.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from hashlib import sha256
from uuid import UUID, uuid4

from soundscape.local.auth.errors import AuthError, invalid
from soundscape.local.auth.fields import Challenge
from soundscape.local.auth.rows import Connection, Row, one


async def begin(
    connection: Connection,
    *,
    provider: str,
    method: str,
    challenge: Challenge | None,
    user_id: UUID | None = None,
    referrer: str | None = None,
    client_state_id: UUID | None = None,
) -> Row:
    flow = await one(
        connection,
        "insert_flow",
        user_id=user_id,
        challenge=challenge and challenge.text,
        challenge_method=challenge and challenge.method,
        provider=provider,
        method=method,
        referrer=referrer,
        client_state_id=client_state_id,
    )
    assert flow is not None
    return flow


async def issue_code(
    connection: Connection,
    flow: Row,
    user_id: UUID,
    *,
    access_token: str | None = None,
    refresh_token: str | None = None,
) -> str:
    """The auth code that ends `flow`, with the provider's tokens where there is one."""
    code = str(uuid4())
    await one(
        connection,
        "end_flow",
        id=flow["id"],
        auth_code=_fingerprint(code),
        user_id=user_id,
        access_token=access_token,
        refresh_token=refresh_token,
    )
    return code


async def issue_code_for(connection: Connection, user_id: UUID, method: str) -> str:
    """The auth code of the newest flow `user_id` began by mail."""
    flow = await one(connection, "newest_flow_of_user", user_id=user_id, method=method)
    if flow is None:
        raise AuthError(404, "flow_state_not_found", "No valid flow state found for user.")
    return await issue_code(connection, flow, user_id)


async def exchange(connection: Connection, auth_code: str, verifier: str) -> Row:
    """Spend an auth code. Raises `AuthError` (`flow_state_not_found`, `flow_state_expired`,
    `bad_code_verifier`)."""
    if not auth_code or not verifier:
        raise invalid("invalid request: both auth code and code verifier should be non-empty")
    flow = await one(connection, "flow_by_code", auth_code=_fingerprint(auth_code))
    if flow is None:
        raise AuthError(404, "flow_state_not_found", "invalid flow state, no valid flow state found")
    if flow["is_expired"]:
        raise AuthError(403, "flow_state_expired", "invalid flow state, flow state has expired")
    answer = s256(verifier) if flow["code_challenge_method"] == "s256" else verifier
    if not hmac.compare_digest(answer.encode(), flow["code_challenge"].encode()):
        raise AuthError(
            400, "bad_code_verifier", "code challenge does not match previously saved code verifier"
        )
    await one(connection, "delete_flow", id=flow["id"])
    return flow


def s256(verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636, 4.2)."""
    return base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def new_verifier() -> str:
    return secrets.token_urlsafe(48)


def _fingerprint(code: str) -> str:
    return sha256(code.encode()).hexdigest()
