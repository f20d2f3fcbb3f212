"""One-time codes and links: made, kept as hashes, spent once.

As in the real service a code of a few digits is hashed with its address (SHA-224), and the hash is
what a link carries; `pkce_` before it says that the link ends in an auth code instead of tokens.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha224
from typing import Literal
from uuid import uuid4

from soundscape.local.auth import users
from soundscape.local.auth.errors import AuthError
from soundscape.local.auth.rows import Connection, Row, many, one
from soundscape.local.auth.settings import Settings

TokenType = Literal[
    "confirmation_token",
    "recovery_token",
    "email_change_token_new",
    "email_change_token_current",
    "reauthentication_token",
]
SENT_AT: dict[TokenType, str] = {
    "confirmation_token": "confirmation_sent_at",
    "recovery_token": "recovery_sent_at",
    "email_change_token_new": "email_change_sent_at",
    "email_change_token_current": "email_change_sent_at",
    "reauthentication_token": "reauthentication_sent_at",
}
PKCE_PREFIX = "pkce_"


@dataclass(frozen=True)
class Code:
    """What a mail carries: the digits to type, and the hash for a link."""

    otp: str
    token_hash: str


def make(settings: Settings, address: str, *, pkce: bool = False) -> Code:
    otp = "".join(secrets.choice("0123456789") for _ in range(settings.otp_length))
    return Code(otp, (PKCE_PREFIX if pkce else "") + hashed(address, otp))


def hashed(address: str, otp: str) -> str:
    return sha224((address + otp).encode()).hexdigest()


async def keep(connection: Connection, user: Row, token_type: TokenType, address: str, code: Code) -> Row:
    """Store the code; an earlier one of the same kind is void. The user afterwards."""
    await connection.execute(
        "insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to)"
        " values (%s, %s, %s, %s, %s)"
        " on conflict (user_id, token_type) do update set id = excluded.id,"
        " token_hash = excluded.token_hash, relates_to = excluded.relates_to,"
        " created_at = excluded.created_at, updated_at = excluded.updated_at",
        [uuid4(), user["id"], token_type, code.token_hash, address],
    )
    return await users.save(
        connection, user, **{token_type: code.token_hash, SENT_AT[token_type]: datetime.now(UTC)}
    )


async def find_by_hash(connection: Connection, token_hash: str, types: list[TokenType]) -> Row | None:
    return await one(
        connection,
        "select * from auth.one_time_tokens where token_hash = %s"
        " and token_type = any(%s::auth.one_time_token_type[])",
        [token_hash, types],
    )


async def find_by_code(connection: Connection, address: str, otp: str, types: list[TokenType]) -> Row | None:
    """The stored code that was sent to `address`, compared in constant time."""
    wanted = hashed(address, otp)
    sent = await many(
        connection,
        "select * from auth.one_time_tokens where relates_to = %s"
        " and token_type = any(%s::auth.one_time_token_type[])",
        [address, types],
    )
    found = None
    for row in sent:
        if hmac.compare_digest(row["token_hash"].removeprefix(PKCE_PREFIX), wanted):
            found = row
    return found


async def spend(connection: Connection, settings: Settings, token: Row, message: str) -> Row:
    """Use the code up and return its user, locked. Raises `AuthError` when it is too late or too often."""
    user = await users.by_id(connection, token["user_id"], lock=True)
    spent = await one(
        connection, "delete from auth.one_time_tokens where id = %s returning created_at", [token["id"]]
    )
    if user is None or spent is None:
        raise AuthError(403, "otp_expired", message)
    sent_at = spent["created_at"].replace(tzinfo=UTC)
    if datetime.now(UTC) > sent_at + timedelta(seconds=settings.otp_expiry_s):
        raise AuthError(403, "otp_expired", message)
    if users.is_banned(user):
        raise AuthError(403, "user_banned", "User is banned")
    return await users.save(connection, user, **{token["token_type"]: ""})


async def void_all(connection: Connection, user: Row) -> Row:
    """Nothing sent so far is good any more."""
    await connection.execute("delete from auth.one_time_tokens where user_id = %s", [user["id"]])
    return await users.save(connection, user, **dict.fromkeys(SENT_AT, ""))
