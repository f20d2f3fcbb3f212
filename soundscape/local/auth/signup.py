"""Becoming a user, and asking for mail: /signup, /otp, /magiclink, /recover, /resend."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from soundscape.local.auth import letters, sessions, users
from soundscape.local.auth.errors import AuthError, invalid, no_phones, signup_disabled
from soundscape.local.auth.fields import Fields, valid_password
from soundscape.local.auth.rows import Row
from soundscape.local.auth.service import Auth


async def signup(auth: Auth, request: Request) -> Response:
    fields = await Fields.of(request)
    if not fields.text("email") and not fields.text("phone"):
        return await _signup_anonymously(auth, request, fields)
    auth.limits.spend("sign_in_sign_ups", auth.address(request))
    if not auth.settings.signup_enabled:
        raise signup_disabled()
    if fields.text("phone"):
        raise no_phones()
    if not auth.settings.email_enabled:
        raise AuthError(400, "email_provider_disabled", "Email signups are disabled")
    password = fields.text("password")
    if not password:
        raise invalid("Signup requires a valid password")
    valid_password(password, auth.settings)
    challenge, email = fields.challenge(), fields.email()
    data = users.merged(None, fields.mapping("data"))
    password_hash = await users.hashed(password)
    try:
        async with auth.transaction() as connection:
            user = await users.by_email(connection, email)
            if not auth.settings.confirmations:
                if user is not None:
                    raise _already_registered()
                user = await users.sign_up(connection, email, password_hash, data)
                user = await users.confirm_email(connection, user)
                return JSONResponse(await sessions.start(auth, connection, request, user, "password"))
            if user is not None and user["email_confirmed_at"] is not None:
                return JSONResponse(_look_alike(email, data))
            if user is None:
                user = await users.sign_up(connection, email, password_hash, data)
            # Of somebody who has not confirmed yet nothing is changed: anyone may claim an address.
            target = auth.redirects.target(request)
            user = await letters.send(auth, connection, user, "signup", target, challenge)
            return JSONResponse(await users.wire(connection, user))
    except AuthError as error:
        if error.code == "email_exists":  # somebody was quicker by a moment
            raise _already_registered() from error
        raise


async def otp(auth: Auth, request: Request) -> Response:
    fields = await _asked_for_mail(auth, request, "One of email or phone must be set")
    if not auth.settings.email_enabled:
        raise AuthError(422, "email_provider_disabled", "Email logins are disabled")
    challenge, email = fields.challenge(), fields.email()
    target = auth.redirects.target(request)
    random_password = await users.hashed()
    async with auth.transaction() as connection:
        user = await users.by_email(connection, email)
        if user is None:
            if not fields.flag("create_user", default=True):
                raise AuthError(422, "otp_disabled", "Signups not allowed for otp")
            if not auth.settings.signup_enabled:
                raise signup_disabled()
            data = users.merged(None, fields.mapping("data"))
            user = await users.sign_up(connection, email, random_password, data)
            if not auth.settings.confirmations:
                user = await users.confirm_email(connection, user)
        kind = "signup" if user["email_confirmed_at"] is None else "magiclink"
        await letters.send(auth, connection, user, kind, target, challenge)
    return JSONResponse({})


async def recover(auth: Auth, request: Request) -> Response:
    fields = await _asked_for_mail(auth, request, "Password recovery requires an email")
    challenge, email = fields.challenge(), fields.email()
    async with auth.transaction() as connection:
        user = await users.by_email(connection, email)
        if user is not None:
            target = auth.redirects.target(request)
            await letters.send(auth, connection, user, "recovery", target, challenge)
    return JSONResponse({})


async def resend(auth: Auth, request: Request) -> Response:
    fields = await _asked_for_mail(auth, request, "Type provided requires an email address")
    kind = fields.text("type")
    if kind not in ("signup", "email_change"):
        raise invalid("Missing one of these types: signup, email_change, sms, phone_change")
    challenge, email = fields.challenge(), fields.email()
    target = auth.redirects.target(request)
    async with auth.transaction() as connection:
        user = await users.by_email(connection, email)
        if user is None:
            pass  # the answer is the same: nobody learns who is registered
        elif kind == "signup" and user["email_confirmed_at"] is None:
            await letters.send(auth, connection, user, kind, target, challenge)
        elif kind == "email_change" and user["email_change"]:
            await letters.send_email_change(auth, connection, user, user["email_change"], target, challenge)
    return JSONResponse({})


async def _asked_for_mail(auth: Auth, request: Request, without_address: str) -> Fields:
    fields = await Fields.of(request)
    auth.limits.spend("sign_in_sign_ups", auth.address(request))
    if fields.text("phone"):
        raise no_phones()
    if not fields.text("email"):
        raise invalid(without_address)
    return fields


async def _signup_anonymously(auth: Auth, request: Request, fields: Fields) -> Response:
    if not auth.settings.anonymous_enabled:
        raise AuthError(422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled")
    if not auth.settings.signup_enabled:
        raise signup_disabled()
    auth.limits.spend("anonymous_users", auth.address(request))
    data = users.merged(None, fields.mapping("data"))
    async with auth.transaction() as connection:
        user = await users.create(connection, provider=None, user_metadata=data)
        return JSONResponse(await sessions.start(auth, connection, request, user, "anonymous"))


def _already_registered() -> AuthError:
    return AuthError(422, "user_already_exists", "User already registered")


def _look_alike(email: str, data: Row) -> Row:
    """What a stranger who signs up with a taken address is shown: a user that does not exist."""
    now = datetime.now(UTC).isoformat()
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
