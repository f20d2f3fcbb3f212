"""The ASGI app of `/auth/v1`."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping

import psycopg
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from soundscape.local.auth import account, admin, invitations, oauth, signup, token, verify
from soundscape.local.auth.errors import API_VERSION, API_VERSION_HEADER, AuthError, feature_disabled
from soundscape.local.auth.limits import RateLimits
from soundscape.local.auth.mail import Mailer, outbox
from soundscape.local.auth.providers import open_providers
from soundscape.local.auth.redirects import Redirects
from soundscape.local.auth.service import Auth
from soundscape.local.auth.settings import Settings
from soundscape.local.stack import Stack

log = structlog.get_logger(__name__)

Handler = Callable[[Auth, Request], Awaitable[Response]]
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
EVERY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE"]


async def _health(auth: Auth, request: Request) -> Response:
    said = {"version": "soundscape", "name": "GoTrue", "description": "The embedded Supabase's Auth"}
    return JSONResponse(said)


async def _jwks(auth: Auth, request: Request) -> Response:
    return JSONResponse(auth.stack.tokens.jwks(), headers={"cache-control": "public, max-age=600"})


async def _settings(auth: Auth, request: Request) -> Response:
    settings = auth.settings
    external = {
        "anonymous_users": settings.anonymous_enabled,
        "email": settings.email_enabled,
        "phone": False,
    }
    return JSONResponse(
        {
            "external": external | dict.fromkeys(settings.providers, True),
            "disable_signup": not settings.signup_enabled,
            "mailer_autoconfirm": not settings.confirmations,
            "phone_autoconfirm": False,
            "sms_provider": "",
            "saml_enabled": False,
            "passkeys_enabled": False,
        }
    )


async def _no_linking(auth: Auth, request: Request) -> Response:
    auth.claims(request)
    raise AuthError(404, "manual_linking_disabled", "Manual linking is disabled")


# A browser follows these without a key in hand.
OPEN: dict[str, Handler] = {
    "GET /health": _health,
    "GET /.well-known/jwks.json": _jwks,
    "GET /verify": verify.verify_link,
    "GET /authorize": oauth.authorize,
    "GET /callback": oauth.callback,
}
KEYED: dict[str, Handler] = {
    "GET /settings": _settings,
    "POST /signup": signup.signup,
    "POST /token": token.token,
    "POST /otp": signup.otp,
    "POST /magiclink": signup.otp,
    "POST /recover": signup.recover,
    "POST /resend": signup.resend,
    "POST /verify": verify.verify_code,
    "GET /user": account.get_user,
    "PUT /user": account.update_user,
    "POST /logout": account.logout,
    "GET /reauthenticate": account.reauthenticate,
    "GET /user/identities/authorize": _no_linking,
    "DELETE /user/identities/{identity_id}": _no_linking,
}
ADMIN: dict[str, Handler] = {
    "POST /invite": invitations.invite,
    "POST /admin/generate_link": invitations.generate_link,
    "GET /admin/users": admin.list_users,
    "POST /admin/users": admin.create_user,
    "GET /admin/users/{user_id}": admin.get_user,
    "PUT /admin/users/{user_id}": admin.update_user,
    "DELETE /admin/users/{user_id}": admin.delete_user,
}
REFUSED = {
    "Multi-factor authentication": ("/factors", "/admin/users/{user_id}/factors"),
    "Single sign-on": ("/sso", "/admin/sso"),
    "SCIM": ("/scim",),
    "Signing in with passkeys": ("/passkeys", "/admin/users/{user_id}/passkeys"),
    "The OAuth 2.1 server": ("/oauth", "/user/oauth", "/admin/oauth"),
    "Managing providers over the API": ("/admin/custom-providers",),
    "The audit log": ("/admin/audit",),
}


def build(stack: Stack) -> Starlette:
    """Raises `LocalStackError` for a `config.toml` that asks for what this service does not do."""
    settings = Settings.read(stack.config)
    limits = RateLimits(settings.rate_limits)
    auth = Auth(
        stack=stack,
        settings=settings,
        redirects=Redirects(settings.site_url, settings.redirect_patterns),
        limits=limits,
        mailer=Mailer(settings, limits, url=stack.url, outbox=outbox(stack.data_dir)),
        providers=open_providers(settings, callback=f"{stack.url}/auth/v1/callback"),
    )
    routes = [_route(auth, at, handler, keyed=False) for at, handler in OPEN.items()]
    routes += [_route(auth, at, handler) for at, handler in KEYED.items()]
    routes += [_route(auth, at, handler, for_admin=True) for at, handler in ADMIN.items()]
    routes += [
        Route(prefix + rest, _refusing(feature), methods=EVERY_METHOD)
        for feature, prefixes in REFUSED.items()
        for prefix in prefixes
        for rest in ("", "/{rest:path}")
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={
            AuthError: _auth_error,
            HTTPException: _http_error,
            psycopg.Error: _database_error,
        },
    )
    app.router.redirect_slashes = False
    return app


def _route(auth: Auth, at: str, handler: Handler, *, keyed: bool = True, for_admin: bool = False) -> Route:
    method, path = at.split()

    async def endpoint(request: Request) -> Response:
        if keyed and (refusal := _without_key(auth, request)):
            return refusal
        if for_admin:
            auth.require_admin(request)
        return await handler(auth, request)

    route = Route(path, endpoint, methods=[method])
    # A preview that asks for the head of a link must not use it up.
    route.methods = {method}
    return route


def _without_key(auth: Auth, request: Request) -> Response | None:
    """What a project's gateway answers a request that carries none of its keys."""
    key = request.headers.get("apikey") or request.query_params.get("apikey")
    if auth.stack.tokens.by_key(key):
        return None
    message, hint = "No API key found in request", "No `apikey` request header or url param was found."
    if key:
        message, hint = "Invalid API key", "Double check your Supabase `anon` or `service_role` API key."
    return JSONResponse({"message": message, "hint": hint}, status_code=401)


def _refusing(feature: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(_: Request) -> Response:
        raise feature_disabled(feature)

    return endpoint


async def _auth_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AuthError)
    return _refusal(request, error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _refusal(request, AuthError(error.status_code, "not_found", str(error.detail)), error.headers)


async def _database_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, psycopg.Error)
    if isinstance(error, psycopg.DataError) and error.sqlstate is None:  # never left the client: a NUL
        return _refusal(request, AuthError(400, "validation_failed", "Invalid characters in the request"))
    log.error("request failed in the database", method=request.method, path=request.url.path, exc_info=error)
    message = "Unexpected failure, please check server logs for more information"
    return _refusal(request, AuthError(500, "unexpected_failure", message))


def _refusal(request: Request, error: AuthError, headers: Mapping[str, str] | None = None) -> Response:
    version = request.headers.get(API_VERSION_HEADER, "")
    if not _DATE.fullmatch(version):
        version = ""
    known = {API_VERSION_HEADER: API_VERSION} if version >= API_VERSION else {}
    return JSONResponse(
        error.as_dict(version), status_code=error.status, headers={**(headers or {}), **known}
    )
