"""Who is calling: API keys and JWTs.

A client always sends `apikey`. It also sends `Authorization: Bearer` with a user's token, or with the key
itself when nobody is signed in.
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

CACHED_TOKENS = 1024
"""How many verified tokens are kept. The signature of each is checked once, not at every request."""

API_ROLES = frozenset({"anon", "authenticated", "service_role"})


@dataclass(frozen=True)
class Caller:
    """A verified caller.

    Parameters
    ----------
    role : str
        The database role: `anon`, `authenticated` or `service_role`.
    claims : dict
        Of the token. Policies see them.
    """

    role: str
    claims: dict[str, Any]

    @property
    def user_id(self) -> str | None:
        """The `sub` claim: a user's uuid, or None for a bare key."""
        return self.claims.get("sub")


SERVICE = Caller("service_role", {"role": "service_role"})
ANONYMOUS = Caller("anon", {"role": "anon"})


class InvalidToken(Exception):
    """A key or token is missing, malformed, expired or wrongly signed.

    Parameters
    ----------
    message : str
        In the words of the real services.
    code : str
        `no_api_key`, `invalid_api_key`, `expired`, `bad_jwt` or `invalid_token`.
    """

    def __init__(self, message: str, code: str = "invalid_token") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class Tokens:
    """Signs and verifies the tokens of an embedded Supabase.

    Parameters
    ----------
    keys : Keys
    issuer : str
        The `iss` claim, as `http://127.0.0.1:8000/auth/v1`.
    """

    def __init__(self, keys: Keys, issuer: str) -> None:
        self.issuer = issuer
        self._keys = keys
        private = load_pem_private_key(keys.signing_key_pem.encode(), password=None)
        assert isinstance(private, EllipticCurvePrivateKey)
        self._private = private
        self._public = private.public_key()
        self._verify_cached = lru_cache(CACHED_TOKENS)(self._verify_signature)
        self._known = {
            keys.publishable_key: ANONYMOUS,
            keys.secret_key: SERVICE,
            keys.anon_jwt: ANONYMOUS,
            keys.service_role_jwt: SERVICE,
        }

    def mint(self, claims: dict[str, Any]) -> str:
        """Sign an access token (ES256, with the project's `kid`).

        Parameters
        ----------
        claims : dict

        Returns
        -------
        str
        """
        return jwt.encode(claims, self._private, "ES256", headers={"kid": self._keys.signing_kid})

    def verify(self, token: str) -> dict[str, Any]:
        """Verify a token signed by this project.

        Two algorithms are accepted: ES256 with our `kid`, and HS256 with the older shared secret.

        Parameters
        ----------
        token : str

        Returns
        -------
        dict
            The claims; the caller's own copy.

        Raises
        ------
        InvalidToken
        """
        claims = self._verify_cached(token)
        return dict(claims if claims["exp"] > time.time() else self._verify_signature(token))

    def _verify_signature(self, token: str) -> dict[str, Any]:
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

    def identify(self, *, apikey: str | None, authorization: str | None, key_required: bool = True) -> Caller:
        """Find the caller of a request.

        Parameters
        ----------
        apikey : str or None
            The header. Alone it identifies the caller.
        authorization : str or None
            The header `Bearer TOKEN`.
        key_required : bool
            Whether a token without a key is refused, as by the hosted gateway. That gateway lets Storage's
            requests through, and tus-js-client sends a token alone.

        Returns
        -------
        Caller

        Raises
        ------
        InvalidToken
        """
        scheme, _, bearer = (authorization or "").partition(" ")
        bearer = bearer.strip()
        by_key = self.find_by_key(apikey)
        if apikey is not None and by_key is None:
            raise InvalidToken("Invalid API key", "invalid_api_key")
        if by_key is None and (key_required or not bearer):
            raise InvalidToken("No API key found in request", "no_api_key")
        if by_key is not None and not bearer:
            return by_key
        if scheme.lower() != "bearer":
            raise InvalidToken("Invalid Compact JWS", "bad_jwt")
        known = self.find_by_key(bearer)
        if known is not None:
            return known
        claims = self.verify(bearer)
        role = claims.get("role")
        if not isinstance(role, str) or role not in API_ROLES:
            raise InvalidToken('unexpected "role" claim value', "bad_jwt")
        return Caller(role, claims)

    def read_jwks(self) -> dict[str, Any]:
        """The public half of the signing key, as `/.well-known/jwks.json` serves it (RFC 7517)."""
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self._public))
        public |= {"kid": self._keys.signing_kid, "alg": "ES256", "use": "sig", "key_ops": ["verify"]}
        return {"keys": [public]}

    def find_by_key(self, candidate: str | None) -> Caller | None:
        """The caller whose key this is; None for any other text. Takes the same time for each."""
        found = None
        for key, caller in self._known.items():
            if hmac.compare_digest(key.encode(), (candidate or "").encode()):
                found = caller
        return found
