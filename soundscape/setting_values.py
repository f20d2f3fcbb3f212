"""Values of settings: each parser refuses a value with a message and a remedy."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator

_PLACEHOLDER = re.compile(
    # Runs of x only as a word of their own: random keys hold them by chance.
    r"^$|change.?me|your[-_ ]|<.*>|(?<![a-z0-9])x{3,}(?![a-z0-9])|example|placeholder|secret[-_ ]?here",
    re.IGNORECASE,
)
LOG_LEVELS = ("debug", "info", "warning", "error")

MIN_SECRET_KEY_CHARS = 20
"""Below any key that Supabase makes."""
MIN_WEBHOOK_KEY_BYTES = 24
"""Standard Webhooks 1.0."""


class InvalidValue(ValueError):
    """A value that is refused. In the texts, `{name}` is the setting and `{names}` all its names."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def refuse_placeholder(text: str) -> str:
    """Return the text unless it is a placeholder, such as `changeme`."""
    if _PLACEHOLDER.search(text):
        raise InvalidValue("{name} still holds a placeholder.", "Put the real value of {name}.")
    return text


def parse_project_url(text: str) -> str:
    """Return the project's URL without a slash at the end."""
    url = refuse_placeholder(text).rstrip("/")
    parts = urlsplit(url) if _is_url(url) else None
    if parts is None or "@" in parts.netloc or parts.path or parts.query or parts.fragment:
        # Not repeated here: it may hold a password.
        raise InvalidValue(
            "{name} must be scheme and host, with no user, path or query.",
            "It looks like https://<ref>.supabase.co.",
        )
    return url


def parse_secret_key(text: str) -> str:
    """Return the secret key unless it was cut off."""
    if len(refuse_placeholder(text)) < MIN_SECRET_KEY_CHARS:
        raise InvalidValue(
            "{names} is shorter than any key of Supabase.",
            "Copy it whole from the project's API settings: sb_secret_… or the service role's JWT.",
        )
    return text


def parse_webhook_secret(secret: str) -> str:
    """Return the secret if it is `whsec_` and enough bytes in base64 (Standard Webhooks 1.0)."""
    prefix, _, encoded = secret.partition("_")
    try:
        is_key = prefix == "whsec" and len(base64.b64decode(encoded, validate=True)) >= MIN_WEBHOOK_KEY_BYTES
    except ValueError:
        is_key = False
    if not is_key or _PLACEHOLDER.search(secret):
        raise InvalidValue(
            "{name} must be whsec_ and 32 random bytes in base64.",
            "Make one: echo whsec_$(openssl rand -base64 32)",
        )
    return secret


def parse_url(url: str) -> str:
    """Return the text if it is an http or https URL."""
    if not _is_url(url):
        raise InvalidValue(f"{{name}} is not a URL: {_escape(url)}", "Correct it, or leave it out.")
    return url


def parse_origins(text: str) -> tuple[str, ...]:
    """Return the origins in a list separated by commas."""
    origins = _split(text)
    for origin in origins:
        # As browsers send it: scheme, host, port if it is unusual, nothing else.
        if origin != "*" and not (_is_url(origin) and origin.count("/") == 2):
            raise InvalidValue(
                f"{{name}} must list origins such as https://app.mysite.org, not {_escape(repr(origin))}.",
                "Leave out paths and slashes at the end. Separate several by commas.",
            )
    return origins


def parse_networks(text: str) -> tuple[str, ...]:
    """Return the addresses and networks in a list separated by commas."""
    networks = _split(text)
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise InvalidValue(
                f"{{name}} must list addresses or networks such as 10.0.0.0/8: {_escape(str(error))}.",
                "Separate several by commas.",
            ) from error
    return networks


def parse_log_level(text: str) -> str:
    """Return the log level in lower case."""
    if text.lower() not in LOG_LEVELS:
        raise InvalidValue(
            f"{{name}} must be one of {', '.join(LOG_LEVELS)}, not {_escape(repr(text))}.",
            "Correct it, or leave it out.",
        )
    return text.lower()


def whole_number(low: int, high: int) -> BeforeValidator:
    """Return a validator of decimal digits from `low` to `high`."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise InvalidValue(
                f"{{name}} must be a whole number from {low} to {high}, not {_escape(repr(text))}.",
                "Correct it, or leave it out.",
            )
        return int(text)

    return only_text(parse)


def optional_secret(min_chars: int) -> BeforeValidator:
    """Return a validator of a secret that may be left out."""

    def parse(secret: str) -> str:
        if _PLACEHOLDER.search(secret) or len(secret) < min_chars:
            raise InvalidValue(
                f"{{name}} holds a placeholder, or fewer than {min_chars} characters.",
                "Put the real value of {name}, or leave it out.",
            )
        return secret

    return only_text(parse)


def only_text(parse: Callable[[str], Any]) -> BeforeValidator:
    """Return a validator that parses text and leaves other values as they are."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _escape(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
