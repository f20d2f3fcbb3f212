"""/admin/users: the server side's view, for the secret key only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import psycopg
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from soundscape.local.auth import sessions, users
from soundscape.local.auth.errors import AuthError, email_exists, invalid, user_not_found
from soundscape.local.auth.fields import Fields, query, valid_password
from soundscape.local.auth.rows import Connection, Row, many, one
from soundscape.local.auth.service import Auth
from soundscape.local.auth.settings import duration_s

_MOST_PER_PAGE = 1000
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)
REFUSED = {
    "phone": "A phone number",
    "password_hash": "Importing a password hash",
    "role": "Another role",
    "should_soft_delete": "Soft deletion",
}


async def list_users(auth: Auth, request: Request) -> Response:
    page, per_page = _number(request, "page", 1), _number(request, "per_page", 50)
    async with auth.transaction() as connection:
        counted = await one(connection, "count_users")
        offset = (page - 1) * per_page
        found = await many(connection, "users_shown", id=None, limit=per_page, offset=offset)
    total = counted["total"] if counted else 0
    headers = {"x-total-count": str(total), "link": _links(request, page, per_page, total)}
    return JSONResponse({"users": [row["shown"] for row in found], "aud": "authenticated"}, headers=headers)


async def get_user(auth: Auth, request: Request) -> Response:
    async with auth.transaction() as connection:
        return JSONResponse(await users.wire(connection, await _user(connection, request)))


async def create_user(auth: Auth, request: Request) -> Response:
    fields = await _fields(request)
    email = fields.email()
    if not email:
        raise invalid("Cannot create a user without either an email or phone")
    user_id = (
        _uuid(fields.text("id"), 400, "ID must conform to the uuid v4 format") if fields.text("id") else None
    )
    changes = await _changes(auth, fields)
    async with auth.transaction() as connection:
        user = await users.create(
            connection,
            email=email,
            password_hash=changes.pop("encrypted_password", None) or await users.hashed(),
            user_metadata=users.merged(None, fields.mapping("user_metadata")),
            app_metadata=users.merged(None, fields.mapping("app_metadata")),
            user_id=user_id,
        )
        return JSONResponse(await _finished(connection, user, changes, fields))


async def update_user(auth: Auth, request: Request) -> Response:
    fields = await _fields(request)
    email, changes = fields.email(), await _changes(auth, fields)
    async with auth.transaction() as connection:
        user = await _user(connection, request, lock=True)
        for name, column in (("app_metadata", "raw_app_meta_data"), ("user_metadata", "raw_user_meta_data")):
            if (patch := fields.mapping(name)) is not None:
                changes[column] = users.merged(user[column], patch)
        if "encrypted_password" in changes:
            await sessions.end(connection, user["id"], None, "global")
        if email and email != user["email"]:
            if await users.by_email(connection, email) is not None:
                raise email_exists()
            user = await users.set_email(connection, user, email)
        return JSONResponse(await _finished(connection, user, changes, fields))


async def delete_user(auth: Auth, request: Request) -> Response:
    await _fields(request)
    async with auth.transaction() as connection:
        user = await _user(connection, request, lock=True)
        try:
            await one(connection, "delete_user", id=user["id"])
        except psycopg.Error as error:  # a trigger or a foreign key of the product objects
            raise AuthError(500, "unexpected_failure", "Database error deleting user") from error
    return JSONResponse({})


async def _fields(request: Request) -> Fields:
    fields = await Fields.of(request)
    # The clients say `role: null` and `should_soft_delete: false` unasked, and mean nothing by it.
    fields.refuse(REFUSED)
    return fields


async def _changes(auth: Auth, fields: Fields) -> Row:
    """The columns that a body sets, the same for a new user and an old one."""
    changes: Row = {}
    if duration := fields.text("ban_duration"):
        changes["banned_until"] = None if duration == "none" else _until(duration)
    if password := fields.text("password"):
        valid_password(password, auth.settings)
        changes["encrypted_password"] = await users.hashed(password)
    return changes


async def _finished(connection: Connection, user: Row, changes: Row, fields: Fields) -> dict[str, Any]:
    if changes:
        user = await users.save(connection, user, **changes)
    if fields.flag("email_confirm") and user["email"]:
        user = await users.confirm_email(connection, user)
    return await users.wire(connection, user)


async def _user(connection: Connection, request: Request, *, lock: bool = False) -> Row:
    user_id = _uuid(request.path_params["user_id"], 404, "user_id must be an UUID")
    user = await users.by_id(connection, user_id, lock=lock)
    if user is None:
        raise user_not_found()
    return user


def _until(ban_duration: str) -> datetime:
    try:
        return min(datetime.now(UTC) + timedelta(seconds=duration_s(ban_duration)), _LATEST)
    except ValueError as error:
        raise invalid(f"invalid format for ban duration: {error}") from error
    except OverflowError:
        return _LATEST


def _uuid(text: str, status: int, message: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise AuthError(status, "validation_failed", message) from error


def _number(request: Request, name: str, default: int) -> int:
    said = query(request, name) or str(default)
    if not said.isascii() or not said.isdigit() or len(said) > 9:
        raise invalid(f"Bad Pagination Parameters: {name} must be a number")
    number = max(int(said), 1)
    return min(number, _MOST_PER_PAGE) if name == "per_page" else number


def _links(request: Request, page: int, per_page: int, total: int) -> str:
    """RFC 8288, with `page` as the first parameter: supabase-js reads the number after the first `=`."""
    last = max(-(-total // per_page), 1)
    linked = ({"next": page + 1} if page < last else {}) | {"last": last}
    return ", ".join(
        f'<{request.url.path}?{urlencode({"page": number, "per_page": per_page})}>; rel="{rel}"'
        for rel, number in linked.items()
    )
