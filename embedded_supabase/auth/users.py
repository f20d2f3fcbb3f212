"""Users and identities: rows of `auth.users` and `auth.identities`, and the JSON that clients see."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import bcrypt
from psycopg import sql

from embedded_supabase.auth.body import MAX_PASSWORD_BYTES, check_password
from embedded_supabase.auth.call import Call, Row
from embedded_supabase.auth.settings import Settings

WORK_FACTOR = 10
# A hash without a known password: refusing an unknown address takes as long as a wrong password.
_DUMMY_HASH = "$2b$10$C6UzMDM.H6dfI/f/IKcEeO7ZBnkFSpCTXDrTWGmHmCGRQX1mrzOW2"


async def hash_password(password: str, settings: Settings) -> str:
    """Hash with bcrypt, off the event loop; '' gives a random password. Raises `AuthError` for a weak one."""
    if password:
        check_password(password, settings.minimum_password_length)
    raw = (password or secrets.token_urlsafe(36)).encode()
    return (await asyncio.to_thread(bcrypt.hashpw, raw, bcrypt.gensalt(WORK_FACTOR))).decode()


async def matches(password: str, stored: str | None) -> bool:
    """Whether `password` has the hash `stored`. Takes as long for a user without a password."""
    given = password.encode()
    if len(given) > MAX_PASSWORD_BYTES:
        given, stored = b"", None
    try:
        same = await asyncio.to_thread(bcrypt.checkpw, given, (stored or _DUMMY_HASH).encode())
    except ValueError:  # somebody stored a hash that is no bcrypt hash
        return False
    return same and bool(stored)


async def create(
    call: Call,
    email: str | None,
    password_hash: str = "",
    *,
    user_id: UUID | None = None,
    provider: str = "email",
    identity: Row | None = None,
    user_metadata: Row | None = None,
    app_metadata: Row | None = None,
) -> Row:
    """Insert a user with an identity. Without an address the user is anonymous and has no identity.

    The project's triggers fire here. Raises `AuthError`: `email_exists` for a taken address,
    `unexpected_failure` (500) where a trigger refuses, as on hosted projects.
    """
    user_id, user_metadata = user_id or uuid4(), merge_metadata(None, user_metadata)
    named = {"provider": provider, "providers": [provider]} if email else {}
    await call.find(
        "insert_user",
        id=user_id,
        email=email,
        password_hash=password_hash,
        provider=provider if email else None,
        identity=identity or user_metadata | make_claims(user_id, email),
        user_metadata=user_metadata,
        app_metadata=named | merge_metadata(None, app_metadata),
    )
    return await call.fetch("lock_user", id=user_id)  # a trigger may have changed what was inserted


async def sign_up(call: Call, email: str, password_hash: str) -> Row:
    """Create a user who signed up by address. The address's claims are added to the metadata."""
    user = await create(call, email, password_hash, user_metadata=call.body.data)
    return await save(call, user, raw_user_meta_data=make_claims(user["id"], email))


async def save(call: Call, user: Row, **columns: Any) -> Row:
    """Update `columns` and `updated_at`, and return the row. Metadata is a patch."""
    for name in columns.keys() & {"raw_app_meta_data", "raw_user_meta_data"}:
        columns[name] = merge_metadata(user[name], columns[name])
    assignments = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in columns]
    statement = sql.SQL(
        "update auth.users set updated_at = clock_timestamp(), {} where id = {} returning *"
    ).format(sql.SQL(", ").join(assignments), sql.Placeholder("user_id"))
    return await call.fetch(statement, user_id=user["id"], **columns)


def merge_metadata(current: Row | None, patch: Row | None) -> Row:
    """Metadata after a patch. A null removes its key."""
    both = (current or {}) | (patch or {})
    return {key: value for key, value in both.items() if value is not None}


async def set_email(call: Call, user: Row, email: str) -> Row:
    """Change the address and the e-mail identity."""
    return await call.fetch("set_email", id=user["id"], claims=make_claims(user["id"], email))


def is_banned(user: Row) -> bool:
    return user["banned_until"] is not None and user["banned_until"] > datetime.now(UTC)


async def render(call: Call, user: Row) -> Row:
    """The user object of the protocol."""
    shown = await call.fetch("users_shown", id=user["id"], limit=1, offset=0)
    return dict(shown["shown"])


def make_claims(user_id: UUID, email: str | None) -> Row:
    return {"sub": str(user_id), "email": email, "email_verified": False, "phone_verified": False}
