"""Identity providers: GitHub, and whoever speaks OpenID Connect (Google, GitLab, any issuer)."""

from __future__ import annotations

import hmac
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import jwt

from soundscape.errors import LocalStackError
from soundscape.local.auth.errors import AuthError
from soundscape.local.auth.flows import s256
from soundscape.local.auth.settings import ProviderSettings, Settings

TIMEOUT_S = 10.0
# Never an algorithm whose key is the client's own secret.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
ISSUERS = {"google": "https://accounts.google.com", "gitlab": "https://gitlab.com"}
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True)
class Profile:
    """Who the provider says it is; `data` becomes the identity's data."""

    subject: str
    email: str
    email_verified: bool
    data: dict[str, Any]


@dataclass(frozen=True)
class Grant:
    profile: Profile
    access_token: str
    refresh_token: str | None


def open_providers(settings: Settings, *, callback: str) -> dict[str, Provider]:
    """The enabled `[auth.external.*]`. Raises `LocalStackError` for one that cannot be spoken to."""
    opened: dict[str, Provider] = {}
    for name, section in settings.providers.items():
        redirect_uri = section.redirect_uri or callback
        if name == "github":
            opened[name] = GitHub(section, redirect_uri)
            continue
        issuer = (section.url or ISSUERS.get(name, "")).rstrip("/")
        parts = urlsplit(issuer)
        if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise LocalStackError(
                f"config.toml: [auth.external.{name}] needs the url of an OpenID Connect issuer over https.",
                code="auth_config",
                remedy="Set url to the issuer, or disable the provider for the embedded stack.",
            )
        opened[name] = OpenIdConnect(section, redirect_uri, issuer)
    return opened


class Provider(ABC):
    """One configured provider; `verifier` is our own PKCE secret towards it (RFC 7636)."""

    scopes: tuple[str, ...]

    def __init__(self, settings: ProviderSettings, redirect_uri: str) -> None:
        self.settings = settings
        self.redirect_uri = redirect_uri

    async def address(self, state: str, verifier: str, scopes: str, extra: Mapping[str, str]) -> str:
        """Where the browser signs in."""
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as http:
            endpoint = (await self.endpoints(http))["authorization_endpoint"]
        asked = {
            **extra,
            "client_id": self.settings.client_id,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "scope": " ".join(dict.fromkeys([*self.scopes, *scopes.replace(",", " ").split()])),
            "state": state,
            "code_challenge": s256(verifier),
            "code_challenge_method": "S256",
            "nonce": _nonce(verifier),
        }
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"

    async def grant(self, code: str, verifier: str) -> Grant:
        """What the provider gives for `code`. Raises `AuthError`."""
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as http:
            endpoints = await self.endpoints(http)
            tokens = await self._tokens(http, endpoints, code, verifier)
            profile = await self.profile(http, endpoints, tokens, verifier)
        return Grant(profile, str(tokens["access_token"]), tokens.get("refresh_token"))

    @abstractmethod
    async def endpoints(self, http: httpx.AsyncClient) -> dict[str, Any]:
        """As an OpenID Connect discovery document names them."""

    @abstractmethod
    async def profile(
        self, http: httpx.AsyncClient, endpoints: dict[str, Any], tokens: dict[str, Any], verifier: str
    ) -> Profile:
        """Whom the tokens are of. Raises `AuthError`."""

    async def _tokens(
        self, http: httpx.AsyncClient, endpoints: dict[str, Any], code: str, verifier: str
    ) -> dict[str, Any]:
        client_id, secret = self.settings.client_id, self.settings.secret
        form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
        form |= {"redirect_uri": self.redirect_uri}
        basic: httpx.BasicAuth | None = httpx.BasicAuth(client_id, secret)
        methods = endpoints.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if "client_secret_basic" not in methods:
            form, basic = form | {"client_id": client_id, "client_secret": secret}, None
        asking = http.build_request(
            "POST", endpoints["token_endpoint"], data=form, headers={"accept": "application/json"}
        )
        try:
            response = await http.send(asking, auth=basic)
            tokens = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise _failed(str(error)) from error
        if response.status_code != 200 or not isinstance(tokens, dict) or not tokens.get("access_token"):
            raise AuthError(500, "unexpected_failure", "Unable to exchange external code")
        return tokens


