"""Access tokens of the project's Auth, verified here without asking Auth each time.

supabase-py's `get_claims` checks neither issuer nor audience. PyJWT checks both here, and the algorithm is
the key's, never the token's choice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import jwt

from soundscape.api.keyring import Keyring
from soundscape.errors import RequestRefused

MAX_TOKEN_CHARS = 16 << 10
AUDIENCE = "authenticated"
ROLE = "authenticated"
LEEWAY_S = 10
ALGORITHMS = ("ES256", "RS256")
SIGN_IN = "Sign in again, and send the access token as Authorization: Bearer."


class NotSignedIn(RequestRefused):
    """There is no token, or it is not valid."""

    code = "not_signed_in"
    status = 401

    def __init__(self, message: str, *, code: str | None = None) -> None:
        challenge = 'Bearer error="invalid_token"' if code else "Bearer"
        super().__init__(message, code=code, remedy=SIGN_IN, headers={"WWW-Authenticate": challenge})


@dataclass(frozen=True)
class Caller:
    """A signed-in user of the project."""

    user_id: str
    """A uuid, as `auth.uid()` gives it."""
    is_anonymous: bool
    """Signed in without an identity: https://supabase.com/docs/guides/auth/auth-anonymous."""
    token: str = field(repr=False)
    """For requests to the project as the caller, under the caller's policies."""
    claims: dict[str, Any] = field(repr=False)


class Tokens:
    """Verifies access tokens of one project.

    Parameters
    ----------
    keyring
        The project's public keys.
    issuer
        The `iss` of its tokens.
    shared_secret
        Only for projects that still sign with one (HS256). None refuses such tokens.
    """

    def __init__(self, keyring: Keyring, *, issuer: str, shared_secret: str | None = None) -> None:
        self._keyring = keyring
        self._issuer = issuer
        self._shared_secret = shared_secret

    async def verify(self, token: str) -> Caller:
        """Verify a token and return its user.

        Raises
        ------
        NotSignedIn
            If it is not valid.
        RequestRefused
            With status 503, if no key could be fetched yet.
        """
        if len(token) > MAX_TOKEN_CHARS:
            raise _invalid("it is too long")
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise _invalid("it is not a JWT") from None
        key, algorithm = await self._key(header)
        return self._caller(token, self._claims(token, key, algorithm))

    async def _key(self, header: dict[str, Any]) -> tuple[Any, str]:
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm == "HS256" and self._shared_secret is not None:
            return self._shared_secret, "HS256"
        if algorithm not in ALGORITHMS or not isinstance(kid, str):
            raise _invalid("it is not signed with a key of this project")
        key = await self._keyring.find(kid)
        if key is None and self._keyring.is_empty:
            raise RequestRefused(
                "The project's signing keys cannot be fetched.",
                status=503,
                code="signing_keys_unreachable",
                remedy="Try again in a moment.",
                headers={"Retry-After": "5"},
            )
        if key is None or key.algorithm_name != algorithm:
            raise _invalid("it is not signed with a key of this project")
        return key.key, algorithm

    def _claims(self, token: str, key: Any, algorithm: str) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=AUDIENCE,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise NotSignedIn("The access token has expired.", code="token_expired") from None
        except jwt.InvalidIssuerError:
            raise _invalid("it was not issued by this project") from None
        # PyJWT raises the others for strange claims, for example an `exp` beyond all numbers.
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise _invalid("it is not signed with a key of this project, or incomplete") from None

    def _caller(self, token: str, claims: dict[str, Any]) -> Caller:
        if claims.get("role") != ROLE:
            raise _invalid("its role is not that of a user")
        try:
            user_id = str(UUID(claims["sub"]))
        except ValueError:
            raise _invalid("its user is not a uuid") from None
        return Caller(user_id, claims.get("is_anonymous") is True, token, claims)


def _invalid(why: str) -> NotSignedIn:
    return NotSignedIn(f"The access token is not valid: {why}.", code="token_invalid")
