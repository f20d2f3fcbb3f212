"""Identity providers: GitHub, and any OpenID Connect issuer (Google, GitLab …)."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import jwt

from embedded_supabase.auth.body import make_s256
from embedded_supabase.auth.errors import AuthError
from embedded_supabase.auth.settings import ProviderSettings, Settings, config_error

TIMEOUT_S = 10.0
# No algorithm whose key is the client's own secret.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
ISSUERS = {"google": "https://accounts.google.com", "gitlab": "https://gitlab.com"}
Document = dict[str, Any]
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


def open_providers(settings: Settings, *, callback: str) -> dict[str, Provider]:
    """Open the enabled `[auth.external.*]`. Raises `EmbeddedError` for one without a usable issuer."""
    opened: dict[str, Provider] = {}
    for name, section in settings.external.items():
        if not section.enabled:
            continue
        issuer = (section.url or ISSUERS.get(name, "")).rstrip("/")
        parts = urlsplit(issuer)
        kind = GitHub if name == "github" else Provider
        is_safe = parts.scheme == "https" or parts.hostname in ("127.0.0.1", "localhost", "::1")
        if not is_safe and kind is Provider:
            raise config_error(f"auth.external.{name}", "needs the https url of an OpenID Connect issuer")
        opened[name] = kind(section, section.redirect_uri or callback, issuer)
    return opened


class Provider:
    """An OpenID Connect issuer, found by discovery (OpenID Connect Core 1.0, Discovery 1.0).

    `verifier` is our own PKCE secret towards it (RFC 7636).
    """

    scopes: tuple[str, ...] = ("openid", "email", "profile")
    _document: Document | None = None

    def __init__(self, settings: ProviderSettings, redirect_uri: str, url: str) -> None:
        self.settings = settings
        self.redirect_uri = redirect_uri
        self.url = url

    async def build_address(self, state: str, verifier: str, scopes: str, extra: Mapping[str, str]) -> str:
        """The address where the browser signs in."""
        endpoint = (await self.discover())["authorization_endpoint"]
        asked = {
            **extra,
            "client_id": self.settings.client_id,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "scope": " ".join(dict.fromkeys([*self.scopes, *scopes.replace(",", " ").split()])),
            "state": state,
            "code_challenge": make_s256(verifier),
            "code_challenge_method": "S256",
            "nonce": _derive_nonce(verifier),
        }
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"

    async def exchange(self, code: str, verifier: str) -> tuple[Document, Document]:
        """Exchange a code for an identity's data and the provider's tokens. Raises `AuthError`."""
        client_id, secret = self.settings.client_id, self.settings.secret
        form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
        form |= {"redirect_uri": self.redirect_uri}
        endpoints, basic = await self.discover(), "client_secret_basic"
        if basic in endpoints.get("token_endpoint_auth_methods_supported", [basic]):
            auth = httpx.BasicAuth(client_id, secret)
        else:
            form, auth = form | {"client_id": client_id, "client_secret": secret}, None
        tokens = await _fetch_json("POST", endpoints["token_endpoint"], data=form, auth=auth)
        if not isinstance(tokens, dict) or not isinstance(tokens.get("access_token"), str):
            raise _provider_error("unable to exchange the code")
        person = await self.fetch_person(endpoints, tokens, verifier)
        data = {"iss": self.url, "provider_id": person["sub"], "full_name": person.get("name")}
        data = {**data, **person, "phone_verified": False}
        present = {key: value for key, value in data.items() if value is not None}
        return present, {name: tokens.get(name) for name in ("access_token", "refresh_token")}

    async def discover(self) -> Document:
        """The endpoints, as in a discovery document."""
        if self._document is None:
            document = await _fetch_json("GET", f"{self.url}/.well-known/openid-configuration")
            if str(document.get("issuer", "")).rstrip("/") != self.url:
                raise _provider_error("the discovery document is another issuer's")
            if missing := [name for name in ENDPOINTS if not isinstance(document.get(name), str)]:
                raise _provider_error(f"the discovery document has no {missing[0]}")
            self._document = document
        return self._document

    async def fetch_person(self, endpoints: Document, tokens: Document, verifier: str) -> Document:
        """The owner of the tokens: `sub`, `email`, `email_verified` and more. Raises `AuthError`."""
        published = await _fetch_json("GET", endpoints["jwks_uri"])
        claims = self._verify_id_token(published, endpoints["issuer"], str(tokens.get("id_token", "")))
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), _derive_nonce(verifier).encode()):
            raise _provider_error("the ID token answers another request")
        if not claims.get("email") and "userinfo_endpoint" in endpoints:
            profile = await _fetch_json("GET", endpoints["userinfo_endpoint"], bearer=tokens["access_token"])
            claims = profile | claims if profile.get("sub") == claims["sub"] else claims
        return {
            "sub": str(claims["sub"]),
            "email": str(claims.get("email") or ""),
            "email_verified": claims.get("email_verified") in (True, "true"),
            "avatar_url": claims.get("picture"),
            **{name: claims.get(name) for name in ("name", "picture", "preferred_username")},
        }

    def _verify_id_token(self, published: Any, issuer: str, id_token: str) -> Document:
        try:
            kid, known = jwt.get_unverified_header(id_token).get("kid"), jwt.PyJWKSet.from_dict(published)
            claims: Document = jwt.decode(
                id_token,
                known[kid] if kid else known.keys[0],
                algorithms=ALGORITHMS,
                audience=self.settings.client_id,
                issuer=issuer,
                leeway=30,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
        except (jwt.PyJWTError, AttributeError, KeyError, TypeError) as error:
            raise _provider_error(f"the ID token is not valid: {error}") from error
        return claims


class GitHub(Provider):
    """github.com, or the GitHub Enterprise server that `url` names: OAuth 2, and no OpenID Connect."""

    scopes = ("user:email",)

    async def discover(self) -> Document:
        host = self.url or "https://github.com"
        return {
            "authorization_endpoint": f"{host}/login/oauth/authorize",
            "token_endpoint": f"{host}/login/oauth/access_token",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    async def fetch_person(self, endpoints: Document, tokens: Document, verifier: str) -> Document:
        api = f"{self.url}/api/v3" if self.url else "https://api.github.com"
        user = await _fetch_json("GET", f"{api}/user", bearer=tokens["access_token"])
        addresses = await _fetch_json("GET", f"{api}/user/emails", bearer=tokens["access_token"])
        if not isinstance(addresses, list) or "id" not in user:
            raise _provider_error("GitHub did not say who this is")
        primary: Document = next((item for item in addresses if item.get("primary")), {})
        return {
            "iss": api,
            "sub": str(user["id"]),
            "email": str(primary.get("email") or ""),
            "email_verified": primary.get("verified") is True,
            "name": user.get("name"),
            "user_name": user.get("login"),
            "preferred_username": user.get("login"),
            "avatar_url": user.get("avatar_url"),
        }


async def _fetch_json(method: str, address: str, *, bearer: str = "", **sent: Any) -> Any:
    headers = {"accept": "application/json"} | ({"authorization": f"Bearer {bearer}"} if bearer else {})
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as http:
            response = await http.request(method, address, headers=headers, **sent)
        response.raise_for_status()
        return response.json()
    except (httpx.HTTPError, ValueError) as error:
        raise _provider_error(str(error)) from error


def _derive_nonce(verifier: str) -> str:
    """A nonce that needs no storage: it is derived from the flow's verifier."""
    return sha256(f"nonce:{verifier}".encode()).hexdigest()


def _provider_error(why: str) -> AuthError:
    message = f"Error getting user profile from external provider: {why}"
    return AuthError("unexpected_failure", message)
