"""Becoming a user, and asking for mail: /signup, /otp, /magiclink, /recover, /resend."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from soundscape.local.auth import mail, sessions, users
from soundscape.local.auth.call import Call, Row
from soundscape.local.auth.errors import AuthError, invalid


async def signup(call: Call) -> Row:
    if not call.body.email and not call.body.phone:
        return await _anonymously(call)
    call.spend("sign_in_sign_ups")
    _check_sign_up(call)
    email = call.body.address()
    if not call.settings.email.enable_signup:
        raise AuthError("email_provider_disabled", "Email signups are disabled", status=400)
    if not call.body.password:
        raise invalid("Signup requires a valid password")
    password_hash = await users.hashed(call.body.password, call.settings)
    await call.one("claim_email", email=email)
    user = await call.one("user_by_email", email=email)
    if not call.settings.email.enable_confirmations:
        if user is not None:
            raise AuthError("user_already_exists")
        user = await users.sign_up(call, email, password_hash)
        user = await call.row("confirm_email", id=user["id"])
        return await sessions.start(call, user, "password")
    if user is not None and user["email_confirmed_at"] is not None:
        return _look_alike(email, users.merged(None, call.body.data))
    # Of somebody who has not confirmed yet nothing is changed: anyone may claim an address.
    user = await mail.send(call, user or await users.sign_up(call, email, password_hash), "signup")
    return await users.wire(call, user)


async def otp(call: Call) -> Row:
    email = _asks_for_mail(call, "One of email or phone must be set")
    if not call.settings.email.enable_signup:
        raise AuthError("email_provider_disabled")
    random_password = await users.hashed("", call.settings)  # asked first: it takes its time
    await call.one("claim_email", email=email)
    user = await call.one("user_by_email", email=email)
    if user is None:
        if not call.body.create_user:
            raise AuthError("otp_disabled")
        _check_sign_up(call)
        user = await users.sign_up(call, email, random_password)
        if not call.settings.email.enable_confirmations:
            user = await call.row("confirm_email", id=user["id"])
    await mail.send(call, user, "signup" if user["email_confirmed_at"] is None else "magiclink")
    return {}


async def recover(call: Call) -> Row:
    email = _asks_for_mail(call, "Password recovery requires an email")
    user = await call.one("user_by_email", email=email)
    if user is not None:  # else the answer is the same: nobody learns who is registered
        await mail.send(call, user, "recovery")
    return {}


async def resend(call: Call) -> Row:
    email, kind = _asks_for_mail(call, "Type provided requires an email address"), call.body.type
    if kind not in ("signup", "email_change"):
        raise invalid("Missing one of these types: signup, email_change, sms, phone_change")
    user = await call.one("user_by_email", email=email)
    if user and (user["email_confirmed_at"] is None if kind == "signup" else user["email_change"]):
        await mail.send(call, user, kind)
    return {}


def _asks_for_mail(call: Call, without_address: str) -> str:
    call.spend("sign_in_sign_ups")
    return call.body.address(without_address)


def _check_sign_up(call: Call) -> None:
    if not call.settings.enable_signup:
        raise AuthError("signup_disabled")


async def _anonymously(call: Call) -> Row:
    if not call.settings.enable_anonymous_sign_ins:
        raise AuthError("anonymous_provider_disabled")
    _check_sign_up(call)
    call.spend("anonymous_users")
    user = await users.create(call, None, user_metadata=call.body.data)
    return await sessions.start(call, user, "anonymous")


def _look_alike(email: str, data: Row) -> Row:
    """What a stranger who signs up with a taken address is shown: a user that does not exist."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    return {
        "id": str(uuid4()),
        "aud": "authenticated",
        "role": "",
        "email": email,
        "phone": "",
        "app_metadata": {"provider": "email", "providers": ["email"]},
        "user_metadata": data,
        "identities": [],
        "is_anonymous": False,
        **dict.fromkeys(("confirmation_sent_at", "created_at", "updated_at"), now),
    }
