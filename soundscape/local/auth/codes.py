"""One-time codes and links: made, kept as hashes, spent once.

As in the real service a code of a few digits is hashed with its address (SHA-224), and the hash is
what a link carries; `pkce_` before it says that the link ends in an auth code instead of tokens.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha224
from typing import Literal

from soundscape.local.auth import users
from soundscape.local.auth.call import Call, Row
from soundscape.local.auth.errors import AuthError

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
