"""What a request says: JSON bodies and query parameters, checked before anything believes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from soundscape.local import strict_json
from soundscape.local.auth.errors import AuthError, feature_disabled, invalid
from soundscape.local.auth.settings import Settings

MAX_BODY_BYTES = 1024 * 1024
MAX_PASSWORD_BYTES = 72  # what bcrypt reads
_EMAIL = re.compile(
    r"[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*"
)
_CHALLENGE = re.compile(r"[a-zA-Z0-9._~-]+")


@dataclass(frozen=True)
class Challenge:
    """A PKCE challenge (RFC 7636); `method` is `s256` or `plain`."""

    text: str
    method: str


class Fields:
    """A JSON object's fields by type; a wrong type is `bad_json`, null is the same as absent."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    @classmethod
    async def of(cls, request: Request) -> Fields:
        """The request's body; an empty one has no fields. Raises `AuthError` (`bad_json`)."""
        raw = b""
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > MAX_BODY_BYTES:
                raise AuthError(413, "validation_failed", "Request body too large")
        if not raw:
            return cls({})
        try:
            values = strict_json.parse(raw)
        except ValueError as error:
            raise _bad_json(str(error)) from error
        if not isinstance(values, dict):
            raise _bad_json("the body is not an object")
        return cls(values)

    def text(self, name: str) -> str:
        return str(self._typed(name, str, ""))

    def flag(self, name: str, default: bool = False) -> bool:
        return bool(self._typed(name, bool, default))

    def mapping(self, name: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._typed(name, dict, None)
        return found

    def email(self) -> str:
        """The valid address in `email`, in lower case; '' where there is none. Raises `AuthError`."""
        return valid_email(self.text("email")) if self.text("email") else ""

    def challenge(self) -> Challenge | None:
        return valid_challenge(self.text("code_challenge"), self.text("code_challenge_method"))

    def refuse(self, features: dict[str, str]) -> None:
        """Raises `AuthError` (`feature_disabled`) where the body asks for one of `features`."""
        for name, feature in features.items():
            if self.values.get(name):
                raise feature_disabled(feature)

    def _typed(self, name: str, kind: type, default: Any) -> Any:
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise _bad_json(f"cannot unmarshal field {name}: expected {kind.__name__}")
        return value


def query(request: Request, name: str) -> str:
    """A query parameter, or ''. Raises `AuthError` where Postgres could not hold it."""
    value = request.query_params.get(name, "")
    if "\x00" in value:
        raise invalid(f"Invalid value for {name}")
    return value


def valid_email(email: str) -> str:
    """The address in lower case. Raises `AuthError` (`validation_failed`)."""
    if not email:
        raise invalid("An email address is required")
    if len(email) > 255:
        raise invalid("An email address is too long")
    if not _EMAIL.fullmatch(email):
        raise invalid("Unable to validate email address: invalid format")
    return email.lower()


def valid_password(password: str, settings: Settings) -> None:
    """Raises `AuthError`: `weak_password` with its reasons, or too long for bcrypt."""
    if len(password.encode()) > MAX_PASSWORD_BYTES:
        raise invalid(f"Password cannot be longer than {MAX_PASSWORD_BYTES} characters")
    if len(password) < settings.password_min_length:
        message = f"Password should be at least {settings.password_min_length} characters."
        raise AuthError(422, "weak_password", message, weak_password={"reasons": ["length"]})


def valid_challenge(challenge: str, method: str) -> Challenge | None:
    """None where no PKCE is asked for. Raises `AuthError` (`validation_failed`)."""
    if not challenge and not method:
        return None
    if not challenge or not method:
        raise invalid("PKCE flow requires code_challenge_method and code_challenge")
    if not 43 <= len(challenge) <= 128:
        raise invalid("code challenge has to be between 43 and 128 characters")
    if not _CHALLENGE.fullmatch(challenge):
        raise invalid(
            "code challenge can only contain alphanumeric characters, "
            "hyphens, periods, underscores and tildes"
        )
    if method.lower() not in ("s256", "plain"):
        raise invalid(f'unsupported code_challenge method "{method}"')
    return Challenge(challenge, method.lower())


def _bad_json(why: str) -> AuthError:
    return AuthError(400, "bad_json", f"Could not parse request body as JSON: {why}")