class OpenIdConnect(Provider):
    """An issuer found by discovery (OpenID Connect Core 1.0, Discovery 1.0)."""

    scopes = ("openid", "email", "profile")

    def __init__(self, settings: ProviderSettings, redirect_uri: str, issuer: str) -> None:
        super().__init__(settings, redirect_uri)
        self._issuer = issuer
        self._document: dict[str, Any] | None = None

    async def endpoints(self, http: httpx.AsyncClient) -> dict[str, Any]:
        if self._document is None:
            document = await _json(http, f"{self._issuer}/.well-known/openid-configuration")
            if str(document.get("issuer", "")).rstrip("/") != self._issuer:
                raise _failed("the discovery document is another issuer's")
            if missing := [name for name in ENDPOINTS if not isinstance(document.get(name), str)]:
                raise _failed(f"the discovery document has no {missing[0]}")
            self._document = document
        return self._document

    async def profile(
        self, http: httpx.AsyncClient, endpoints: dict[str, Any], tokens: dict[str, Any], verifier: str
    ) -> Profile:
        published = await _json(http, endpoints["jwks_uri"])
        claims = self._verified(published, endpoints, str(tokens.get("id_token", "")), verifier)
        if not claims.get("email") and "userinfo_endpoint" in endpoints:
            said = await _json(http, endpoints["userinfo_endpoint"], str(tokens["access_token"]))
            if said.get("sub") == claims["sub"]:
                claims = said | claims
        return _profile(
            self._issuer,
            str(claims["sub"]),
            str(claims.get("email") or ""),
            claims.get("email_verified") in (True, "true"),
            name=claims.get("name"),
            picture=claims.get("picture"),
            avatar_url=claims.get("picture"),
            preferred_username=claims.get("preferred_username"),
        )

    def _verified(
        self, published: Any, endpoints: dict[str, Any], id_token: str, verifier: str
    ) -> dict[str, Any]:
        try:
            kid = jwt.get_unverified_header(id_token).get("kid")
            keys = [key for key in jwt.PyJWKSet.from_dict(published).keys if kid in (None, key.key_id)]
            if not keys:
                raise _failed("the ID token is signed with an unknown key")
            claims: dict[str, Any] = jwt.decode(
                id_token,
                keys[0].key,
                algorithms=ALGORITHMS,
                audience=self.settings.client_id,
                issuer=endpoints["issuer"],
                leeway=30,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
        except (jwt.PyJWTError, AttributeError, TypeError) as error:
            raise _failed(f"the ID token is not valid: {error}") from error
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), _nonce(verifier).encode()):
            raise _failed("the ID token answers another request")
        return claims


class GitHub(Provider):
    """github.com, or the GitHub Enterprise server that `url` names."""

    scopes = ("user:email",)

    def __init__(self, settings: ProviderSettings, redirect_uri: str) -> None:
        super().__init__(settings, redirect_uri)
        self._host = settings.url.rstrip("/") or "https://github.com"
        self._api = f"{self._host}/api/v3" if settings.url else "https://api.github.com"

    async def endpoints(self, http: httpx.AsyncClient) -> dict[str, Any]:
        return {
            "authorization_endpoint": f"{self._host}/login/oauth/authorize",
            "token_endpoint": f"{self._host}/login/oauth/access_token",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    async def profile(
        self, http: httpx.AsyncClient, endpoints: dict[str, Any], tokens: dict[str, Any], verifier: str
    ) -> Profile:
        access_token = str(tokens["access_token"])
        user = await _json(http, f"{self._api}/user", access_token)
        addresses = await _json(http, f"{self._api}/user/emails", access_token)
        if not isinstance(addresses, list) or "id" not in user:
            raise _failed("GitHub did not say who this is")
        primary: dict[str, Any] = next((item for item in addresses if item.get("primary")), {})
        return _profile(
            self._api,
            str(user["id"]),
            str(primary.get("email") or ""),
            primary.get("verified") is True,
            name=user.get("name"),
            user_name=user.get("login"),
            preferred_username=user.get("login"),
            avatar_url=user.get("avatar_url"),
        )


def _profile(issuer: str, subject: str, email: str, verified: bool, *, name: Any, **said: Any) -> Profile:
    data = {"iss": issuer, "sub": subject, "provider_id": subject, "name": name, "full_name": name, **said}
    data |= {"email": email or None, "email_verified": verified, "phone_verified": False}
    present = {key: value for key, value in data.items() if value is not None}
    return Profile(subject, email, verified, present)


async def _json(http: httpx.AsyncClient, address: str, access_token: str = "") -> Any:
    bearer = {"authorization": f"Bearer {access_token}"} if access_token else {}
    try:
        response = await http.get(address, headers={"accept": "application/json", **bearer})
        response.raise_for_status()
        return response.json()
    except (httpx.HTTPError, ValueError) as error:
        raise _failed(str(error)) from error


def _nonce(verifier: str) -> str:
    """Bound to the flow without being kept: only who holds the verifier can make it."""
    return sha256(f"nonce:{verifier}".encode()).hexdigest()


def _failed(why: str) -> AuthError:
    return AuthError(500, "unexpected_failure", f"Error getting user profile from external provider: {why}")
