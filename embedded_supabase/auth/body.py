"""What a client sends: JSON bodies and PKCE challenges, checked."""

from __future__ import annotations

import base64
import re
from hashlib import sha256
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request

from embedded_supabase import payload
from embedded_supabase.auth.errors import AuthError, invalid

MAX_BODY_BYTES = 1024 * 1024
MAX_PASSWORD_BYTES = 72  # what bcrypt reads
_EMAIL = re.compile(
    r"[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*"
)
_CHALLENGE = re.compile(r"[a-zA-Z0-9._~-]{43,128}")


class Body(BaseModel):
    """All fields of all requests. Null counts as absent; a wrong type is `bad_json`."""

    model_config = ConfigDict(strict=True, frozen=True)

    id: str = ""
    type: str = ""
    email: str = ""
    new_email: str = ""
    phone: str = ""
    password: str = ""
    token: str = ""
    token_hash: str = ""
    refresh_token: str = ""
    auth_code: str = ""
    code_verifier: str = ""
    code_challenge: str = ""
    code_challenge_method: str = ""
    redirect_to: str = ""
    ban_duration: str = ""
    create_user: bool = True
    email_confirm: bool = False
    data: dict[str, Any] = {}
    user_metadata: dict[str, Any] = {}
    app_metadata: dict[str, Any] = {}
    password_hash: Any = None
    role: Any = None
    should_soft_delete: Any = None

    @classmethod
    async def read(cls, request: Request) -> Body:
        """Read the request's body. An empty one has no fields. Raises `AuthError`."""
        too_large = AuthError("validation_failed", "Request body too large", status=413)
        raw = await payload.read_body(request, MAX_BODY_BYTES, too_large)
        try:
            fields = payload.parse_storable(raw or b"{}")
            if isinstance(fields, dict):
                fields = {name: value for name, value in fields.items() if value is not None}
            body = cls.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise AuthError("bad_json", f"cannot unmarshal field {where}: {first['msg']}") from error
        except ValueError as error:
            raise AuthError("bad_json", f"Could not parse request body as JSON: {error}") from error
        check_challenge(body.code_challenge, body.code_challenge_method)
        return body

    def read_address(self, without: str = "An email address is required") -> str:
        """The address in `email`, checked and in lower case. Raises `AuthError`, with `without` for none."""
        if self.phone:
            raise AuthError("phone_provider_disabled")
        if not self.email:
            raise invalid(without)
        return check_email(self.email)


def check_email(email: str) -> str:
    """Check an address and return it in lower case. Raises `AuthError` (`validation_failed`)."""
    if len(email) > 255:
        raise invalid("An email address is too long")
    if not _EMAIL.fullmatch(email):
        raise invalid("Unable to validate email address: invalid format")
    return email.lower()


def check_password(password: str, min_length: int) -> None:
    """Raises `AuthError`: `weak_password` with its reasons, or `validation_failed` for over 72 bytes."""
    if len(password.encode()) > MAX_PASSWORD_BYTES:
        raise invalid(f"Password cannot be longer than {MAX_PASSWORD_BYTES} characters")
    if len(password) < min_length:
        message = f"Password should be at least {min_length} characters."
        raise AuthError("weak_password", message, weak_password={"reasons": ["length"]})


def check_challenge(challenge: str, method: str) -> None:
    """Raises `AuthError` for an invalid PKCE challenge (RFC 7636, 4.2). No challenge is fine."""
    if bool(challenge) != bool(method):
        raise invalid("PKCE flow requires code_challenge_method and code_challenge")
    if challenge and not _CHALLENGE.fullmatch(challenge):
        raise invalid(
            "code challenge has to be between 43 and 128 characters: "
            "alphanumeric ones, hyphens, periods, underscores and tildes"
        )
    if method.lower() not in ("", "s256", "plain"):
        raise invalid(f'unsupported code_challenge method "{method}"')


def make_s256(verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636, 4.2)."""
    return base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
