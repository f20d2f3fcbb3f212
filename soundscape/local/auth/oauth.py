"""Signing in through a provider: /authorize sends the browser there, /callback receives it back."""

from __future__ import annotations

from uuid import UUID

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from soundscape.local import strict_json
from soundscape.local.auth import flows, letters, redirects, sessions, users
from soundscape.local.auth.errors import AuthError, invalid, signup_disabled
from soundscape.local.auth.fields import query, valid_challenge, valid_email
from soundscape.local.auth.providers import Grant, Profile, Provider
from soundscape.local.auth.rows import Connection, Row, one
from soundscape.local.auth.service import Auth
from soundscape.local.auth.verify import session_parameters

# What the service decides itself, or the client meant for the service.
_OWN_PARAMETERS = {
    "provider", "redirect_to", "scopes", "code_challenge", "code_challenge_method", "apikey",
    "skip_http_redirect", "client_id", "redirect_uri", "response_type", "scope", "state", "nonce",
}  # fmt: skip


async def authorize(auth: Auth, request: Request) -> Response:
    name = query(request, "provider")
    provider = _provider(auth, name)
    challenge = valid_challenge(query(request, "code_challenge"), query(request, "code_challenge_method"))
    verifier = flows.new_verifier()
    async with auth.transaction() as connection:
        state = await one(connection, "insert_client_state", provider=name, verifier=verifier)
        flow = await flows.begin(
            connection,
            provider=name,
            method="oauth",
            challenge=challenge,
            referrer=auth.redirects.target(request),
            client_state_id=state["id"] if state else None,
        )
    extra = {key: value for key, value in request.query_params.items() if key not in _OWN_PARAMETERS}
    address = await provider.address(str(flow["id"]), verifier, query(request, "scopes"), extra)
    return RedirectResponse(address, status_code=302)


async def callback(auth: Auth, request: Request) -> Response:
    target, pkce = auth.settings.site_url, False
    try:
        async with auth.transaction() as connection:
            flow, verifier = await _claimed(connection, query(request, "state"))
        target, pkce = flow["referrer"] or target, flow["code_challenge"] is not None
        provider = _provider(auth, flow["provider_type"])
        if refusal := query(request, "error"):
            said = query(request, "error_description") or refusal
            raise AuthError(403 if refusal == "access_denied" else 400, refusal[:64], said)
        if not query(request, "code"):
            raise AuthError(400, "bad_oauth_callback", "OAuth callback with missing authorization code")
        grant = await provider.grant(query(request, "code"), verifier)
        onward = await _welcome(auth, request, flow, grant, target)
    except AuthError as error:
        onward = redirects.with_error(target, error, in_query=pkce)
    return RedirectResponse(onward, status_code=302)


def _provider(auth: Auth, name: str) -> Provider:
    if name not in auth.providers:
        raise invalid("Unsupported provider: provider is not enabled")
    return auth.providers[name]


async def _claimed(connection: Connection, state: str) -> tuple[Row, str]:
    """The flow that `state` names and our verifier for it, once only."""
    try:
        flow_id = UUID(state)
    except ValueError as error:
        raise AuthError(400, "bad_oauth_state", "OAuth state parameter is missing or invalid") from error
    flow = await one(connection, "oauth_flow", id=flow_id)
    spent = flow and await one(connection, "spend_client_state", id=flow["oauth_client_state_id"])
    if not flow or not spent:
        raise AuthError(400, "bad_oauth_state", "OAuth state not found or expired")
    if spent["is_expired"]:
        raise AuthError(400, "bad_oauth_state", "OAuth state has expired")
    return flow, spent["code_verifier"]


async def _welcome(auth: Auth, request: Request, flow: Row, grant: Grant, target: str) -> str:
    """Where the browser goes now that the provider vouches for somebody."""
    name, profile = flow["provider_type"], grant.profile
    try:
        strict_json.check(profile.data)
    except ValueError as error:
        message = "The provider sent a profile that cannot be stored"
        raise AuthError(422, "validation_failed", message) from error
    if not profile.email:
        raise AuthError(422, "email_address_not_provided", "Error getting user email from external provider")
    async with auth.transaction() as connection:
        user = await _account(auth, connection, name, profile)
        if users.is_banned(user):
            raise AuthError(403, "user_banned", "User is banned")
        if user["email_confirmed_at"] is not None:
            given = {"access_token": grant.access_token, "refresh_token": grant.refresh_token}
            if flow["code_challenge"] is not None:
                code = await flows.issue_code(connection, flow, user["id"], **given)
                return redirects.with_query(target, code=code)
            answer = await sessions.start(auth, connection, request, user, "oauth")
            carried = session_parameters(answer) | {"provider_token": grant.access_token}
            if grant.refresh_token:
                carried["provider_refresh_token"] = grant.refresh_token
            return redirects.with_fragment(target, carried)
        await letters.send(auth, connection, user, "signup", target)
    raise AuthError(
        403,
        "provider_email_needs_verification",
        f"Unverified email with {name}. A confirmation email has been sent to your {name} email",
    )


async def _account(auth: Auth, connection: Connection, name: str, profile: Profile) -> Row:
    """The user behind a profile, made or linked where needed; confirmed where its address is proved."""
    identity = await one(connection, "identity_of_subject", provider=name, subject=profile.subject)
    if identity is not None:
        return await _come_back(connection, identity, profile)
    email = valid_email(profile.email)
    user = await users.by_email(connection, email)
    if user is None:
        if not auth.settings.signup_enabled:
            raise signup_disabled()
        user = await users.create(connection, provider=name, email=email, user_metadata=profile.data)
        await users.add_identity(connection, user, name, profile.subject, profile.data)
        if profile.email_verified or not auth.settings.confirmations:
            user = await users.confirm_email(connection, user)
        return user
    if not profile.email_verified:
        # Whoever controls an unproved address at the provider must not walk into somebody's account.
        message = f"Unverified email with {name}. Verify the email with {name} in order to continue"
        raise AuthError(422, "email_exists", message)
    return await _linked(connection, user, name, profile)


async def _come_back(connection: Connection, identity: Row, profile: Profile) -> Row:
    await one(
        connection,
        "patch_identity",
        user_id=identity["user_id"],
        provider=identity["provider"],
        patch=profile.data,
    )
    user = await users.by_id(connection, identity["user_id"], lock=True)
    assert user is not None
    user = await _described(connection, user, profile)
    if user["email_confirmed_at"] is None and profile.email_verified and user["email"] == profile.email:
        user = await users.confirm_email(connection, user)
    return user


async def _linked(connection: Connection, user: Row, name: str, profile: Profile) -> Row:
    """The provider proves the address of a user who signed up some other way."""
    if user["email_confirmed_at"] is None:
        # Somebody may have claimed the address before its owner came: their password and identity go.
        await one(connection, "forget_claimed_identities", user_id=user["id"])
        await sessions.end(connection, user["id"], None, "global")
        user = await users.save(connection, user, encrypted_password="")
    await users.add_identity(connection, user, name, profile.subject, profile.data)
    user = await _described(connection, user, profile)
    user = await users.confirm_email(connection, user)
    return await users.list_providers(connection, user)


async def _described(connection: Connection, user: Row, profile: Profile) -> Row:
    metadata = (user["raw_user_meta_data"] or {}) | profile.data
    return await users.save(connection, user, raw_user_meta_data=metadata)
