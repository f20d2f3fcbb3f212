"""Becoming a user, and asking for mail: /signup, /otp, /magiclink, /recover, /resend."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from soundscape.local.auth import letters, sessions, users
from soundscape.local.auth.errors import AuthError, invalid, signup_disabled
from soundscape.local.auth.fields import Fields, challenge_of, valid_email, valid_password
from soundscape.local.auth.rows import Connection, Row
from soundscape.local.auth.service import Auth


async def signup(auth: Auth, request: Request) -> Response:
    fields = await Fields.of(request)
    email = fields.text("email")
    if not email and not fields.text("phone"):
        return await _signup_anonymously(auth, request, fields)
    auth.limits.spend("sign_in_sign_ups", auth.address(request))
    if not auth.settings.signup_enabled:
        raise signup_disabled()
    if email and fields.text("phone"):
        raise invalid("Only an email address or phone number should be provided on signup.")
    if not email:
        raise AuthError(400, "phone_provider_disabled", "Phone signups are disabled")
    if not auth.settings.email_enabled:
        raise AuthError(400, "email_provider_disabled", "Email signups are disabled")
    password = fields.text("password")
    if not password:
        raise invalid("Signup requires a valid password")
    valid_password(password, auth.settings)
    challenge = challenge_of(fields)
    email = valid_email(email)
    data = users.merged(None, fields.mapping("data") or {})
    password_hash = await users.hashed(password)
    try:
        async with auth.transaction() as connection:
            user = await users.by_email(connection, email)
            if auth.settings.autoconfirm:
                if user is not None:
                    raise _already_registered()
                user = await _new_user(connection, email, password_hash, data)
                user = await users.confirm_email(connection, user)
                return JSONResponse(await sessions.start(auth, connection, request, user, "password"))
            if user is not None and user["email_confirmed_at"] is not None:
                return JSONResponse(_look_alike(user, email, data))
            if user is None:
                user = await _new_user(connection, email, password_hash, data)
            # Of somebody who has not confirmed yet nothing is changed: anyone may claim an address.
            target = auth.redirects.target(request)
            user = await letters.send_confirmation(auth, connection, user, target, challenge)
            return JSONResponse(await users.wire(connection, user))
    except AuthError as error:
        if error.code == "email_exists":  # somebody was quicker by a moment
            raise _already_registered() from error
        raise


async def otp(auth: Auth, request: Request) -> Response:
    fields = await Fields.of(request)
    auth.limits.spend("sign_in_sign_ups", auth.address(request))
    challenge = challenge_of(fields)
    if fields.text("email") and fields.text("phone"):
        raise invalid("Only an email address or phone number should be provided")
    if fields.text("phone"):
        raise AuthError(400, "phone_provider_disabled", "Unsupported phone provider")
    if not fields.text("email"):
        raise invalid("One of email or phone must be set")
    if not auth.settings.email_enabled:
        raise AuthError(422, "email_provider_disabled", "Email logins are disabled")
    email = valid_email(fields.text("email"))
    target = auth.redirects.target(request)
    random_password = await users.hashed(secrets.token_urlsafe(36))
    async with auth.transaction() as connection:
        user = await users.by_email(connection, email)
        if user is None:
            if not fields.flag("create_user", default=True):
                raise AuthError(422, "otp_disabled", "Signups not allowed for otp")
            if not auth.settings.signup_enabled:
                raise signup_disabled()
            data = users.merged(None, fields.mapping("data") or {})
            user = await _new_user(connection, email, random_password, data)
            if auth.settings.autoconfirm:
                user = await users.confirm_email(connection, user)
        if user["email_confirmed_at"] is None:
            await letters.send_confirmation(auth, connection, user, target, challenge)
        else:
            await letters.send_magic_link(auth, connection, user, target, challenge)
    return JSONResponse({})


async def recover(auth: Auth, request: Request) -> Response:
    fields = await Fields.of(request)
    auth.limits.spend("sign_in_sign_ups", auth.address(request))
    if not fields.text("email"):
        raise invalid("Password recovery requires an email")
    challenge = challenge_of(fields)
    email = valid_email(fields.text("email"))
    async with auth.transaction() as connection:
        user = await users.by_email(connection, email)
        if user is not None:
            target = auth.redirects.target(request)
            await letters.send_recovery(auth, connection, user, target, challenge)
    return JSONResponse({})


async def resend(auth: Auth, request: Request) -> Response:
    fields = await Fields.of(request)
    auth.limits.spend("sign_in_sign_ups", auth.address(request))
    kind = fields.text("type")
    if kind not in ("signup", "email_change", "sms", "phone_change"):
        raise invalid("Missing one of these types: signup, email_change, sms, phone_change")
    if fields.text("phone") or kind in ("sms", "phone_change"):
        raise AuthError(400, "phone_provider_disabled", "Phone logins are disabled")
    if not fields.text("email"):
        raise invalid("Type provided requires an email address")
    challenge = challenge_of(fields)
    email = valid_email(fields.text("email"))
    target = auth.redirects.target(request)
    async with auth.transaction() as connection:
        user = await users.by_email(connection, email)
        if user is None:
            pass  # the answer is the same: nobody learns who is registered
        elif kind == "signup" and user["email_confirmed_at"] is None:
            await letters.send_confirmation(auth, connection, user, target, challenge)
        elif kind == "email_change" and user["email_change"]:
            await letters.send_email_change(auth, connection, user, user["email_change"], target, challenge)
    return JSONResponse({})


async def _signup_anonymously(auth: Auth, request: Request, fields: Fields) -> Response:
    if not auth.settings.anonymous_enabled:
        raise AuthError(422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled")
    if not auth.settings.signup_enabled:
        raise signup_disabled()
    auth.limits.spend("anonymous_users", auth.address(request))
    data = users.merged(None, fields.mapping("data") or {})
    async with auth.transaction() as connection:
        user = await users.create(connection, providers=[], user_metadata=data, anonymous=True)
        return JSONResponse(await sessions.start(auth, connection, request, user, "anonymous"))


async def _new_user(connection: Connection, email: str, password_hash: str, data: Row) -> Row:
    user = await users.create(
        connection, providers=["email"], email=email, password_hash=password_hash, user_metadata=data
    )
    claims = {"sub": str(user["id"]), "email": email, "email_verified": False, "phone_verified": False}
    return await users.save(connection, user, raw_user_meta_data=(user["raw_user_meta_data"] or {}) | claims)


def _already_registered() -> AuthError:
    return AuthError(422, "user_already_exists", "User already registered")


def _look_alike(user: Row, email: str, data: Row) -> Row:
    """What a stranger who signs up with a taken address is shown: a user that does not exist."""
    now = users.timestamp(datetime.now(UTC))
    return {
        "id": str(uuid4()),
        "aud": user["aud"],
        "role": "",
        "email": email,
        "phone": "",
        "app_metadata": {"provider": "email", "providers": ["email"]},
        "user_metadata": data,
        "identities": [],
        "confirmation_sent_at": now,
        "created_at": now,
        "updated_at": now,
        "is_anonymous": False,
    }
