"""Links made for somebody else: /invite and /admin/generate_link, for the secret key only."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from soundscape.local.auth import letters, one_time, users
from soundscape.local.auth.errors import AuthError, email_exists, invalid
from soundscape.local.auth.fields import Fields, valid_email, valid_password
from soundscape.local.auth.one_time import TokenType
from soundscape.local.auth.rows import Connection, Row
from soundscape.local.auth.service import Auth

LINK_TYPES: dict[str, TokenType] = {
    "signup": "confirmation_token",
    "invite": "confirmation_token",
    "magiclink": "recovery_token",
    "recovery": "recovery_token",
    "email_change_current": "email_change_token_current",
    "email_change_new": "email_change_token_new",
}


async def invite(auth: Auth, request: Request) -> Response:
    fields = await Fields.of(request)
    email = valid_email(fields.text("email"))
    async with auth.transaction() as connection:
        user = await _unconfirmed(connection, email, "", fields)
        user = await users.save(connection, user, invited_at=datetime.now(UTC))
        user = await letters.send(auth, connection, user, "invite", auth.redirects.target(request))
        return JSONResponse(await users.wire(connection, user))


async def generate_link(auth: Auth, request: Request) -> Response:
    """The link a mail would carry, for a caller that sends its own mail."""
    fields = await Fields.of(request)
    kind = fields.text("type")
    if kind not in LINK_TYPES:
        raise invalid(f"Invalid email action link type requested: {kind}")
    email = address = valid_email(fields.text("email"))
    target = auth.redirects.target(request, fields.text("redirect_to") or None)
    password = fields.text("password")
    if kind == "signup":
        if not password:
            raise invalid("Signup requires a valid password")
        valid_password(password, auth.settings)
    password_hash = "" if kind == "invite" else await users.hashed(password)
    async with auth.transaction() as connection:
        user = await users.by_email(connection, email)
        if user is None and kind == "magiclink":
            kind = "signup"
        if kind in ("invite", "signup"):
            user = await _unconfirmed(connection, email, password_hash, fields)
        if user is None:
            raise AuthError(404, "user_not_found", "User with this email not found")
        if kind == "invite":
            user = await users.save(connection, user, invited_at=datetime.now(UTC))
        elif kind.startswith("email_change"):
            if kind == "email_change_current" and not auth.settings.double_confirm_changes:
                raise invalid("Enable secure email change to generate link for current email")
            new_email = valid_email(fields.text("new_email"))
            if await users.by_email(connection, new_email) is not None:
                raise email_exists()
            address = new_email if kind == "email_change_new" else email
            user = await users.save(connection, user, email_change=new_email, email_change_confirm_status=0)
        user, code = await one_time.make(auth.settings, connection, user, LINK_TYPES[kind], address)
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


async def _unconfirmed(connection: Connection, email: str, password_hash: str, fields: Fields) -> Row:
    """The user with that address, new or yet to confirm it. Raises `AuthError` (`email_exists`)."""
    user = await users.by_email(connection, email)
    data = users.merged(None, fields.mapping("data"))
    if user is None:
        return await users.create(connection, email=email, password_hash=password_hash, user_metadata=data)
    if user["email_confirmed_at"] is not None:
        raise email_exists()
    return await users.save(
        connection, user, raw_user_meta_data=users.merged(user["raw_user_meta_data"], data)
    )
