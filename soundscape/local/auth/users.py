"""Users and their identities: rows of `auth.users` and `auth.identities`, and the form clients see."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import bcrypt
import psycopg

from soundscape.local.auth.errors import AuthError, email_exists
from soundscape.local.auth.fields import MAX_PASSWORD_BYTES
from soundscape.local.auth.rows import Connection, Row, insert, many, one, update

AUDIENCE = "authenticated"
NOBODY = UUID(int=0)
WORK_FACTOR = 10
# A hash nobody has the password of: an unknown address costs as long to refuse as a wrong password.
_DUMMY_HASH = "$2b$10$C6UzMDM.H6dfI/f/IKcEeO7ZBnkFSpCTXDrTWGmHmCGRQX1mrzOW2"


async def hashed(password: str) -> str:
    """bcrypt, off the event loop."""
    made = await asyncio.to_thread(bcrypt.hashpw, password.encode(), bcrypt.gensalt(WORK_FACTOR))
    return made.decode()


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
    if lock:
        # Not `for update`: rows of the product that refer to the user may be written meanwhile.
        return await one(connection, "select * from auth.users where id = %s for no key update", [user_id])
    return await one(connection, "select * from auth.users where id = %s", [user_id])


async def by_email(connection: Connection, email: str) -> Row | None:
    return await one(
        connection,
        "select * from auth.users where email = %s and aud = %s and not is_sso_user",
        [email.lower(), AUDIENCE],
    )


async def create(
    connection: Connection,
    *,
    providers: list[str],
    email: str | None = None,
    phone: str | None = None,
    password_hash: str = "",
    user_metadata: Row | None = None,
    app_metadata: Row | None = None,
    role: str = "authenticated",
    user_id: UUID | None = None,
    anonymous: bool = False,
) -> Row:
    """Insert a user, with an identity for e-mail and phone. The product's triggers fire here.

    Raises `AuthError`: `email_exists` for a taken address, `unexpected_failure` (500) where a trigger
    refuses, as the hosted service says it.
    """
    now = datetime.now(UTC)
    metadata = {"provider": providers[0], "providers": providers} if providers else {}
    try:
        user = await insert(
            connection,
            "users",
            {
                "instance_id": NOBODY,
                "id": user_id or uuid4(),
                "aud": AUDIENCE,
                "role": role,
                "email": email,
                "phone": phone,
                "encrypted_password": password_hash,
                "confirmation_token": "",
                "recovery_token": "",
                "email_change_token_new": "",
                "email_change": "",
                "raw_app_meta_data": metadata | (app_metadata or {}),
                "raw_user_meta_data": user_metadata or {},
                "created_at": now,
                "updated_at": now,
                "is_anonymous": anonymous,
            },
        )
    except psycopg.errors.UniqueViolation as error:
        if error.diag.schema_name != "auth" or error.diag.table_name != "users":
            raise _not_saved() from error
        if error.diag.constraint_name == "users_pkey":
            raise AuthError(422, "user_already_exists", "User already registered") from error
        if error.diag.constraint_name == "users_phone_key":
            raise AuthError(
                422, "phone_exists", "A user with this phone number has already been registered"
            ) from error
        raise email_exists() from error
    except psycopg.Error as error:
        raise _not_saved() from error
    if "email" in providers and email:
        claims = {"sub": str(user["id"]), "email": email, "email_verified": False, "phone_verified": False}
        await add_identity(connection, user, "email", str(user["id"]), (user_metadata or {}) | claims)
    if "phone" in providers and phone:
        claims = {"sub": str(user["id"]), "phone": phone, "email_verified": False, "phone_verified": False}
        await add_identity(connection, user, "phone", str(user["id"]), claims)
    # A trigger may have changed what was inserted.
    return await by_id(connection, user["id"]) or user


async def add_identity(connection: Connection, user: Row, provider: str, provider_id: str, data: Row) -> Row:
    now = datetime.now(UTC)
    try:
        return await insert(
            connection,
            "identities",
            {
                "provider_id": provider_id,
                "user_id": user["id"],
                "identity_data": data,
                "provider": provider,
                "last_sign_in_at": now,
                "created_at": now,
                "updated_at": now,
            },
        )
    except psycopg.errors.UniqueViolation as error:
        raise AuthError(422, "identity_already_exists", "Identity is already linked") from error


async def identity_of(connection: Connection, user: Row, provider: str) -> Row | None:
    return await one(
        connection,
        "select * from auth.identities where user_id = %s and provider = %s",
        [user["id"], provider],
    )


async def identities(connection: Connection, user_id: UUID) -> list[Row]:
    return await many(
        connection, "select * from auth.identities where user_id = %s order by created_at", [user_id]
    )


async def save(connection: Connection, user: Row, **columns: Any) -> Row:
    """Write `columns` and `updated_at`; the row afterwards."""
    try:
        return await update(connection, "users", user["id"], columns | {"updated_at": datetime.now(UTC)})
    except psycopg.errors.UniqueViolation as error:
        raise email_exists() from error


def merged(current: Row | None, patch: Row) -> Row:
    """Metadata after a patch: a null takes its key away."""
    both = (current or {}) | patch
    return {key: value for key, value in both.items() if value is not None}


async def confirm_email(connection: Connection, user: Row) -> Row:
    """The address is the user's own."""
    identity = await identity_of(connection, user, "email")
    if identity is not None:
        data = identity["identity_data"] | {"email_verified": True}
        await update(connection, "identities", identity["id"], {"identity_data": data})
    return await save(
        connection,
        user,
        email_confirmed_at=user["email_confirmed_at"] or datetime.now(UTC),
        confirmation_token="",
        raw_user_meta_data=merged(user["raw_user_meta_data"], {"email_verified": True}),
    )


