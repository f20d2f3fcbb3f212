"""The admin API, for the secret key only: users, invitations, and links made for a user."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from starlette.responses import JSONResponse

from embedded_supabase.auth import codes, mail, sessions, users
from embedded_supabase.auth.body import Body, check_email
from embedded_supabase.auth.call import Call, Result, Row
from embedded_supabase.auth.codes import TokenType
from embedded_supabase.auth.errors import AuthError, feature_disabled, invalid
from embedded_supabase.auth.settings import parse_duration_s

_MAX_PER_PAGE = 1000
_MAX_BAN_S = 1000 * 365 * 24 * 3600
# The clients always send `role: null` and `should_soft_delete: false`.
REFUSED = {
    "phone": "A phone number",
    "password_hash": "Importing a password hash",
    "role": "Another role",
    "should_soft_delete": "Soft deletion",
}
LINK_TYPES: dict[str, TokenType] = {
    **{kind: letter.token_type for kind, letter in mail.LETTERS.items() if kind != "email_change"},
    "email_change_current": "email_change_token_current",
    "email_change_new": "email_change_token_new",
}


async def list_users(call: Call) -> Result:
    page, per_page = _read_number(call, "page", 1), min(_read_number(call, "per_page", 50), _MAX_PER_PAGE)
    total = (await call.fetch("count_users"))["total"]
    found = await call.fetch_all("users_shown", id=None, limit=per_page, offset=(page - 1) * per_page)
    # RFC 8288, with `page` as the first parameter: supabase-js reads the number after the first `=`.
    last, path = max(-(-total // per_page), 1), call.request.url.path
    pages = ({"next": page + 1} if page < last else {}) | {"last": last}
    links = (f'<{path}?page={at}&per_page={per_page}>; rel="{rel}"' for rel, at in pages.items())
    return JSONResponse(
        {"users": [row["shown"] for row in found], "aud": "authenticated"},
        headers={"x-total-count": str(total), "link": ", ".join(links)},
    )


async def get_user(call: Call) -> Result:
    return await users.render(call, await _find_user(call))


async def create_user(call: Call) -> Result:
    body = _check_supported(call)
    email = body.read_address("Cannot create a user without either an email or phone")
    try:
        user_id = UUID(body.id) if body.id else None
    except ValueError as error:
        raise invalid("ID must conform to the uuid v4 format") from error
    password_hash = await users.hash_password(body.password, call.settings)
    metadata, facts = body.user_metadata, body.app_metadata
    user = await users.create(
        call, email, password_hash, user_id=user_id, user_metadata=metadata, app_metadata=facts
    )
    return await _finish(call, user, {})


async def update_user(call: Call) -> Result:
    body, user = _check_supported(call), await _find_user(call)
    changes: Row = {"raw_app_meta_data": body.app_metadata, "raw_user_meta_data": body.user_metadata}
    if body.password:
        changes["encrypted_password"] = await users.hash_password(body.password, call.settings)
        await sessions.end(call, user, None, "global")
    if body.email and (email := check_email(body.email)) != user["email"]:
        user = await users.set_email(call, user, email)
    return await _finish(call, user, changes)


async def delete_user(call: Call) -> Result:
    _check_supported(call)
    await call.find("delete_user", id=(await _find_user(call))["id"])
    return {}


async def invite(call: Call) -> Result:
    user = await _invite(call, await call.find("user_by_email", email=call.body.read_address()))
    return await users.render(call, await mail.send(call, user, "invite"))


async def generate_link(call: Call) -> Result:
    """Make the link of a mail, for a caller that sends the mail itself."""
    body, kind = call.body, call.body.type
    if kind not in LINK_TYPES:
        raise invalid(f"Invalid email action link type requested: {kind}")
    if kind == "signup" and not body.password:
        raise invalid("Signup requires a valid password")
    address = body.read_address()
    user = await call.find("user_by_email", email=address)
    if user is None and kind == "magiclink":
        kind = "signup"
    if kind == "invite":
        user = await _invite(call, user)
    elif kind == "signup":
        user = await _find_unconfirmed(call, user, await users.hash_password(body.password, call.settings))
    if user is None:
        raise AuthError("user_not_found", "User with this email not found")
    if kind.startswith("email_change"):
        if kind == "email_change_current" and not call.settings.email.double_confirm_changes:
            raise invalid("Enable secure email change to generate link for current email")
        new_email = check_email(body.new_email)
        if await call.find("user_by_email", email=new_email) is not None:
            raise AuthError("email_exists")
        address = new_email if kind == "email_change_new" else address
        user = await users.save(call, user, email_change=new_email, email_change_confirm_status=0)
    user, code = await codes.make(call, user, LINK_TYPES[kind], address)
    link_type, target = kind.removesuffix("_current").removesuffix("_new"), call.choose_target()
    return await users.render(call, user) | {
        "action_link": mail.build_link(call, link_type, code, target),
        "email_otp": code.otp,
        "hashed_token": code.token_hash,
        "verification_type": kind,
        "redirect_to": target,
    }


async def _invite(call: Call, user: Row | None) -> Row:
    user = await _find_unconfirmed(call, user, "")
    return await users.save(call, user, invited_at=datetime.now(UTC))


async def _find_unconfirmed(call: Call, user: Row | None, password_hash: str) -> Row:
    """That user if it is unconfirmed, or a new one. Raises `AuthError` (`email_exists`)."""
    if user is None:
        return await users.create(call, call.body.read_address(), password_hash, user_metadata=call.body.data)
    if user["email_confirmed_at"] is not None:
        raise AuthError("email_exists")
    return await users.save(call, user, raw_user_meta_data=call.body.data)


async def _finish(call: Call, user: Row, changes: Row) -> Row:
    if duration := call.body.ban_duration:
        changes["banned_until"] = None if duration == "none" else _parse_ban_end(duration)
    if changes:
        await users.save(call, user, **changes)
    if call.body.email_confirm and user["email"]:
        await call.find("confirm_email", id=user["id"])
    return await users.render(call, user)


def _check_supported(call: Call) -> Body:
    """The body. Raises `AuthError` (`feature_disabled`) for fields that are not served."""
    for name, feature in REFUSED.items():
        if getattr(call.body, name):
            raise feature_disabled(feature)
    return call.body


async def _find_user(call: Call) -> Row:
    user = await call.find("lock_user", id=call.request.path_params["user_id"])
    if user is None:
        raise AuthError("user_not_found")
    return user


def _parse_ban_end(ban_duration: str) -> datetime:
    try:
        return datetime.now(UTC) + timedelta(seconds=min(parse_duration_s(ban_duration), _MAX_BAN_S))
    except ValueError as error:
        raise invalid(f"invalid format for ban duration: {error}") from error


def _read_number(call: Call, name: str, default: int) -> int:
    digits = call.read_query(name) or str(default)
    if not digits.isascii() or not digits.isdigit() or len(digits) > 9:
        raise invalid(f"Bad Pagination Parameters: {name} must be a number")
    return max(int(digits), 1)
