"""What a request says: JSON bodies and query parameters, checked before anything believes them."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from starlette.requests import Request

from soundscape.local.auth.errors import AuthError, invalid
from soundscape.local.auth.settings import Settings

MAX_BODY_BYTES = 1024 * 1024
MAX_PASSWORD_BYTES = 72  # what bcrypt reads
_EMAIL = re.compile(
    r"[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*"
)
_PHONE = re.compile(r"[1-9][0-9]{1,14}")
_CHALLENGE = re.compile(r"[a-zA-Z0-9._~-]+")


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
            values = json.loads(raw, parse_constant=_no_constant, parse_float=_finite)
            storable(values)
        except (ValueError, RecursionError) as error:
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

    def has(self, name: str) -> bool:
        return self.values.get(name) is not None

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


def storable(value: Any) -> None:
    """Raises ValueError for text that Postgres cannot hold: NUL, or half a surrogate pair."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if "\x00" in item:
                raise ValueError("\\u0000 cannot be stored")
            item.encode()
        elif isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            waiting += item


def valid_email(email: str) -> str:
    """The address in lower case. Raises `AuthError` (`validation_failed`)."""
    if not email:
        raise invalid("An email address is required")
    if len(email) > 255:
        raise invalid("An email address is too long")
    if not _EMAIL.fullmatch(email):
        raise invalid("Unable to validate email address: invalid format")
    return email.lower()


def valid_phone(phone: str) -> str:
    """E.164 digits without the plus sign. Raises `AuthError` (`validation_failed`)."""
    digits = phone.strip().removeprefix("+").replace(" ", "")
    if not _PHONE.fullmatch(digits):
        raise invalid("Invalid phone number format (E.164 required)")
    return digits


def valid_password(password: str, settings: Settings) -> None:
    """Raises `AuthError`: `weak_password` with its reasons, or too long for bcrypt."""
    if len(password.encode()) > MAX_PASSWORD_BYTES:
        raise invalid(f"Password cannot be longer than {MAX_PASSWORD_BYTES} characters")
    messages, reasons = [], []
    if len(password) < settings.password_min_length:
        reasons.append("length")
        messages.append(f"Password should be at least {settings.password_min_length} characters.")
    if any(not set(password) & set(wanted) for wanted in settings.password_characters):
        reasons.append("characters")
        wanted = ", ".join(settings.password_characters)
        messages.append(f"Password should contain at least one character of each: {wanted}.")
    if reasons:
        raise AuthError(422, "weak_password", " ".join(messages), weak_password={"reasons": reasons})


def valid_challenge(challenge: str, method: str) -> tuple[str, str] | None:
    """A PKCE challenge (RFC 7636) with its method in lower case; None where no PKCE is asked for."""
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
    return challenge, method.lower()


def challenge_of(fields: Fields) -> tuple[str, str] | None:
    return valid_challenge(fields.text("code_challenge"), fields.text("code_challenge_method"))


def _bad_json(why: str) -> AuthError:
    return AuthError(400, "bad_json", f"Could not parse request body as JSON: {why}")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is out of range")
    return value
