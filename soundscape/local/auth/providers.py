"""Identity providers: GitHub, and whoever speaks OpenID Connect (Google, GitLab, any issuer)."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol
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


class Provider(Protocol):
    """One configured provider; `verifier` is our own PKCE secret towards it (RFC 7636)."""

    async def address(self, state: str, verifier: str, scopes: str, extra: Mapping[str, str]) -> str:
        """Where the browser signs in."""
        ...

    async def grant(self, code: str, verifier: str) -> Grant:
        """What the provider gives for `code`. Raises `AuthError`."""
        ...


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


class OpenIdConnect:
    """An issuer found by discovery (OpenID Connect Core 1.0, Discovery 1.0)."""

    def __init__(self, settings: ProviderSettings, redirect_uri: str, issuer: str) -> None:
        self._settings = settings
        self._redirect_uri = redirect_uri
        self._issuer = issuer
        self._document: dict[str, Any] | None = None

    async def address(self, state: str, verifier: str, scopes: str, extra: Mapping[str, str]) -> str:
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as http:
            document = await self._discovered(http)
        scope = " ".join(dict.fromkeys(["openid", "email", "profile", *scopes.replace(",", " ").split()]))
        ours = _asked(self._settings, self._redirect_uri, state, verifier, scope)
        return _address(document["authorization_endpoint"], {**extra, **ours, "nonce": _nonce(verifier)})

    async def grant(self, code: str, verifier: str) -> Grant:
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as http:
            document = await self._discovered(http)
            methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
            tokens = await _exchanged(
                http,
                document["token_endpoint"],
                self._settings,
                {"code": code, "code_verifier": verifier, "redirect_uri": self._redirect_uri},
                basic="client_secret_basic" in methods,
            )
            claims = await self._verified(http, document, str(tokens.get("id_token", "")), verifier)
            if not claims.get("email") and "userinfo_endpoint" in document:
                said = await _json(http, document["userinfo_endpoint"], str(tokens["access_token"]))
                if said.get("sub") == claims["sub"]:
                    claims = said | claims
        return Grant(self._profile(claims), str(tokens["access_token"]), tokens.get("refresh_token"))

    async def _discovered(self, http: httpx.AsyncClient) -> dict[str, Any]:
        if self._document is None:
            document = await _json(http, f"{self._issuer}/.well-known/openid-configuration")
            if str(document.get("issuer", "")).rstrip("/") != self._issuer:
                raise _failed("the discovery document is another issuer's")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if not isinstance(document.get(name), str):
                    raise _failed(f"the discovery document has no {name}")
            self._document = document
        return self._document

    async def _verified(
        self, http: httpx.AsyncClient, document: dict[str, Any], id_token: str, verifier: str
    ) -> dict[str, Any]:
        published = await _json(http, document["jwks_uri"])
        try:
            kid = jwt.get_unverified_header(id_token).get("kid")
            keys = [key for key in jwt.PyJWKSet.from_dict(published).keys if kid in (None, key.key_id)]
            if not keys:
                raise _failed("the ID token is signed with an unknown key")
            claims: dict[str, Any] = jwt.decode(
                id_token,
                keys[0].key,
                algorithms=ALGORITHMS,
                audience=[part.strip() for part in self._settings.client_id.split(",")],
                issuer=document["issuer"],
                leeway=30,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
        except (jwt.PyJWTError, AttributeError, TypeError) as error:
            raise _failed(f"the ID token is not valid: {error}") from error
        said = str(claims.get("nonce", ""))
        if not self._settings.skip_nonce_check and not hmac.compare_digest(
            said.encode(), _nonce(verifier).encode()
        ):
            raise _failed("the ID token answers another request")
        return claims

    def _profile(self, claims: dict[str, Any]) -> Profile:
        verified = claims.get("email_verified") in (True, "true")
        data = {
            "iss": self._issuer,
            "sub": claims["sub"],
            "name": claims.get("name"),
            "full_name": claims.get("name"),
            "email": claims.get("email"),
            "picture": claims.get("picture"),
            "avatar_url": claims.get("picture"),
            "preferred_username": claims.get("preferred_username"),
            "provider_id": claims["sub"],
            "email_verified": verified,
            "phone_verified": False,
        }
        return Profile(str(claims["sub"]), str(claims.get("email") or ""), verified, _present(data))


class GitHub:
    """github.com, or the GitHub Enterprise server that `url` names."""

    def __init__(self, settings: ProviderSettings, redirect_uri: str) -> None:
        self._settings = settings
        self._redirect_uri = redirect_uri
        self._host = settings.url.rstrip("/") or "https://github.com"
        self._api = f"{self._host}/api/v3" if settings.url else "https://api.github.com"

    async def address(self, state: str, verifier: str, scopes: str, extra: Mapping[str, str]) -> str:
        scope = " ".join(dict.fromkeys(["user:email", *scopes.replace(",", " ").split()]))
        ours = _asked(self._settings, self._redirect_uri, state, verifier, scope)
        return _address(f"{self._host}/login/oauth/authorize", {**extra, **ours})

    async def grant(self, code: str, verifier: str) -> Grant:
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as http:
            tokens = await _exchanged(
                http,
                f"{self._host}/login/oauth/access_token",
                self._settings,
                {"code": code, "code_verifier": verifier, "redirect_uri": self._redirect_uri},
                basic=False,
            )
            access_token = str(tokens["access_token"])
            user = await _json(http, f"{self._api}/user", access_token)
            addresses = await _json(http, f"{self._api}/user/emails", access_token)
        if not isinstance(addresses, list) or "id" not in user:
            raise _failed("GitHub did not say who this is")
        primary: dict[str, Any] = next((item for item in addresses if item.get("primary")), {})
        email, verified = str(primary.get("email") or ""), primary.get("verified") is True
        data = {
            "iss": self._api,
            "sub": str(user["id"]),
            "name": user.get("name"),
            "full_name": user.get("name"),
            "user_name": user.get("login"),
            "preferred_username": user.get("login"),
            "email": email,
            "avatar_url": user.get("avatar_url"),
            "provider_id": str(user["id"]),
            "email_verified": verified,
            "phone_verified": False,
        }
        profile = Profile(str(user["id"]), email, verified, _present(data))
        return Grant(profile, access_token, tokens.get("refresh_token"))


def _asked(
    settings: ProviderSettings, redirect_uri: str, state: str, verifier: str, scope: str
) -> dict[str, str]:
    return {
        "client_id": settings.client_id.split(",")[0].strip(),
        "redirect_uri": redirect_uri,
        "response_type": "code",
        "scope": scope,
        "state": state,
        "code_challenge": s256(verifier),
        "code_challenge_method": "S256",
    }


async def _exchanged(
    http: httpx.AsyncClient, address: str, settings: ProviderSettings, said: dict[str, str], *, basic: bool
) -> dict[str, Any]:
    client_id = settings.client_id.split(",")[0].strip()
    form = said | {"grant_type": "authorization_code"}
    headers = {"accept": "application/json"}
    if basic:
        pair = base64.b64encode(f"{client_id}:{settings.secret}".encode()).decode()
        headers["authorization"] = f"Basic {pair}"
    else:
        form |= {"client_id": client_id, "client_secret": settings.secret}
    try:
        response = await http.post(address, data=form, headers=headers)
        tokens = response.json()
    except (httpx.HTTPError, ValueError) as error:
        raise _failed(str(error)) from error
    if response.status_code != 200 or not isinstance(tokens, dict) or not tokens.get("access_token"):
        raise AuthError(500, "unexpected_failure", "Unable to exchange external code")
    return tokens


async def _json(http: httpx.AsyncClient, address: str, access_token: str = "") -> Any:
    headers = {"accept": "application/json"}
    if access_token:
        headers["authorization"] = f"Bearer {access_token}"
    try:
        response = await http.get(address, headers=headers)
        response.raise_for_status()
        return response.json()
    except (httpx.HTTPError, ValueError) as error:
        raise _failed(str(error)) from error


def _address(endpoint: str, parameters: Mapping[str, str]) -> str:
    return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(parameters)}"


def _nonce(verifier: str) -> str:
    """Bound to the flow without being kept: only who holds the verifier can make it."""
    return sha256(f"nonce:{verifier}".encode()).hexdigest()


def _present(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value is not None}


def _failed(why: str) -> AuthError:
    return AuthError(500, "unexpected_failure", f"Error getting user profile from external provider: {why}")
