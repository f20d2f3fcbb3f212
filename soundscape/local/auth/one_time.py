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
from soundscape.local.auth.errors import AuthError
from soundscape.local.auth.rows import Connection, Row, many, one
from soundscape.local.auth.settings import Settings

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
    settings: Settings,
    connection: Connection,
    user: Row,
    token_type: TokenType,
    address: str,
    *,
    pkce: bool = False,
) -> tuple[Row, Code]:
    """A new code, stored; an earlier one of the same kind is void. The user afterwards, and the code."""
    otp = "".join(secrets.choice("0123456789") for _ in range(settings.otp_length))
    code = Code(otp, (PKCE_PREFIX if pkce else "") + _hashed(address, otp))
    await one(
        connection,
        "keep_code",
        user_id=user["id"],
        token_type=token_type,
        token_hash=code.token_hash,
        address=address,
    )
    sent = {token_type: code.token_hash, SENT_AT[token_type]: datetime.now(UTC)}
    return await users.save(connection, user, **sent), code


async def find(
    connection: Connection, types: list[TokenType], *, token_hash: str = "", address: str = "", otp: str = ""
) -> Row | None:
    """The stored code of a link's hash, or that was sent to `address`; compared in constant time."""
    found = None
    wanted = token_hash or _hashed(address, otp)
    for row in await many(connection, "codes", token_hash=token_hash, address=address, types=types):
        stored = row["token_hash"] if token_hash else row["token_hash"].removeprefix(PKCE_PREFIX)
        if hmac.compare_digest(stored.encode(), wanted.encode()):
            found = row
    return found


async def spend(connection: Connection, settings: Settings, token: Row, message: str) -> Row:
    """Use the code up and return its user, locked. Raises `AuthError` when it is too late or too often."""
    user = await users.by_id(connection, token["user_id"], lock=True)
    spent = await one(connection, "spend_code", id=token["id"], expiry_s=settings.otp_expiry_s)
    if user is None or spent is None or not spent["is_fresh"]:
        raise AuthError(403, "otp_expired", message)
    if users.is_banned(user):
        raise AuthError(403, "user_banned", "User is banned")
    return await users.save(connection, user, **{token["token_type"]: ""})


async def void_all(connection: Connection, user: Row) -> Row:
    """Nothing sent so far is good any more."""
    await one(connection, "void_codes", user_id=user["id"])
    return await users.save(connection, user, **dict.fromkeys(SENT_AT, ""))


def _hashed(address: str, otp: str) -> str:
    return sha224((address + otp).encode()).hexdigest()
