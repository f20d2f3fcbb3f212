"""The token of a channel: who is joining, and until when."""

from __future__ import annotations

import time

import jwt

from soundscape.local.tokens import Caller, InvalidToken, Tokens


class TokenRefused(Exception):
    """A channel's token will not do. `code` and message are the real service's words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def identify(tokens: Tokens, token: str) -> Caller:
    """The caller behind a project key or a user's token. Raises `TokenRefused`."""
    try:
        return tokens.caller(apikey=None, authorization=f"Bearer {token}", key_required=False)
    except InvalidToken as error:
        if error.code == "expired":
            expired_at = jwt.decode(token, options={"verify_signature": False})["exp"]
            raise TokenRefused("InvalidJWTToken", expired(expired_at)) from error
        if token.count(".") != 2:
            raise TokenRefused("MalformedJWT", "The token provided is not a valid JWT") from error
        raise TokenRefused("JwtSignatureError", "Failed to validate JWT signature") from error


def expired(expired_at: float) -> str:
    return f"Token has expired {max(0, int(time.time() - expired_at))} seconds ago"


def expires_at(caller: Caller) -> float | None:
    """Seconds since the epoch; None for the project's own keys."""
    found = caller.claims.get("exp")
    return float(found) if isinstance(found, int | float) else None
