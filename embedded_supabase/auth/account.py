"""Accounts: sign up, request mail, verify an address, read and change the account, sign out."""

from __future__ import annotations

from collections.abc import Container
from datetime import UTC, datetime
from uuid import uuid4

from starlette.responses import RedirectResponse, Response

from embedded_supabase.auth import codes, mail, redirects, sessions, users
from embedded_supabase.auth.body import check_email
from embedded_supabase.auth.call import Call, Result, Row
from embedded_supabase.auth.codes import PKCE_PREFIX, TokenType
from embedded_supabase.auth.errors import AuthError, feature_disabled, invalid
from embedded_supabase.auth.mail import LETTERS

TYPES: dict[str, list[TokenType]] = {
    **{kind: [letter.token_type] for kind, letter in LETTERS.items()},
    "email": ["confirmation_token", "recovery_token"],
    "email_change": ["email_change_token_new", "email_change_token_current"],
}
ONE_CONFIRMED = "Confirmation link accepted. Please proceed to confirm link sent to the other email"


async def sign_up(call: Call) -> Row:
    if not call.body.email and not call.body.phone:
        return await _sign_up_anonymously(call)
    call.consume("sign_in_sign_ups")
    _check_sign_up(call)
    email = call.body.read_address()
    if not call.settings.email.enable_signup:
        raise AuthError("email_provider_disabled", "Email signups are disabled", status=400)
    if not call.body.password:
        raise invalid("Signup requires a valid password")
    password_hash = await users.hash_password(call.body.password, call.settings)
    await call.find("claim_email", email=email)
    user = await call.find("user_by_email", email=email)
    if not call.settings.email.enable_confirmations:
        if user is not None:
            raise AuthError("user_already_exists")
        user = await users.sign_up(call, email, password_hash)
        user = await call.fetch("confirm_email", id=user["id"])
        return await sessions.start(call, user, "password")
    if user is not None and user["email_confirmed_at"] is not None:
        return _imitate_user(email, users.merge_metadata(None, call.body.data))
    # An unconfirmed user is not changed: anyone can claim an address.
    user = await mail.send(call, user or await users.sign_up(call, email, password_hash), "signup")
    return await users.render(call, user)


async def send_otp(call: Call) -> Row:
    email = _check_mail_request(call, "One of email or phone must be set")
    if not call.settings.email.enable_signup:
        raise AuthError("email_provider_disabled")
    random_password = await users.hash_password("", call.settings)  # first, because it is slow
    await call.find("claim_email", email=email)
    user = await call.find("user_by_email", email=email)
    if user is None:
        if not call.body.create_user:
            raise AuthError("otp_disabled")
        _check_sign_up(call)
        user = await users.sign_up(call, email, random_password)
        if not call.settings.email.enable_confirmations:
            user = await call.fetch("confirm_email", id=user["id"])
    await mail.send(call, user, "signup" if user["email_confirmed_at"] is None else "magiclink")
    return {}


async def recover(call: Call) -> Row:
    email = _check_mail_request(call, "Password recovery requires an email")
    user = await call.find("user_by_email", email=email)
    if user is not None:  # the response is the same without a user, so nobody learns who is registered
        await mail.send(call, user, "recovery")
    return {}


async def resend(call: Call) -> Row:
    email, kind = _check_mail_request(call, "Type provided requires an email address"), call.body.type
    if kind not in ("signup", "email_change"):
        raise invalid("Missing one of these types: signup, email_change, sms, phone_change")
    user = await call.find("user_by_email", email=email)
    if user and (user["email_confirmed_at"] is None if kind == "signup" else user["email_change"]):
        await mail.send(call, user, kind)
    return {}


def _check_mail_request(call: Call, without_address: str) -> str:
    call.consume("sign_in_sign_ups")
    return call.body.read_address(without_address)


def _check_sign_up(call: Call) -> None:
    if not call.settings.enable_signup:
        raise AuthError("signup_disabled")


async def _sign_up_anonymously(call: Call) -> Row:
    if not call.settings.enable_anonymous_sign_ins:
        raise AuthError("anonymous_provider_disabled")
    _check_sign_up(call)
    call.consume("anonymous_users")
    user = await users.create(call, None, user_metadata=call.body.data)
    return await sessions.start(call, user, "anonymous")


def _imitate_user(email: str, data: Row) -> Row:
    """The response to a sign-up with a taken address: a user that does not exist."""
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


# -- the user ---------------------------------------------------------------------------------------


async def get_user(call: Call) -> Result:
    return await users.render(call, await call.find_signed_in_user())


