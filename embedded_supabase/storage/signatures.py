"""The tokens of signed URLs: a path, a scope and an expiry, signed with a secret of Storage's own."""

from __future__ import annotations

import time
from typing import Any

import jwt

from embedded_supabase.storage.errors import StorageError

UPLOAD_SECONDS = 7200
"""How long a signed upload URL is valid."""
MAX_SECONDS = 10 * 365 * 24 * 3600


class Signatures:
    """Signs and verifies with one secret (HS256)."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def sign(self, path: str, scope: str, expires_in_s: int, **claims: Any) -> str:
        """Make a token for `bucket/key`. `scope` is `download` or `upload`."""
        now = int(time.time())
        payload = {"url": path, "scope": scope, **claims, "iat": now, "exp": now + expires_in_s}
        return jwt.encode(payload, self._secret, algorithm="HS256")

    def verify(self, token: str, path: str, scope: str) -> dict[str, Any]:
        """The claims of a token made for this path and scope.

        Raises `InvalidJWT` for garbage and expired tokens, `InvalidSignature` for another path or scope.
        """
        try:
            claims = jwt.decode(token, self._secret, algorithms=["HS256"], options={"require": ["exp"]})
        except jwt.ExpiredSignatureError as error:
            raise StorageError("InvalidJWT", '"exp" claim timestamp check failed') from error
        except jwt.InvalidSignatureError as error:
            raise StorageError("InvalidJWT", "signature verification failed") from error
        except (jwt.PyJWTError, ValueError) as error:
            raise StorageError("InvalidJWT") from error
        if claims.get("url") != path or claims.get("scope") != scope:
            raise StorageError("InvalidSignature")
        return dict(claims)
