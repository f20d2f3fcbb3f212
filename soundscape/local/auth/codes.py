"""One-time codes and links: made, kept as hashes, spent once.

As in the real service a code of a few digits is hashed with its address (SHA-224), and the hash is
what a link carries; `pkce_` before it says that the link ends in an auth code instead of tokens.

A flow of PKCE between the app and this service begins with a challenge and ends with an auth code, which
is kept as its SHA-256, is good for five minutes, and is spent by `exchange`.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha224, sha256
from typing import Any, Literal
from uuid import uuid4

from soundscape.local.auth import users
from soundscape.local.auth.call import Call, Row
from soundscape.local.auth.errors import AuthError, invalid

TokenType = Literal[
    "confirmation_token", "recovery_token", "email_change_token_new", "email_change_token_current"
]
SENT_AT: dict[TokenType, str] = {
    "confirmation_token": "confirmation_sent_at",
    "recovery_token": "recovery_sent_at",
    "email_change_token_new": "email_change_sent_at",
    "email_change_token_current": "email_change_sent_at",
}
PKCE_PREFIX = "pkce_"


@dataclass(frozen=True)
class Code:
    """What a mail carries: the digits to type, and the hash for a link."""

    otp: str
    token_hash: str


async def make(
    call: Call, user: Row, token_type: TokenType, address: str, *, pkce: bool = False
) -> tuple[Row, Code]:
    """A new code, stored; an earlier one of the same kind is void. The user afterwards, and the code."""
    otp = "".join(secrets.choice("0123456789") for _ in range(call.settings.email.otp_length))
    token_hash = (PKCE_PREFIX if pkce else "") + _hashed(address, otp)
    await call.one(
        "keep_code", user_id=user["id"], token_type=token_type, token_hash=token_hash, address=address
    )
    sent = {token_type: token_hash, SENT_AT[token_type]: datetime.now(UTC)}
    return await users.save(call, user, **sent), Code(otp, token_hash)


async def spend(
    call: Call, types: list[TokenType], *, token_hash: str = "", address: str = "", otp: str = ""
) -> tuple[Row, TokenType]:
    """Use up the code of a link's hash, or the one typed that was sent to `address`.

    Its user, locked, and its kind. Raises `AuthError` when it is wrong, too late or used before.
    """
    refusal = AuthError("otp_expired", "Email link is invalid or has expired" if token_hash else "")
    found, wanted = None, token_hash or _hashed(address, otp)
    for row in await call.many("codes", token_hash=token_hash, address=address, types=types):
        stored = row["token_hash"] if token_hash else row["token_hash"].removeprefix(PKCE_PREFIX)
        if hmac.compare_digest(stored.encode(), wanted.encode()):
            found = row
    if found is None:
        raise refusal
    user = await call.one("lock_user", id=found["user_id"])
    spent = await call.one("spend_code", id=found["id"], expiry_s=call.settings.email.otp_expiry_s)
    if user is None or spent is None or not spent["is_fresh"]:
        raise refusal
    if users.is_banned(user):
        raise AuthError("user_banned", status=403)
    return await users.save(call, user, **{found["token_type"]: ""}), found["token_type"]


async def void_all(call: Call, user: Row) -> Row:
    """Nothing sent so far is good any more."""
    await call.one("void_codes", user_id=user["id"])
    return await users.save(call, user, **dict.fromkeys(SENT_AT, ""))


def _hashed(address: str, otp: str) -> str:
    return sha224((address + otp).encode()).hexdigest()


async def begin_flow(call: Call, method: str, challenge: str, challenge_method: str, **facts: Any) -> Row:
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
