"""Signed links in mails that end mails of these kinds, without a session (RFC 8058).

A link is valid as long as the webhook secret that it was signed with, from which its key is derived. It says
whose mails end, and of which kinds, and allows nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from uuid import UUID

PURPOSE = b"soundscape unsubscribe 1"
SIGNATURE_BYTES = 16
MAX_TOKEN_CHARS = 2048
PATH = "/api/notifications/unsubscribe"


class InvalidToken(ValueError):
    """A token that this project has not signed."""


class Unsubscription:
    """Makes and reads the tokens of links.

    Parameters
    ----------
    secrets
        The webhook secret, then the previous one.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = [hmac.digest(secret.encode(), PURPOSE, "sha256") for secret in secrets]

    def make_token(self, user_id: str, kinds: Sequence[str]) -> str:
        """Sign whose mails end, and of which kinds."""
        payload = UUID(user_id).bytes + ",".join(kinds).encode()
        return f"{_encode(payload)}.{_encode(_sign(self._keys[0], payload))}"

    def read_token(self, token: str) -> tuple[str, list[str]]:
        """Return the user and the kinds. Raises `InvalidToken`."""
        try:
            if len(token) > MAX_TOKEN_CHARS:
                raise InvalidToken("too long")
            payload, signature = (_decode(part) for part in token.split("."))
            if not any(hmac.compare_digest(_sign(key, payload), signature) for key in self._keys):
                raise InvalidToken("not ours")
            return str(UUID(bytes=payload[:16])), payload[16:].decode().split(",")
        except ValueError as error:
            raise InvalidToken(str(error)) from error


def _sign(key: bytes, payload: bytes) -> bytes:
    return hmac.new(key, payload, hashlib.sha256).digest()[:SIGNATURE_BYTES]


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    # Only the one encoding that we make: others would be other links with the same meaning.
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _encode(data) != text:
        raise InvalidToken("not as we encode it")
    return data
