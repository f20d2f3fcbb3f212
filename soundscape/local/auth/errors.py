"""Refusals in GoTrue's wire form."""

from __future__ import annotations

from typing import Any

API_VERSION = "2024-01-01"
API_VERSION_HEADER = "x-supabase-api-version"


class AuthError(Exception):
    """A refusal the client sees; `code` is one of GoTrue's error codes."""

    def __init__(self, status: int, code: str, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.extra = extra

    def as_dict(self, api_version: str = "") -> dict[str, Any]:
        """The body; clients that announce 2024-01-01 or later read `code` and `message`."""
        if api_version >= API_VERSION:
            return {"code": self.code, "message": self.message, **self.extra}
        return {"code": self.status, "error_code": self.code, "msg": self.message, **self.extra}


def invalid(message: str) -> AuthError:
    return AuthError(400, "validation_failed", message)


def feature_disabled(feature: str) -> AuthError:
    return AuthError(422, "feature_disabled", f"{feature} is not part of the embedded Supabase")


def no_phones() -> AuthError:
    return AuthError(400, "phone_provider_disabled", "Unsupported phone provider")


def invalid_credentials() -> AuthError:
    return AuthError(400, "invalid_credentials", "Invalid login credentials")


def email_exists() -> AuthError:
    return AuthError(422, "email_exists", "A user with this email address has already been registered")


def signup_disabled() -> AuthError:
    return AuthError(422, "signup_disabled", "Signups not allowed for this instance")


def user_banned() -> AuthError:
    return AuthError(400, "user_banned", "User is banned")


def user_not_found() -> AuthError:
    return AuthError(404, "user_not_found", "User not found")
