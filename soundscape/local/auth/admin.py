"""/admin/users: the server side's view, for the secret key only."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

import psycopg
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from soundscape.local.auth import one_time, users
from soundscape.local.auth.errors import AuthError, email_exists, invalid, user_not_found
from soundscape.local.auth.fields import Fields, query, valid_email, valid_password, valid_phone
from soundscape.local.auth.rows import Connection, Row, many, one
from soundscape.local.auth.service import Auth
from soundscape.local.auth.settings import duration_s

_BCRYPT = re.compile(r"\$2[aby]\$\d{2}\$[./A-Za-z0-9]{53}")
_MOST_PER_PAGE = 1000
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)

_ERASE = """
update auth.users set
    email = encode(sha256((id::text || coalesce(email, ''))::bytea), 'hex'), phone = null,
    encrypted_password = '', email_change = '', phone_change = '', raw_app_meta_data = '{}',
    raw_user_meta_data = '{}', deleted_at = now(), updated_at = now()
where id = %(id)s and deleted_at is null
"""
_ERASE_IDENTITIES = """
update auth.identities set
    provider_id = encode(sha256((user_id::text || provider_id)::bytea), 'hex'), identity_data = '{}'
where user_id = %(id)s
"""


async def list_users(auth: Auth, request: Request) -> Response:
    auth.require_admin(request)
    page, per_page = _number(request, "page", 1), _number(request, "per_page", 50)
    async with auth.transaction() as connection:
        counted = await one(connection, "select count(*) as n from auth.users where aud = 'authenticated'")
        found = await many(
            connection,
            "select * from auth.users where aud = 'authenticated'"
            " order by created_at desc, id limit %s offset %s",
            [per_page, (page - 1) * per_page],
        )
        shown = await users.wire_all(connection, found)
    total = counted["n"] if counted else 0
    headers = {"x-total-count": str(total), "link": _links(request, page, per_page, total)}
    return JSONResponse({"users": shown, "aud": users.AUDIENCE}, headers=headers)


async def get_user(auth: Auth, request: Request) -> Response:
    auth.require_admin(request)
    async with auth.transaction() as connection:
        return JSONResponse(await users.wire(connection, await _user(connection, request)))


async def create_user(auth: Auth, request: Request) -> Response:
    auth.require_admin(request)
    fields = await Fields.of(request)
    email = valid_email(fields.text("email")) if fields.text("email") else None
    phone = valid_phone(fields.text("phone")) if fields.text("phone") else None
    if not email and not phone:
        raise invalid("Cannot create a user without either an email or phone")
    if fields.text("password") and fields.text("password_hash"):
        raise invalid("Only a password or a password hash should be provided")
    user_id = _uuid(fields.text("id"), "ID must conform to the uuid v4 format") if fields.has("id") else None
    banned_until = _ban(fields.text("ban_duration"))
    password_hash = fields.text("password_hash")
    if password_hash:
        _known_hash(password_hash)
    else:
        if fields.text("password"):
            valid_password(fields.text("password"), auth.settings)
        password_hash = await users.hashed(fields.text("password") or secrets.token_urlsafe(36))
    async with auth.transaction() as connection:
        user = await users.create(
            connection,
            providers=[name for name, value in (("email", email), ("phone", phone)) if value],
            email=email,
            phone=phone,
            password_hash=password_hash,
            user_metadata=users.merged(None, fields.mapping("user_metadata") or {}),
            app_metadata=users.merged(None, fields.mapping("app_metadata") or {}),
            role=_role(fields.text("role")) or "authenticated",
            user_id=user_id,
        )
        user = await _confirm(connection, user, fields)
        if banned_until is not None:
            user = await users.save(connection, user, banned_until=banned_until)
        return JSONResponse(await users.wire(connection, user))


async def update_user(auth: Auth, request: Request) -> Response:
    auth.require_admin(request)
    fields = await Fields.of(request)
    email = valid_email(fields.text("email")) if fields.text("email") else None
    phone = valid_phone(fields.text("phone")) if fields.text("phone") else None
    changes: Row = {}
    if fields.text("ban_duration"):
        changes["banned_until"] = _ban(fields.text("ban_duration"))
    if fields.text("role"):
        changes["role"] = _role(fields.text("role"))
    if fields.text("password_hash"):
        changes["encrypted_password"] = _known_hash(fields.text("password_hash"))
    elif fields.text("password"):
        valid_password(fields.text("password"), auth.settings)
        changes["encrypted_password"] = await users.hashed(fields.text("password"))
    async with auth.transaction() as connection:
        user = await _user(connection, request, lock=True)
        for name, column in (("app_metadata", "raw_app_meta_data"), ("user_metadata", "raw_user_meta_data")):
            if (patch := fields.mapping(name)) is not None:
                changes[column] = users.merged(user[column], patch)
        if changes:
            user = await users.save(connection, user, **changes)
        if "encrypted_password" in changes:
            await connection.execute("delete from auth.sessions where user_id = %s", [user["id"]])
        if email and email != user["email"]:
            if await users.by_email(connection, email) is not None:
                raise email_exists()
            user = await users.set_email(connection, user, email)
        if phone and phone != user["phone"]:
            user = await _set_phone(connection, user, phone)
        user = await _confirm(connection, user, fields)
        return JSONResponse(await users.wire(connection, user))


async def delete_user(auth: Auth, request: Request) -> Response:
    auth.require_admin(request)
    fields = await Fields.of(request)
    async with auth.transaction() as connection:
        user = await _user(connection, request, lock=True)
        if fields.flag("should_soft_delete"):
            await one_time.void_all(connection, user)
            await connection.execute("delete from auth.sessions where user_id = %s", [user["id"]])
            await connection.execute(_ERASE, {"id": user["id"]})
            await connection.execute(_ERASE_IDENTITIES, {"id": user["id"]})
        else:
            try:
                await connection.execute("delete from auth.users where id = %s", [user["id"]])
            except psycopg.Error as error:  # a trigger or a foreign key of the product objects
                raise AuthError(500, "unexpected_failure", "Database error deleting user") from error
    return JSONResponse({})


async def _user(connection: Connection, request: Request, *, lock: bool = False) -> Row:
    user_id = _uuid(request.path_params["user_id"], "user_id must be an UUID", status=404)
    user = await users.by_id(connection, user_id, lock=lock)
    if user is None:
        raise user_not_found()
    return user


async def _confirm(connection: Connection, user: Row, fields: Fields) -> Row:
    if fields.flag("email_confirm") and user["email"]:
        user = await users.confirm_email(connection, user)
    if fields.flag("phone_confirm") and user["phone"]:
        user = await users.save(connection, user, phone_confirmed_at=datetime.now(UTC))
    return user


async def _set_phone(connection: Connection, user: Row, phone: str) -> Row:
    taken = await one(
        connection, "select id from auth.users where phone = %s and id <> %s", [phone, user["id"]]
    )
    if taken is not None:
        raise AuthError(422, "phone_exists", "A user with this phone number has already been registered")
    if await users.identity_of(connection, user, "phone") is None:
        data = {"sub": str(user["id"]), "phone": phone, "email_verified": False, "phone_verified": False}
        await users.add_identity(connection, user, "phone", str(user["id"]), data)
    user = await users.save(connection, user, phone=phone)
    return await users.list_providers(connection, user)


def _ban(text: str) -> datetime | None:
    """Until when; None for `none` and for nothing said."""
    if text in ("", "none"):
        return None
    try:
        seconds = duration_s(text)
    except ValueError as error:
        raise invalid(f"invalid format for ban duration: {error}") from error
    try:
        return min(datetime.now(UTC) + timedelta(seconds=seconds), _LATEST)
    except OverflowError:
        return _LATEST


def _role(role: str) -> str:
    if len(role) > 255:
        raise invalid("A role name is too long")
    return role


def _known_hash(password_hash: str) -> str:
    if not _BCRYPT.fullmatch(password_hash):
        raise invalid("The password hash must be a bcrypt hash")
    return password_hash


def _uuid(text: str, message: str, status: int = 400) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise AuthError(status, "validation_failed", message) from error


def _number(request: Request, name: str, default: int) -> int:
    said = query(request, name)
    if not said:
        return default
    if not said.isascii() or not said.isdigit() or len(said) > 9:
        raise invalid(f"Bad Pagination Parameters: {name} must be a number")
    number = max(int(said), 1)
    return min(number, _MOST_PER_PAGE) if name == "per_page" else number


def _links(request: Request, page: int, per_page: int, total: int) -> str:
    """RFC 8288, with `page` as the first parameter: supabase-js reads the number after the first `=`."""
    last = max((total + per_page - 1) // per_page, 1)

    def link(number: int, rel: str) -> str:
        address = f"{request.url.path}?{urlencode({'page': number, 'per_page': per_page})}"
        return f'<{address}>; rel="{rel}"'

    following = [link(page + 1, "next")] if page < last else []
    return ", ".join([*following, link(last, "last")])
