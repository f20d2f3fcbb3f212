"""The token of a channel: who is joining, and until when."""

from __future__ import annotations

import time

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
            raise TokenRefused("InvalidJWTToken", "Token has expired") from error
        if token.count(".") != 2:
            raise TokenRefused("MalformedJWT", "The token provided is not a valid JWT") from error
        raise TokenRefused("JwtSignatureError", "Failed to validate JWT signature") from error


def seconds_left(caller: Caller) -> float | None:
    """Until the token runs out; None for the project's own keys."""
    found = caller.claims.get("exp")
    return float(found) - time.time() if isinstance(found, int | float) else None
