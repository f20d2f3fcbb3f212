"""Who is calling: API keys and JWTs, minted and verified.

A client sends `apikey` always, and `Authorization: Bearer` with a user's token or, when nobody is
signed in, with the key itself.
"""

from __future__ import annotations

import hmac
import json
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from embedded_supabase.keys import Keys

REMEMBERED_TOKENS = 1024
"""Verified tokens kept, so that a signature is checked once and not with every request."""

API_ROLES = frozenset({"anon", "authenticated", "service_role"})


@dataclass(frozen=True)
class Caller:
    """A verified caller: the database role it acts under and the claims policies see."""

    role: str
    claims: dict[str, Any]

    @property
    def user_id(self) -> str | None:
        """The `sub` claim: a user's uuid, or None for a bare key."""
        return self.claims.get("sub")


SERVICE = Caller("service_role", {"role": "service_role"})
ANONYMOUS = Caller("anon", {"role": "anon"})


class InvalidToken(Exception):
    """A missing, malformed, expired or wrongly signed token; `message` is the real services' wording."""

    def __init__(self, message: str, code: str = "invalid_token") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class Tokens:
    """Mints and verifies the tokens of one project."""

    def __init__(self, keys: Keys, issuer: str) -> None:
        self.issuer = issuer
        self._keys = keys
        private = load_pem_private_key(keys.signing_key_pem.encode(), password=None)
        assert isinstance(private, EllipticCurvePrivateKey)
        self._private = private
        self._public = private.public_key()
        self._remembered = lru_cache(REMEMBERED_TOKENS)(self._verified)
        self._known = {
            keys.publishable_key: ANONYMOUS,
            keys.secret_key: SERVICE,
            keys.anon_jwt: ANONYMOUS,
            keys.service_role_jwt: SERVICE,
        }

    def mint(self, claims: dict[str, Any]) -> str:
        """An access token for `claims`, ES256 with the project's `kid`."""
        return jwt.encode(claims, self._private, "ES256", headers={"kid": self._keys.signing_kid})

    def verify(self, token: str) -> dict[str, Any]:
        """The claims of a token signed by this project.

        The algorithm is chosen by us from two, never by the token alone: ES256 with our `kid`, or
        HS256 with the older shared secret. Raises `InvalidToken`.
        """
        claims = self._remembered(token)
        return dict(claims if claims["exp"] > time.time() else self._verified(token))

    def _verified(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise InvalidToken("Invalid Compact JWS", "bad_jwt") from error
        algorithm = header.get("alg")
        if algorithm == "ES256" and header.get("kid") == self._keys.signing_kid:
            key: Any = self._public
        elif algorithm == "HS256":
            key = self._keys.jwt_secret
        else:
            raise InvalidToken("signature verification failed", "bad_jwt")
        try:
            options: Any = {"verify_aud": False, "require": ["exp"]}
            claims: dict[str, Any] = jwt.decode(token, key, algorithms=[algorithm], options=options)
        except jwt.ExpiredSignatureError as error:
            raise InvalidToken('"exp" claim timestamp check failed', "expired") from error
        except jwt.MissingRequiredClaimError as error:
            raise InvalidToken('missing required "exp" claim', "bad_jwt") from error
        except jwt.PyJWTError as error:
            raise InvalidToken("signature verification failed", "bad_jwt") from error
        if not isinstance(claims["exp"], int | float):  # PyJWT takes digits in a text for a number
            raise InvalidToken('"exp" claim must be a number', "bad_jwt")
        if algorithm == "ES256" and claims.get("iss") != self.issuer:
            raise InvalidToken('unexpected "iss" claim value', "bad_jwt")
        return claims

    def caller(self, *, apikey: str | None, authorization: str | None, key_required: bool = True) -> Caller:
        """The caller behind a request's two headers. Raises `InvalidToken`.

        Without `Authorization` the key speaks for itself. A token without a key is refused, as the hosted
        gateway does, except where `key_required` is false: it lets Storage's requests through unasked, and
        tus-js-client sends a token alone.
        """
        scheme, _, bearer = (authorization or "").partition(" ")
        bearer = bearer.strip()
        by_key = self.by_key(apikey)
        if apikey is not None and by_key is None:
            raise InvalidToken("Invalid API key", "invalid_api_key")
        if by_key is None and (key_required or not bearer):
            raise InvalidToken("No API key found in request", "no_api_key")
        if by_key is not None and not bearer:
            return by_key
        if scheme.lower() != "bearer":
            raise InvalidToken("Invalid Compact JWS", "bad_jwt")
        known = self.by_key(bearer)
        if known is not None:
            return known
        claims = self.verify(bearer)
        role = claims.get("role")
        if not isinstance(role, str) or role not in API_ROLES:
            raise InvalidToken('unexpected "role" claim value', "bad_jwt")
        return Caller(role, claims)

    def jwks(self) -> dict[str, Any]:
        """The public half of the signing key, as `/.well-known/jwks.json` serves it."""
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self._public))
        public |= {"kid": self._keys.signing_kid, "alg": "ES256", "use": "sig", "key_ops": ["verify"]}
        return {"keys": [public]}

    def by_key(self, candidate: str | None) -> Caller | None:
        """Whose key that is; None for what is no key of this project. Takes as long for each."""
        found = None
        for key, caller in self._known.items():
            if hmac.compare_digest(key.encode(), (candidate or "").encode()):
                found = caller
        return found
