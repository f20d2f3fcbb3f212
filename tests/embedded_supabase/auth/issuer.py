"""An identity provider for the tests: an OpenID Connect issuer and GitHub's API, on 127.0.0.1."""

from __future__ import annotations

import base64
import hmac
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.servers import find_port, make_server
from tests.waiting import LIMIT_S

CLIENT_ID, CLIENT_SECRET = "soundscape-tests", "a secret: with % signs"


@dataclass
class Issuer:
    """Whoever `person` says signs in at once; `spoil` changes an ID token before it is signed."""

    person: dict[str, Any] = field(default_factory=dict)
    spoil: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "RS256"
    deny: bool = False
    discovery_issuer: str | None = None
    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)
    _tokens: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._key = rsa.generate_private_key(65537, 2048)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/authorize", self._authorize),
                Route("/login/oauth/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/login/oauth/access_token", self._token, methods=["POST"]),
                Route("/jwks", self._jwks),
                Route("/userinfo", self._user),
                Route("/api/v3/user", self._user),
                Route("/api/v3/user/emails", self._emails),
            ]
        )

    async def _discovery(self, _: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.discovery_issuer or self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/jwks",
                "userinfo_endpoint": f"{self.url}/userinfo",
            }
        )

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.asked.append(asked)
        if self.deny:
            said = {
                "error": "access_denied",
                "error_description": "The user said no",
                "state": asked["state"],
            }
            return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(said)}")
        code = secrets.token_urlsafe(8)
        self._codes[code] = asked
        return RedirectResponse(
            f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"
        )

    async def _token(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        asked = self._codes.pop(form["code"], None)
        pair = (
            base64.b64decode(request.headers.get("authorization", "Basic Og==")[6:]).decode().partition(":")
        )
        secret = form.get("client_secret") or pair[2]
        challenge = base64.urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        if (
            asked is None
            or not hmac.compare_digest(secret.encode(), CLIENT_SECRET.encode())
            or challenge.decode() != asked["code_challenge"]
            or form["redirect_uri"] != asked["redirect_uri"]
        ):
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        access_token = secrets.token_urlsafe(8)
        self._tokens[access_token] = dict(self.person)
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 60,
            "nonce": asked.get("nonce"),
            **self.person,
            **self.spoil,
        }
        key: Any = self._key if self.algorithm.startswith("RS") else CLIENT_SECRET.ljust(32)
        id_token = jwt.encode(claims, key, algorithm=self.algorithm, headers={"kid": "one"})
        return JSONResponse(
            {"access_token": access_token, "refresh_token": "long-lived", "id_token": id_token}
        )

    async def _jwks(self, _: Request) -> Response:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return JSONResponse({"keys": [public | {"kid": "one", "use": "sig", "alg": "RS256"}]})

    async def _user(self, request: Request) -> Response:
        person = self._tokens.get(request.headers["authorization"].removeprefix("Bearer "))
        if person is None:
            return JSONResponse({"message": "Bad credentials"}, status_code=401)
        return JSONResponse(
            person | {"id": person["sub"], "login": person.get("name"), "avatar_url": person.get("picture")}
        )

    async def _emails(self, request: Request) -> Response:
        person = self._tokens[request.headers["authorization"].removeprefix("Bearer ")]
        return JSONResponse(
            [
                {"email": "other@example.com", "primary": False, "verified": True},
                {"email": person["email"], "primary": True, "verified": person["email_verified"]},
            ]
        )


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    server = make_server(issuer.app())
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    issuer.url = f"http://127.0.0.1:{find_port(server)}"
    try:
        yield issuer
    finally:
        server.should_exit = True
        thread.join(timeout=LIMIT_S)
