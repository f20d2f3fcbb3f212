"""Signing in through a provider: /authorize sends the browser there, /callback receives it back."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from soundscape.local.auth import flows, letters, redirects, sessions, users
from soundscape.local.auth.errors import AuthError, invalid, signup_disabled
from soundscape.local.auth.fields import query, storable, valid_challenge, valid_email
from soundscape.local.auth.providers import Grant, Profile
from soundscape.local.auth.rows import Connection, Row, insert, one, update
from soundscape.local.auth.service import Auth
from soundscape.local.auth.verify import session_parameters

# What the service decides itself, or the client meant for the service.
_OWN_PARAMETERS = {
    "provider", "redirect_to", "scopes", "code_challenge", "code_challenge_method", "apikey",
    "skip_http_redirect", "client_id", "redirect_uri", "response_type", "scope", "state", "nonce",
}  # fmt: skip


async def authorize(auth: Auth, request: Request) -> Response:
    name = query(request, "provider")
    provider = auth.providers.get(name)
    if provider is None:
        raise invalid("Unsupported provider: provider is not enabled")
    challenge = valid_challenge(query(request, "code_challenge"), query(request, "code_challenge_method"))
    verifier = flows.new_verifier()
    async with auth.transaction() as connection:
        client_state = await insert(
            connection,
            "oauth_client_states",
            {
                "id": uuid4(),
                "provider_type": name,
                "code_verifier": verifier,
                "created_at": datetime.now(UTC),
            },
        )
        flow = await flows.begin(
            connection,
            provider=name,
            method="oauth",
            challenge=challenge,
            referrer=auth.redirects.target(request),
            client_state_id=client_state["id"],
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
        provider = auth.providers.get(flow["provider_type"])
        if provider is None:
            raise invalid("Unsupported provider: provider is not enabled")
        if refusal := query(request, "error"):
            said = query(request, "error_description") or refusal
            raise AuthError(403 if refusal == "access_denied" else 400, refusal[:64], said)
        if not query(request, "code"):
            raise AuthError(400, "bad_oauth_callback", "OAuth callback with missing authorization code")
        grant: Grant = await provider.grant(query(request, "code"), verifier)
        onward = await _welcome(auth, request, flow, grant, target)
    except AuthError as error:
        onward = redirects.with_error(target, error, in_query=pkce)
    return RedirectResponse(onward, status_code=302)


async def _claimed(connection: Connection, state: str) -> tuple[Row, str]:
    """The flow that `state` names and our verifier for it, once only."""
    try:
        flow_id = UUID(state)
    except ValueError as error:
        raise AuthError(400, "bad_oauth_state", "OAuth state parameter is missing or invalid") from error
    flow = await one(
        connection,
        "select * from auth.flow_state where id = %s and authentication_method = 'oauth' for update",
        [flow_id],
    )
    spent = await one(
        connection,
        "delete from auth.oauth_client_states where id = %s returning *",
        [flow["oauth_client_state_id"] if flow else None],
    )
    if flow is None or spent is None:
        raise AuthError(400, "bad_oauth_state", "OAuth state not found or expired")
    if datetime.now(UTC) > spent["created_at"] + flows.EXPIRY:
        raise AuthError(400, "bad_oauth_state", "OAuth state has expired")
    return flow, spent["code_verifier"]


async def _welcome(auth: Auth, request: Request, flow: Row, grant: Grant, target: str) -> str:
    """Where the browser goes now that the provider vouches for somebody."""
    name = flow["provider_type"]
    try:
        storable(grant.profile.data)
    except ValueError as error:
        raise AuthError(
            422, "validation_failed", "The provider sent a profile that cannot be stored"
        ) from error
    if not grant.profile.email:
        raise AuthError(422, "email_address_not_provided", "Error getting user email from external provider")
    async with auth.transaction() as connection:
        user, trusted = await _account(auth, connection, name, grant.profile)
        if users.is_banned(user):
            raise AuthError(403, "user_banned", "User is banned")
        if trusted:
            if flow["code_challenge"] is None:
                answer = await sessions.start(auth, connection, request, user, "oauth")
                carried = session_parameters(answer) | {"provider_token": grant.access_token}
                if grant.refresh_token:
                    carried["provider_refresh_token"] = grant.refresh_token
                return redirects.with_fragment(target, carried)
            code = await flows.issue_code(
                connection,
                flow,
                user_id=user["id"],
                provider_access_token=grant.access_token,
                provider_refresh_token=grant.refresh_token,
            )
            return redirects.with_query(target, code=code)
        await letters.send_confirmation(auth, connection, user, target)
    raise AuthError(
        403,
        "provider_email_needs_verification",
        f"Unverified email with {name}. A confirmation email has been sent to your {name} email",
    )


async def _account(auth: Auth, connection: Connection, name: str, profile: Profile) -> tuple[Row, bool]:
    """The user behind a profile, made or linked where needed, and whether its address is proved."""
    identity = await one(
        connection,
        "select * from auth.identities where provider = %s and provider_id = %s for update",
        [name, profile.subject],
    )
    if identity is not None:
        await update(connection, "identities", identity["id"], {"identity_data": profile.data})
        user = await users.by_id(connection, identity["user_id"], lock=True)
        assert user is not None
        metadata = (user["raw_user_meta_data"] or {}) | profile.data
        user = await users.save(connection, user, raw_user_meta_data=metadata)
        if user["email_confirmed_at"] is None and profile.email_verified and user["email"] == profile.email:
            user = await users.confirm_email(connection, user)
        return user, user["email_confirmed_at"] is not None
    email = valid_email(profile.email)
    user = await users.by_email(connection, email)
    if user is None:
        if not auth.settings.signup_enabled:
            raise signup_disabled()
        user = await users.create(connection, providers=[name], email=email, user_metadata=profile.data)
        await users.add_identity(connection, user, name, profile.subject, profile.data)
        if profile.email_verified or auth.settings.autoconfirm:
            user = await users.confirm_email(connection, user)
        return user, user["email_confirmed_at"] is not None
    if not profile.email_verified:
        # Whoever controls an unproved address at the provider must not walk into somebody's account.
        raise AuthError(
            422,
            "email_exists",
            f"Unverified email with {name}. Verify the email with {name} in order to continue",
        )
    return await _linked(connection, user, name, profile), True


async def _linked(connection: Connection, user: Row, name: str, profile: Profile) -> Row:
    """The provider proves the address of a user who signed up some other way."""
    if user["email_confirmed_at"] is None:
        # Somebody may have claimed the address before its owner came: their password and identity go.
        await connection.execute(
            "delete from auth.identities where user_id = %s and provider in ('email', 'phone')", [user["id"]]
        )
        await connection.execute("delete from auth.sessions where user_id = %s", [user["id"]])
        user = await users.save(connection, user, encrypted_password="")
    await users.add_identity(connection, user, name, profile.subject, profile.data)
    metadata = (user["raw_user_meta_data"] or {}) | profile.data
    user = await users.save(connection, user, raw_user_meta_data=metadata)
    user = await users.confirm_email(connection, user)
    return await users.list_providers(connection, user)
