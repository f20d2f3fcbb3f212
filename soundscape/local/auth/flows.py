"""PKCE between the app and this service: a flow begins with a challenge and ends with an auth code.

The code is kept as its SHA-256, is good for five minutes, and is spent by `exchange`.
"""

from __future__ import annotations

import base64
import hmac
from hashlib import sha256
from typing import Any
from uuid import uuid4

from soundscape.local.auth.call import Call, Row
from soundscape.local.auth.errors import AuthError, invalid


async def begin(call: Call, method: str, challenge: str, challenge_method: str, **facts: Any) -> Row:
    """A new row of `auth.flow_state`; `facts` are further columns of it."""
    values = {"provider": method, "user_id": None, "referrer": None, "client_state_id": None} | facts
    return await call.row(
        "insert_flow",
        method=method,
        challenge=challenge or None,
        challenge_method=challenge_method.lower() or None,
        **values,
    )


async def issue_code(
    call: Call, user: Row, *, flow: Row | None = None, method: str = "", **tokens: Any
) -> str:
    """The auth code that ends `flow`, or else the newest that the user began by `method`.

    `tokens` are the provider's, `access_token` and `refresh_token`.
    """
    code = str(uuid4())
    values = {"access_token": None, "refresh_token": None} | tokens
    values |= {"id": flow["id"] if flow else None, "user_id": user["id"], "method": method}
    if await call.one("end_flow", auth_code=_fingerprint(code), **values) is None:
        raise AuthError("flow_state_not_found", "No valid flow state found for user.")
    return code


async def exchange(call: Call) -> Row:
    """Spend an auth code. Raises `AuthError` (`flow_state_not_found`, `flow_state_expired`,
    `bad_code_verifier`)."""
    code, verifier = call.body.auth_code, call.body.code_verifier
    if not code or not verifier:
        raise invalid("invalid request: both auth code and code verifier should be non-empty")
    flow = await call.one("flow_by_code", auth_code=_fingerprint(code))
    if flow is None:
        raise AuthError("flow_state_not_found")
    if flow["is_expired"]:
        raise AuthError("flow_state_expired")
    answer = s256(verifier) if flow["code_challenge_method"] == "s256" else verifier
    if not hmac.compare_digest(answer.encode(), flow["code_challenge"].encode()):
        raise AuthError("bad_code_verifier")
    await call.one("delete_flow", id=flow["id"])
    return flow


def s256(verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636, 4.2)."""
    return base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _fingerprint(code: str) -> str:
    return sha256(code.encode()).hexdigest()
