"""Users and their identities: rows of `auth.users` and `auth.identities`, and the form clients see."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import bcrypt
import psycopg

from soundscape.local.auth.errors import AuthError, email_exists
from soundscape.local.auth.fields import MAX_PASSWORD_BYTES
from soundscape.local.auth.rows import Connection, Row, many, one, update_user

WORK_FACTOR = 10
# A hash nobody has the password of: an unknown address costs as long to refuse as a wrong password.
_DUMMY_HASH = "$2b$10$C6UzMDM.H6dfI/f/IKcEeO7ZBnkFSpCTXDrTWGmHmCGRQX1mrzOW2"


async def hashed(password: str = "") -> str:
    """bcrypt, off the event loop; of a password nobody knows where none is given."""
    raw = (password or secrets.token_urlsafe(36)).encode()
    return (await asyncio.to_thread(bcrypt.hashpw, raw, bcrypt.gensalt(WORK_FACTOR))).decode()


async def matches(password: str, stored: str | None) -> bool:
    """Whether `password` is the one behind `stored`; takes as long for a user without any."""
    given = password.encode()
    if len(given) > MAX_PASSWORD_BYTES:
        given, stored = b"", None
    try:
        same = await asyncio.to_thread(bcrypt.checkpw, given, (stored or _DUMMY_HASH).encode())
    except ValueError:  # a hash written by hand that is no bcrypt hash
        return False
    return same and bool(stored)


async def by_id(connection: Connection, user_id: str | UUID, *, lock: bool = False) -> Row | None:
    return await one(connection, "lock_user" if lock else "user_by_id", id=user_id)


async def by_email(connection: Connection, email: str) -> Row | None:
    return await one(connection, "user_by_email", email=email)


async def create(
    connection: Connection,
    *,
    provider: str | None = "email",
    email: str | None = None,
    password_hash: str = "",
    user_metadata: Row | None = None,
    app_metadata: Row | None = None,
    user_id: UUID | None = None,
) -> Row:
    """Insert a user, with an identity for the provider `email`; without an address it is anonymous.

    The product's triggers fire here. Raises `AuthError`: `email_exists` for a taken address,
    `unexpected_failure` (500) where a trigger refuses, as the hosted service says it.
    """
    metadata = {"provider": provider, "providers": [provider]} if provider else {}
    try:
        user = await one(
            connection,
            "insert_user",
            id=user_id,
            email=email,
            password_hash=password_hash,
            app_metadata=metadata | (app_metadata or {}),
            user_metadata=user_metadata or {},
        )
    except psycopg.Error as error:
        if (
            not isinstance(error, psycopg.errors.UniqueViolation)
            or error.diag.table_name != "users"
            or (error.diag.schema_name != "auth")
        ):
            raise AuthError(500, "unexpected_failure", "Database error saving new user") from error
        if error.diag.constraint_name == "users_pkey":
            raise AuthError(422, "user_already_exists", "User already registered") from error
        raise email_exists() from error
    assert user is not None
    if provider == "email":
        await add_identity(
            connection, user, "email", str(user["id"]), (user_metadata or {}) | _claims(user, email)
        )
    # A trigger may have changed what was inserted.
    return await by_id(connection, user["id"]) or user


async def sign_up(connection: Connection, email: str, password_hash: str, data: Row) -> Row:
    """A user who came by an address of their own: its claims are part of the metadata too."""
    user = await create(connection, email=email, password_hash=password_hash, user_metadata=data)
    metadata = (user["raw_user_meta_data"] or {}) | _claims(user, email)
    return await save(connection, user, raw_user_meta_data=metadata)


async def add_identity(connection: Connection, user: Row, provider: str, subject: str, data: Row) -> None:
    try:
        await one(
            connection,
            "insert_identity",
            provider_id=subject,
            user_id=user["id"],
            provider=provider,
            data=data,
        )
    except psycopg.errors.UniqueViolation as error:
        raise AuthError(422, "identity_already_exists", "Identity is already linked") from error


async def save(connection: Connection, user: Row, **columns: Any) -> Row:
    """Write `columns` and `updated_at`; the row afterwards."""
    try:
        return await update_user(connection, user["id"], columns)
    except psycopg.errors.UniqueViolation as error:
        raise email_exists() from error


def merged(current: Row | None, patch: Row | None) -> Row:
    """Metadata after a patch: a null takes its key away."""
    both = (current or {}) | (patch or {})
    return {key: value for key, value in both.items() if value is not None}


async def confirm_email(connection: Connection, user: Row) -> Row:
    """The address is the user's own."""
    patch = {"email_verified": True}
    await one(connection, "patch_identity", user_id=user["id"], provider="email", patch=patch)
    return await save(
        connection,
        user,
        email_confirmed_at=user["email_confirmed_at"] or datetime.now(UTC),
        confirmation_token="",
        raw_user_meta_data=merged(user["raw_user_meta_data"], patch),
    )


async def set_email(connection: Connection, user: Row, email: str, **columns: Any) -> Row:
    """Change the address, and the e-mail identity with it (made where there is none)."""
    patch = {"email": email}
    if not await one(connection, "patch_identity", user_id=user["id"], provider="email", patch=patch):
        await add_identity(connection, user, "email", str(user["id"]), _claims(user, email))
    user = await save(connection, user, email=email, **columns)
    return await list_providers(connection, user)


async def list_providers(connection: Connection, user: Row) -> Row:
    """`app_metadata.provider(s)` say which identities the user has."""
    return await one(connection, "list_providers", id=user["id"]) or user


def is_banned(user: Row) -> bool:
    return user["banned_until"] is not None and user["banned_until"] > datetime.now(UTC)


async def wire(connection: Connection, user: Row) -> Row:
    """The user object of the protocol."""
    (shown,) = await many(connection, "users_shown", id=user["id"], limit=1, offset=0)
    return dict(shown["shown"])


def _claims(user: Row, email: str | None) -> Row:
    return {"sub": str(user["id"]), "email": email, "email_verified": False, "phone_verified": False}
