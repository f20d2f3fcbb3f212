"""Links made for somebody else: /invite and /admin/generate_link, for the secret key only."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from soundscape.local.auth import letters, one_time, users
from soundscape.local.auth.errors import AuthError, email_exists, invalid
from soundscape.local.auth.fields import Fields, valid_email, valid_password
from soundscape.local.auth.one_time import TokenType
from soundscape.local.auth.rows import Connection, Row
from soundscape.local.auth.service import Auth

LINK_TYPES = ("signup", "invite", "magiclink", "recovery", "email_change_current", "email_change_new")


async def invite(auth: Auth, request: Request) -> Response:
    auth.require_admin(request)
    fields = await Fields.of(request)
    email = valid_email(fields.text("email"))
    async with auth.transaction() as connection:
        user = await _invited(connection, email, fields)
        user = await letters.send_invite(auth, connection, user, auth.redirects.target(request))
        return JSONResponse(await users.wire(connection, user))


async def generate_link(auth: Auth, request: Request) -> Response:
    """The link a mail would carry, for a caller that sends its own mail."""
    auth.require_admin(request)
    fields = await Fields.of(request)
    kind = fields.text("type")
    if kind not in LINK_TYPES:
        raise invalid(f"Invalid email action link type requested: {kind}")
    email = valid_email(fields.text("email"))
    target = auth.redirects.target(request, fields.text("redirect_to") or None)
    password_hash = await _password_hash(auth, fields, kind)
    async with auth.transaction() as connection:
        user = await users.by_email(connection, email)
        if user is None and kind == "magiclink":
            kind = "signup"
        address, token_type = email, _token_type(kind)
        if kind == "invite":
            user = await _invited(connection, email, fields)
            user = await users.save(connection, user, invited_at=datetime.now(UTC))
        elif kind == "signup":
            user = await _signed_up(connection, user, email, password_hash, fields)
        elif user is None:
            raise AuthError(404, "user_not_found", "User with this email not found")
        elif kind.startswith("email_change"):
            if kind == "email_change_current" and not auth.settings.double_confirm_changes:
                raise invalid("Enable secure email change to generate link for current email")
            new_email = valid_email(fields.text("new_email"))
            if await users.by_email(connection, new_email) is not None:
                raise email_exists()
            address = new_email if kind == "email_change_new" else email
            user = await users.save(connection, user, email_change=new_email, email_change_confirm_status=0)
        code = one_time.make(auth.settings, address)
        user = await one_time.keep(connection, user, token_type, address, code)
        shown = await users.wire(connection, user)
    link_type = "email_change" if kind.startswith("email_change") else kind
    return JSONResponse(
        shown
        | {
            "action_link": auth.mailer.link(link_type, code, target),
            "email_otp": code.otp,
            "hashed_token": code.token_hash,
            "verification_type": kind,
            "redirect_to": target,
        }
    )


async def _password_hash(auth: Auth, fields: Fields, kind: str) -> str:
    password = fields.text("password")
    if kind != "signup":
        return await users.hashed(secrets.token_urlsafe(36)) if kind == "magiclink" else ""
    if not password:
        raise invalid("Signup requires a valid password")
    valid_password(password, auth.settings)
    return await users.hashed(password)


async def _invited(connection: Connection, email: str, fields: Fields) -> Row:
    user = await users.by_email(connection, email)
    if user is None:
        data = users.merged(None, fields.mapping("data") or {})
        return await users.create(connection, providers=["email"], email=email, user_metadata=data)
    if user["email_confirmed_at"] is not None:
        raise email_exists()
    return user


async def _signed_up(
    connection: Connection, user: Row | None, email: str, password_hash: str, fields: Fields
) -> Row:
    data = users.merged(None, fields.mapping("data") or {})
    if user is None:
        return await users.create(
            connection, providers=["email"], email=email, password_hash=password_hash, user_metadata=data
        )
    if user["email_confirmed_at"] is not None:
        raise email_exists()
    return await users.save(
        connection, user, raw_user_meta_data=users.merged(user["raw_user_meta_data"], data)
    )


def _token_type(kind: str) -> TokenType:
    match kind:
        case "signup" | "invite":
            return "confirmation_token"
        case "email_change_current":
            return "email_change_token_current"
        case "email_change_new":
            return "email_change_token_new"
        case _:
            return "recovery_token"
