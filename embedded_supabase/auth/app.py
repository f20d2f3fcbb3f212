"""The ASGI app of `/auth/v1`."""

from __future__ import annotations

import re
from functools import partial

import psycopg
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from embedded_supabase.auth import account, admin, oauth, sessions
from embedded_supabase.auth.body import Body
from embedded_supabase.auth.call import Auth, Call, Handler, Result, Row
from embedded_supabase.auth.errors import AuthError, feature_disabled
from embedded_supabase.auth.limits import RateLimits
from embedded_supabase.auth.providers import open_providers
from embedded_supabase.auth.redirects import Redirects
from embedded_supabase.auth.settings import Settings
from embedded_supabase.embedded import EmbeddedSupabase

log = structlog.get_logger(__name__)

API_VERSION_HEADER, API_VERSION = "x-supabase-api-version", "2024-01-01"
DEADLOCK_ATTEMPTS = 3
EVERY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


async def _read_health(call: Call) -> Result:
    return {"version": "soundscape", "name": "GoTrue", "description": "The embedded Supabase's Auth"}


async def _read_jwks(call: Call) -> Result:
    return JSONResponse(
        call.auth.embedded.tokens.read_jwks(), headers={"cache-control": "public, max-age=600"}
    )


async def _read_settings(call: Call) -> Result:
    settings = call.settings
    kinds = {"anonymous_users": settings.enable_anonymous_sign_ins, "email": settings.email.enable_signup}
    return {
        "external": {**kinds, "phone": False, **dict.fromkeys(call.auth.providers, True)},
        "disable_signup": not settings.enable_signup,
        "mailer_autoconfirm": not settings.email.enable_confirmations,
        "phone_autoconfirm": False,
        "sms_provider": "",
        "saml_enabled": False,
        "passkeys_enabled": False,
    }


# A browser follows these links without a key.
OPEN: dict[str, Handler] = {
    "GET /health": _read_health,
    "GET /.well-known/jwks.json": _read_jwks,
    "GET /verify": account.verify_link,
    "GET /authorize": oauth.authorize,
    "GET /callback": oauth.callback,
}
KEYED: dict[str, Handler] = {
    "GET /settings": _read_settings,
    "POST /signup": account.sign_up,
    "POST /token": sessions.issue_tokens,
    "POST /otp": account.send_otp,
    "POST /magiclink": account.send_otp,
    "POST /recover": account.recover,
    "POST /resend": account.resend,
    "POST /verify": account.verify_code,
    "GET /user": account.get_user,
    "PUT /user": account.update_user,
    "POST /logout": account.log_out,
    "GET /reauthenticate": account.reauthenticate,
    "GET /user/identities/authorize": account.link_identity,
    "DELETE /user/identities/{identity_id}": account.link_identity,
}
ADMIN: dict[str, Handler] = {
    "POST /invite": admin.invite,
    "POST /admin/generate_link": admin.generate_link,
    "GET /admin/users": admin.list_users,
    "POST /admin/users": admin.create_user,
    "GET /admin/users/{user_id:uuid}": admin.get_user,
    "PUT /admin/users/{user_id:uuid}": admin.update_user,
    "DELETE /admin/users/{user_id:uuid}": admin.delete_user,
}
REFUSED = {
    "Multi-factor authentication": ("/factors", "/admin/users/{user_id}/factors"),
    "Single sign-on": ("/sso", "/saml", "/admin/sso"),
    "SCIM": ("/scim",),
    "Signing in with passkeys": ("/passkeys", "/admin/users/{user_id}/passkeys"),
    "The OAuth 2.1 server": ("/oauth", "/user/oauth", "/admin/oauth"),
    "Managing providers over the API": ("/admin/custom-providers",),
    "The audit log": ("/admin/audit",),
}


def build(embedded: EmbeddedSupabase) -> Starlette:
    """Build the app. Raises `EmbeddedError` for settings that this service does not have."""
    settings = Settings.read(embedded.config)
    redirects = Redirects(settings.site_url, settings.additional_redirect_urls)
    providers = open_providers(settings, callback=f"{embedded.url}/auth/v1/callback")
    limits = RateLimits(settings.rate_limit.model_dump(exclude_none=True))
    auth = Auth(embedded, settings, redirects, limits, providers)
    app = Starlette(
        routes=[
            *(_route(auth, at, handler, keyed=False) for at, handler in OPEN.items()),
            *(_route(auth, at, handler) for at, handler in KEYED.items()),
            *(_route(auth, at, handler, for_admin=True) for at, handler in ADMIN.items()),
            *(
                Route(prefix + rest, partial(_refuse_feature, feature), methods=EVERY_METHOD)
                for feature, prefixes in REFUSED.items()
                for prefix in prefixes
                for rest in ("", "/{rest:path}")
            ),
        ],
        exception_handlers={AuthError: _respond_refused, HTTPException: _respond_http_error},
    )
    app.router.redirect_slashes = False
    return app


def _route(auth: Auth, at: str, handler: Handler, *, keyed: bool = True, for_admin: bool = False) -> Route:
    method, path = at.split()

    async def endpoint(request: Request) -> Response:
        if keyed and (refusal := _check_key(auth, request)):
            return refusal
        if for_admin and auth.read_claims(request).get("role") not in ("service_role", "supabase_admin"):
            raise AuthError("not_admin")
        body = await Body.read(request)
        result = await _run(auth, request, body, handler)
        if isinstance(result, AuthError):
            raise result
        return result if isinstance(result, Response) else JSONResponse(result)

    route = Route(path, endpoint, methods=[method])
    # A link preview that sends HEAD must not use the link up.
    route.methods = {method}
    return route


async def _run(auth: Auth, request: Request, body: Body, handler: Handler) -> Result:
    """Run a handler in a transaction; again where Postgres ended it to resolve a deadlock."""
    for attempts_left in reversed(range(DEADLOCK_ATTEMPTS)):
        try:
            async with auth.embedded.auth_admin.connection() as connection, connection.transaction():
                return await handler(Call(auth, request, body, connection))
        except AuthError as error:
            if not attempts_left or not isinstance(error.__cause__, psycopg.errors.DeadlockDetected):
                raise
    raise AssertionError("the last attempt returns or raises")


def _check_key(auth: Auth, request: Request) -> Response | None:
    """The error response of a project's gateway to a request without a key; None with a key."""
    key = request.headers.get("apikey") or request.query_params.get("apikey")
    if auth.embedded.tokens.find_by_key(key):
        return None
    message, hint = "No API key found in request", "No `apikey` request header or url param was found."
    if key:
        message, hint = "Invalid API key", "Double check your Supabase `anon` or `service_role` API key."
    return JSONResponse({"message": message, "hint": hint}, status_code=401)


def _refuse_feature(feature: str, _: Request) -> Response:
    raise feature_disabled(feature)


def _respond_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, AuthError)
    if error.status >= 500:
        log.error("request failed", method=request.method, path=request.url.path, exc_info=error)
    version = request.headers.get(API_VERSION_HEADER, "")
    body: Row = {"code": error.status, "error_code": error.code, "msg": error.message}
    headers = {}
    if _DATE.fullmatch(version) and version >= API_VERSION:
        body, headers = {"code": error.code, "message": error.message}, {API_VERSION_HEADER: API_VERSION}
    return JSONResponse(body | error.extra, status_code=error.status, headers=headers)


def _respond_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _respond_refused(request, AuthError("not_found", str(error.detail), status=error.status_code))