async def update_user(call: Call) -> Result:
    body = call.body
    if body.phone:
        raise AuthError("phone_provider_disabled")
    email = check_email(body.email) if body.email else ""
    user = await call.find_signed_in_user()
    session_id = user["session_id"]
    if body.app_metadata:
        raise AuthError("not_admin", "Updating app_metadata requires admin privileges")
    if body.password:
        if user["is_anonymous"] and not email:
            raise invalid("Updating password of an anonymous user without an email or phone is not allowed")
        password_hash = await users.hash_password(body.password, call.settings)
        if await users.matches(body.password, user["encrypted_password"]):
            raise AuthError("same_password")
        user = await users.save(call, user, encrypted_password=password_hash)
        await sessions.end(call, user, session_id, "others")
    if body.data:
        user = await users.save(call, user, raw_user_meta_data=body.data)
    if email and email != user["email"]:
        if await call.find("user_by_email", email=email) is not None:
            raise AuthError("email_exists")
        if user["is_anonymous"] and not call.settings.email.enable_confirmations:
            user = await take_new_email(call, user, email)
        else:
            user = await users.save(call, user, email_change=email, email_change_confirm_status=0)
            user = await mail.send(call, user, "email_change")
    return await users.render(call, user)


async def log_out(call: Call) -> Result:
    scope = call.read_query("scope") or "global"
    if scope not in ("global", "local", "others"):
        raise invalid(f'Unsupported logout scope "{scope}"')
    user = await call.find_signed_in_user()
    await sessions.end(call, user, user["session_id"], scope)
    return Response(status_code=204)


async def reauthenticate(call: Call) -> Result:
    call.auth.read_claims(call.request)
    raise feature_disabled("Reauthentication")


async def link_identity(call: Call) -> Result:
    call.auth.read_claims(call.request)
    raise AuthError("manual_linking_disabled")


# -- verifying an address -----------------------------------------------------------------------------


async def verify_code(call: Call) -> Result:
    """POST: an address with its code, or the hash of a link. Returns a session."""
    body = call.body
    types = _find_types(call, body.type, body.token or body.token_hash, TYPES)
    if body.token_hash:
        if body.token or body.email or body.phone:
            raise invalid("Only the token_hash and type should be provided")
        user = await _prove_address(call, types, token_hash=body.token_hash)
    else:
        address = body.read_address("Only an email address or phone number should be provided on verify")
        user = await _prove_address(call, types, address=address, otp=body.token.replace("-", ""))
    return await sessions.start(call, user, "otp") if user else {"msg": ONE_CONFIRMED, "code": "200"}


async def verify_link(call: Call) -> Result:
    """GET: a link from a mail. Redirects the browser with tokens, an auth code or an error."""
    token, kind, target = call.read_query("token"), call.read_query("type"), call.choose_target()
    in_query = token.startswith(PKCE_PREFIX)
    try:
        async with call.connection.transaction():
            user = await _prove_address(call, _find_types(call, kind, token, LETTERS), token_hash=token)
            if user is None:
                onward = redirects.add_message(target, ONE_CONFIRMED, in_query=in_query)
            elif in_query:
                code = await codes.issue_code(call, user, method=LETTERS[kind].flow_method)
                onward = redirects.add_query(target, code=code)
            else:
                session = await sessions.start(call, user, "otp")
                onward = redirects.add_session(target, session, type=kind)
    except AuthError as error:
        onward = redirects.add_error(target, error, in_query=in_query)
    return RedirectResponse(onward, status_code=303)


def _find_types(call: Call, kind: str, token: str, known: Container[str]) -> list[TokenType]:
    call.consume("token_verifications")
    if not token:
        raise invalid("Verify requires a token or a token hash")
    if kind in ("sms", "phone_change"):
        raise AuthError("phone_provider_disabled")
    if kind not in known:
        raise invalid("Unsupported verification type" if kind else "Verify requires a verification type")
    return TYPES[kind]


async def _prove_address(call: Call, types: list[TokenType], **proof: str) -> Row | None:
    """Spend a code and apply it. None while the other address of an e-mail change is not confirmed."""
    user, kind = await codes.redeem(call, types, **proof)
    if kind in TYPES["email_change"]:
        both = call.settings.email.double_confirm_changes and user["email"]
        if both and user["email_change_confirm_status"] == 0:
            await users.save(call, user, email_change_confirm_status=1)
            return None
        return await take_new_email(call, user, user["email_change"])
    if kind == "confirmation_token" and user["invited_at"] is not None and not user["encrypted_password"]:
        user = await users.save(call, user, encrypted_password=await users.hash_password("", call.settings))
    if kind == "confirmation_token" or user["email_confirmed_at"] is None:
        await call.find("confirm_email", id=user["id"])
    return await call.fetch("void_codes", id=user["id"])


async def take_new_email(call: Call, user: Row, address: str) -> Row:
    """Replace the address with the verified one. An anonymous user becomes a normal one."""
    await users.set_email(call, user, address)
    await users.save(call, user, email_change="", email_change_confirm_status=0, is_anonymous=False)
    await call.find("confirm_email", id=user["id"])
    return await call.fetch("void_codes", id=user["id"])
