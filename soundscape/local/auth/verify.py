"""/verify: a code typed in, or a link followed, proves an address."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from soundscape.local.auth import flows, one_time, redirects, sessions, users
from soundscape.local.auth.errors import AuthError, email_exists, invalid, no_phones
from soundscape.local.auth.fields import Fields, query
from soundscape.local.auth.letters import LETTERS
from soundscape.local.auth.one_time import PKCE_PREFIX, TokenType
from soundscape.local.auth.rows import Connection, Row
from soundscape.local.auth.service import Auth

TYPES: dict[str, list[TokenType]] = {
    **{kind: [letter.token_type] for kind, letter in LETTERS.items()},
    "email": ["confirmation_token", "recovery_token"],
    "email_change": ["email_change_token_new", "email_change_token_current"],
}
HALF_WAY = "Confirmation link accepted. Please proceed to confirm link sent to the other email"
EXPIRED_CODE = "Token has expired or is invalid"
EXPIRED_LINK = "Email link is invalid or has expired"


async def verify_code(auth: Auth, request: Request) -> Response:
    """POST: an address with its code, or the hash of a link; a session comes back."""
    fields = await Fields.of(request)
    auth.limits.spend("token_verifications", auth.address(request))
    kind, token, token_hash = fields.text("type"), fields.text("token"), fields.text("token_hash")
    if not kind:
        raise invalid("Verify requires a verification type")
    if not token and not token_hash:
        raise invalid("Verify requires a token or a token hash")
    if kind in ("sms", "phone_change"):
        raise no_phones()
    if kind not in TYPES:
        raise invalid("Unsupported verification type")
    if token_hash and (token or fields.text("email") or fields.text("phone")):
        raise invalid("Only the token_hash and type should be provided")
    if not token_hash and not fields.text("email"):
        raise invalid("Only an email address or phone number should be provided on verify")
    async with auth.transaction() as connection:
        if token_hash:
            found = await one_time.find(connection, TYPES[kind], token_hash=token_hash)
        else:
            typed = token.replace("-", "")
            found = await one_time.find(connection, TYPES[kind], address=fields.email(), otp=typed)
        if found is None:
            raise AuthError(403, "otp_expired", EXPIRED_LINK if token_hash else EXPIRED_CODE)
        user = await _proved(auth, connection, found, EXPIRED_CODE)
        if user is None:
            return JSONResponse({"msg": HALF_WAY, "code": "200"})
        return JSONResponse(await sessions.start(auth, connection, request, user, "otp"))


async def verify_link(auth: Auth, request: Request) -> Response:
    """GET: a link from a mail; the browser is sent on with tokens, an auth code or an error."""
    token, kind = query(request, "token"), query(request, "type")
    target = auth.redirects.target(request)
    pkce = token.startswith(PKCE_PREFIX)
    try:
        auth.limits.spend("token_verifications", auth.address(request))
        if not token:
            raise invalid("Verify requires a token or a token hash")
        if not kind:
            raise invalid("Verify requires a verification type")
        if kind not in LETTERS:
            raise invalid("Unsupported verification type")
        async with auth.transaction() as connection:
            found = await one_time.find(connection, TYPES[kind], token_hash=token)
            if found is None:
                raise AuthError(403, "otp_expired", EXPIRED_LINK)
            user = await _proved(auth, connection, found, EXPIRED_LINK)
            if user is None:
                onward = redirects.with_message(target, HALF_WAY, in_query=pkce)
            elif pkce:
                code = await flows.issue_code_for(connection, user["id"], LETTERS[kind].flow_method)
                onward = redirects.with_query(target, code=code)
            else:
                answer = await sessions.start(auth, connection, request, user, "otp")
                onward = redirects.with_fragment(target, session_parameters(answer) | {"type": kind})
    except AuthError as error:
        onward = redirects.with_error(target, error, in_query=pkce)
    return RedirectResponse(onward, status_code=303)


def session_parameters(answer: Row) -> dict[str, str]:
    """A session as the fragment of a redirect carries it."""
    names = ("access_token", "token_type", "expires_in", "expires_at", "refresh_token")
    return {name: str(answer[name]) for name in names}


async def _proved(auth: Auth, connection: Connection, token: Row, message: str) -> Row | None:
    """Spend `token` and do what it stands for; None while the other address has yet to agree."""
    user = await one_time.spend(connection, auth.settings, token, message)
    if token["token_type"] in TYPES["email_change"]:
        return await _email_changed(auth, connection, user)
    if token["token_type"] == "confirmation_token":  # noqa: S105
        if user["invited_at"] is not None and not user["encrypted_password"]:
            user = await users.save(connection, user, encrypted_password=await users.hashed())
        user = await users.confirm_email(connection, user)
    elif user["email_confirmed_at"] is None:
        user = await users.confirm_email(connection, user)
    return await one_time.void_all(connection, user)


async def _email_changed(auth: Auth, connection: Connection, user: Row) -> Row | None:
    both = auth.settings.double_confirm_changes and user["email"]
    if both and user["email_change_confirm_status"] == 0:
        await users.save(connection, user, email_change_confirm_status=1)
        return None
    return await take_new_email(connection, user, user["email_change"])


async def take_new_email(connection: Connection, user: Row, address: str) -> Row:
    """The address is proved: it replaces the old one, and an anonymous user is one no more."""
    taken = await users.by_email(connection, address)
    if taken is not None and taken["id"] != user["id"]:
        raise email_exists()
    user = await users.set_email(
        connection, user, address, email_change="", email_change_confirm_status=0, is_anonymous=False
    )
    user = await users.confirm_email(connection, user)
    return await one_time.void_all(connection, user)
