"""Links made for somebody else: /invite and /admin/generate_link, for the secret key only."""

from __future__ import annotations

from datetime import UTC, datetime

from soundscape.local.auth import codes, letters, users
from soundscape.local.auth.body import valid_email
from soundscape.local.auth.call import Answer, Call, Row
from soundscape.local.auth.codes import TokenType
from soundscape.local.auth.errors import AuthError, invalid

LINK_TYPES: dict[str, TokenType] = {
    "signup": "confirmation_token",
    "invite": "confirmation_token",
    "magiclink": "recovery_token",
    "recovery": "recovery_token",
    "email_change_current": "email_change_token_current",
    "email_change_new": "email_change_token_new",
}


async def invite(call: Call) -> Answer:
    user = await _invited(call, await users.by_email(call, call.body.address()))
    return await users.wire(call, await letters.send(call, user, "invite"))


async def generate_link(call: Call) -> Answer:
    """The link a mail would carry, for a caller that sends its own mail."""
    body, kind = call.body, call.body.type
    if kind not in LINK_TYPES:
        raise invalid(f"Invalid email action link type requested: {kind}")
    if kind == "signup" and not body.password:
        raise invalid("Signup requires a valid password")
    address = body.address()
    user = await users.by_email(call, address)
    if user is None and kind == "magiclink":
        kind = "signup"
    if kind == "invite":
        user = await _invited(call, user)
    elif kind == "signup":
        user = await _unconfirmed(call, user, await users.hashed(body.password, call.settings))
    if user is None:
        raise AuthError("user_not_found", "User with this email not found")
    if kind.startswith("email_change"):
        if kind == "email_change_current" and not call.settings.email.double_confirm_changes:
            raise invalid("Enable secure email change to generate link for current email")
        new_email = valid_email(body.new_email)
        if await users.by_email(call, new_email) is not None:
            raise AuthError("email_exists")
        address = new_email if kind == "email_change_new" else address
        user = await users.save(call, user, email_change=new_email, email_change_confirm_status=0)
    user, code = await codes.make(call, user, LINK_TYPES[kind], address)
    link_type, target = kind.removesuffix("_current").removesuffix("_new"), call.target()
    return await users.wire(call, user) | {
        "action_link": call.auth.mailer.link(link_type, code.token_hash, target),
        "email_otp": code.otp,
        "hashed_token": code.token_hash,
        "verification_type": kind,
        "redirect_to": target,
    }


async def _invited(call: Call, user: Row | None) -> Row:
    user = await _unconfirmed(call, user, "")
    return await users.save(call, user, invited_at=datetime.now(UTC))


async def _unconfirmed(call: Call, user: Row | None, password_hash: str) -> Row:
    """That user, yet to confirm the address, or a new one. Raises `AuthError` (`email_exists`)."""
    if user is None:
        return await users.create(call, call.body.address(), password_hash, user_metadata=call.body.data)
    if user["email_confirmed_at"] is not None:
        raise AuthError("email_exists")
    return await users.save(
        call, user, raw_user_meta_data=users.merged(user["raw_user_meta_data"], call.body.data)
    )