async def set_email(connection: Connection, user: Row, email: str, **columns: Any) -> Row:
    """Change the address, and the e-mail identity with it (made where there is none)."""
    identity = await identity_of(connection, user, "email")
    if identity is None:
        data = {
            "sub": str(user["id"]),
            "email": email,
            "email_verified": "email_confirmed_at" in columns,
            "phone_verified": False,
        }
        await add_identity(connection, user, "email", str(user["id"]), data)
    else:
        data = identity["identity_data"] | {"email": email}
        await update(connection, "identities", identity["id"], {"identity_data": data})
    user = await save(connection, user, email=email, **columns)
    return await list_providers(connection, user)


async def list_providers(connection: Connection, user: Row) -> Row:
    """`app_metadata.provider(s)` say which identities the user has."""
    names = list(dict.fromkeys(item["provider"] for item in await identities(connection, user["id"])))
    metadata = dict(user["raw_app_meta_data"] or {})
    metadata["providers"] = names
    if names and metadata.get("provider") not in names:
        metadata["provider"] = names[0]
    return await save(connection, user, raw_app_meta_data=metadata)


def is_banned(user: Row) -> bool:
    return user["banned_until"] is not None and user["banned_until"] > datetime.now(UTC)


async def wire(connection: Connection, user: Row) -> Row:
    """The user object of the protocol."""
    return _shown(user, await identities(connection, user["id"]))


async def wire_all(connection: Connection, rows: list[Row]) -> list[Row]:
    held = await many(
        connection,
        "select * from auth.identities where user_id = any(%s) order by created_at",
        [[user["id"] for user in rows]],
    )
    return [_shown(user, [item for item in held if item["user_id"] == user["id"]]) for user in rows]


def _shown(user: Row, held: list[Row]) -> Row:
    # Absent timestamps are left out, as the real service does.
    shown = {
        "id": str(user["id"]),
        "aud": user["aud"] or "",
        "role": user["role"] or "",
        "email": user["email"] or "",
        "phone": user["phone"] or "",
        "app_metadata": user["raw_app_meta_data"] or {},
        "user_metadata": user["raw_user_meta_data"] or {},
        "identities": [_identity(item) for item in held],
        # Clients require it; a row written by hand may lack it.
        "created_at": timestamp(user["created_at"] or datetime.min.replace(tzinfo=UTC)),
        "updated_at": timestamp(user["updated_at"]),
        "is_anonymous": user["is_anonymous"],
    }
    if user["email_change"]:
        shown["new_email"] = user["email_change"]
    for name in (
        "email_confirmed_at",
        "phone_confirmed_at",
        "confirmed_at",
        "confirmation_sent_at",
        "recovery_sent_at",
        "email_change_sent_at",
        "reauthentication_sent_at",
        "invited_at",
        "last_sign_in_at",
        "banned_until",
        "deleted_at",
    ):
        if user[name] is not None:
            shown[name] = timestamp(user[name])
    return shown


def timestamp(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _identity(row: Row) -> Row:
    return {
        "identity_id": str(row["id"]),
        "id": row["provider_id"],
        "user_id": str(row["user_id"]),
        "identity_data": row["identity_data"],
        "provider": row["provider"],
        "last_sign_in_at": timestamp(row["last_sign_in_at"]),
        "created_at": timestamp(row["created_at"]),
        "updated_at": timestamp(row["updated_at"]),
        "email": row["email"],
    }


def _not_saved() -> AuthError:
    return AuthError(500, "unexpected_failure", "Database error saving new user")
