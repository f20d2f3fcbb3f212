"""One-time codes and links. They are stored as hashes and spent once.

As in the real service, a code of a few digits is hashed with its address (SHA-224), and a link holds the
hash. With `pkce_` before it, the link ends in an auth code instead of tokens.

A PKCE flow between the app and this service begins with a challenge and ends with an auth code. The code is
stored as its SHA-256 and is valid for five minutes.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha224, sha256
from typing import Literal
from uuid import UUID, uuid4

from embedded_supabase.auth import users
from embedded_supabase.auth.call import Call, Row
from embedded_supabase.auth.errors import AuthError

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
NO_TOKENS: Row = {"access_token": None, "refresh_token": None}


@dataclass(frozen=True)
class Code:
    """The digits to type, and the hash for a link."""

    otp: str
    token_hash: str


async def make(
    call: Call, user: Row, token_type: TokenType, address: str, *, pkce: bool = False
) -> tuple[Row, Code]:
    """Make and store a code; it replaces an earlier one of its kind. Returns the user and the code."""
    otp = "".join(secrets.choice("0123456789") for _ in range(call.settings.email.otp_length))
    token_hash = (PKCE_PREFIX if pkce else "") + _hash(address, otp)
    await call.find(
        "keep_code", user_id=user["id"], token_type=token_type, token_hash=token_hash, address=address
    )
    sent = {token_type: token_hash, SENT_AT[token_type]: datetime.now(UTC)}
    return await users.save(call, user, **sent), Code(otp, token_hash)


async def redeem(
    call: Call, types: list[TokenType], *, token_hash: str = "", address: str = "", otp: str = ""
) -> tuple[Row, TokenType]:
    """Spend the code of a link's hash, or the typed code that was sent to `address`.

    Returns its user, locked, and its kind. Raises `AuthError` when it is wrong, expired or spent.
    """
    typed = _hash(address, otp)
    hashes = [token_hash] if token_hash else [typed, PKCE_PREFIX + typed]
    lives_s = call.settings.email.otp_expiry_s
    user = await call.find("lock_user_of_code", hashes=hashes, types=types, expiry_s=lives_s)
    # Another request may have spent it while this one waited for the lock.
    if user is None or not await call.find("spend_code", id=user["code_id"]) or not user["is_fresh"]:
        raise AuthError("otp_expired", "Email link is invalid or has expired" if token_hash else "")
    if users.is_banned(user):
        raise AuthError("user_banned", status=403)
    return await users.save(call, user, **{user["token_type"]: ""}), user["token_type"]


def _hash(address: str, otp: str) -> str:
    return sha224((address + otp).encode()).hexdigest()


async def issue_code(
    call: Call, user: Row, *, flow_id: UUID | None = None, method: str = "", tokens: Row = NO_TOKENS
) -> str:
    """Make the auth code that ends a flow: that one, or the user's newest one of `method`.

    `tokens` come from the provider.
    """
    code = str(uuid4())
    ended = {"id": flow_id, "user_id": user["id"], "method": method, "auth_code": hash_code(code)}
    if await call.find("end_flow", **ended, **tokens) is None:
        raise AuthError("flow_state_not_found", "No valid flow state found for user.")
    return code


def hash_code(code: str) -> str:
    """The stored form of an auth code."""
    return sha256(code.encode()).hexdigest()
