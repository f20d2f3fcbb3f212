"""Signing in through a provider: `/authorize` sends the browser there, `/callback` gets it back."""

from __future__ import annotations

import json
import secrets
from typing import Any
from uuid import UUID

from starlette.responses import RedirectResponse

from embedded_supabase import payload
from embedded_supabase.auth import codes, mail, redirects, sessions, users
from embedded_supabase.auth.body import check_challenge, check_email
from embedded_supabase.auth.call import Call, Result, Row
from embedded_supabase.auth.errors import AuthError, invalid
from embedded_supabase.auth.providers import Provider

# Parameters that the service sets itself, or that are meant for the service.
_OWN_PARAMETERS = {
    "provider", "redirect_to", "scopes", "code_challenge", "code_challenge_method", "apikey",
    "skip_http_redirect", "client_id", "redirect_uri", "response_type", "scope", "state", "nonce",
}  # fmt: skip


async def authorize(call: Call) -> Result:
    name, verifier = call.read_query("provider"), secrets.token_urlsafe(48)
    provider = _find_provider(call, name)
    challenge, method = call.read_query("code_challenge"), call.read_query("code_challenge_method")
    check_challenge(challenge, method)
    target = call.choose_target()
    asked = {"challenge": challenge, "challenge_method": method, "referrer": target, "user_id": None}
    flow = await call.fetch("insert_flow", method="oauth", provider=name, verifier=verifier, **asked)
    extra = {name: value for name, value in call.request.query_params.items() if name not in _OWN_PARAMETERS}
    address = await provider.build_address(str(flow["id"]), verifier, call.read_query("scopes"), extra)
    return RedirectResponse(address, status_code=302)


async def callback(call: Call) -> Result:
    target, pkce = call.settings.site_url, False
    try:
        # A state is spent, whatever happens next.
        flow = await _claim_flow(call)
        target, pkce = flow["referrer"] or target, flow["code_challenge"] is not None
        if refusal := call.read_query("error"):
            message, denied = call.read_query("error_description"), refusal == "access_denied"
            raise AuthError(refusal[:64], message or refusal, status=403 if denied else 400)
        if not call.read_query("code"):
            raise AuthError("bad_oauth_callback")
        provider = _find_provider(call, flow["provider_type"])
        data, tokens = await provider.exchange(call.read_query("code"), flow["code_verifier"])
        async with call.connection.transaction():
            user = await _find_or_create_user(call, flow["provider_type"], _check_profile(data))
            onward = await _finish_flow(call, user, flow, tokens, target)
        if isinstance(onward, AuthError):
            raise onward
    except AuthError as error:
        onward = redirects.add_error(target, error, in_query=pkce)
    return RedirectResponse(onward, status_code=302)


def _find_provider(call: Call, name: str) -> Provider:
    if name not in call.auth.providers:
        raise invalid("Unsupported provider: provider is not enabled")
    return call.auth.providers[name]


async def _claim_flow(call: Call) -> Row:
    """Spend the state and return its flow with our verifier."""
    try:
        flow = await call.find("claim_oauth_flow", id=UUID(call.read_query("state")))
    except ValueError as error:
        raise AuthError("bad_oauth_state", "OAuth state parameter is missing or invalid") from error
    if flow is None:
        raise AuthError("bad_oauth_state")
    if flow["is_expired"]:
        raise AuthError("bad_oauth_state", "OAuth state has expired")
    return flow


def _check_profile(data: dict[str, Any]) -> dict[str, Any]:
    try:
        payload.parse_storable(json.dumps(data))
    except ValueError as error:
        raise invalid("The provider sent a profile that cannot be stored") from error
    if not data["email"]:
        raise AuthError("email_address_not_provided")
    return data


async def _finish_flow(call: Call, user: Row, flow: Row, tokens: Row, target: str) -> str | AuthError:
    """Where the browser goes after signing in; an error when it must confirm the address by mail first."""
    if users.is_banned(user):
        raise AuthError("user_banned", status=403)
    if user["email_confirmed_at"] is None:
        await mail.send(call, user, "signup", target=target)
        name = flow["provider_type"]
        message = f"Unverified email with {name}. A confirmation email has been sent to your {name} email"
        return AuthError("provider_email_needs_verification", message)
    if flow["code_challenge"] is not None:
        return redirects.add_query(
            target, code=await codes.issue_code(call, user, flow_id=flow["id"], tokens=tokens)
        )
    given = {f"provider_{name.removeprefix('access_')}": token for name, token in tokens.items() if token}
    return redirects.add_session(target, await sessions.start(call, user, "oauth"), **given)


async def _find_or_create_user(call: Call, name: str, data: dict[str, Any]) -> Row:
    """The user of a profile. Creates, links and confirms it where the provider verified the address."""
    email, is_verified = check_email(data["email"]), data["email_verified"]
    identity = await call.find("patch_identity", provider=name, subject=data["sub"], patch=data)
    if identity is not None:
        user = await call.fetch("lock_user", id=identity["user_id"])
        if user["email_confirmed_at"] is None and is_verified and user["email"] == email:
            user = await call.fetch("confirm_email", id=user["id"])
        return await users.save(call, user, raw_user_meta_data=data)
    found = await call.find("user_by_email", email=email)
    if found is None:
        if not call.settings.enable_signup:
            raise AuthError("signup_disabled")
        user = await users.create(call, email, provider=name, identity=data, user_metadata=data)
        is_confirmed = is_verified or not call.settings.email.enable_confirmations
        return await call.fetch("confirm_email", id=user["id"]) if is_confirmed else user
    if not is_verified:
        # Somebody may have an unverified address at the provider: it must not open another's account.
        message = f"Unverified email with {name}. Verify the email with {name} in order to continue"
        raise AuthError("email_exists", message)
    user = found
    if user["email_confirmed_at"] is None:
        # Somebody else may have claimed the address before: remove their password and identity.
        await call.find("forget_claimed_identities", user_id=user["id"])
        await sessions.end(call, user, None, "global")
        await users.save(call, user, encrypted_password="")
    await call.find("insert_identity", user_id=user["id"], provider=name, data=data)
    await users.save(call, user, raw_user_meta_data=data)
    await call.find("confirm_email", id=user["id"])
    return await call.fetch("list_providers", id=user["id"])
