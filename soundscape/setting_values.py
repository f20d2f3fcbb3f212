"""Values of settings: each parser refuses a value with a message and a remedy."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.utils import parseaddr
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BeforeValidator

_PLACEHOLDER = re.compile(
    # Runs of x only as a word of their own: random keys hold them by chance.
    r"^$|change.?me|your[-_ ]|<.*>|(?<![a-z0-9])x{3,}(?![a-z0-9])|example|placeholder|secret[-_ ]?here",
    re.IGNORECASE,
)
LOG_LEVELS = ("debug", "info", "warning", "error")

VAPID_KEY_BYTES = 32
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the curve's base point (FIPS 186-5): private keys are below it."""
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


@dataclass(frozen=True)
class MailServer:
    """Where mails are handed in, by SMTP."""

    host: str
    port: int
    tls: Literal["implicit", "starttls", "none"]
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def parse_mail_server(url: str) -> MailServer:
    """Return the server that `smtp[s]://user:password@host:port` names.

    `smtp` means STARTTLS, except on this machine. `?tls=none` switches it off, and then no password is sent.
    """
    wrong = InvalidValue(
        "{name} must be smtp://user:password@host:port or smtps://….",
        "Percent-encode special characters in the password. Leave it out to send no mail.",
    )
    try:
        parts = urlsplit(url)
        port = parts.port
        query = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    except ValueError:
        # Not repeated: it holds a password.
        raise wrong from None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path.strip("/") or parts.fragment:
        raise wrong
    is_local = parts.hostname == "localhost" or _is_loopback(parts.hostname)
    tls = query.pop("tls", "none" if is_local else "starttls")
    if query or tls not in ("starttls", "none"):
        raise wrong
    is_implicit = parts.scheme == "smtps"
    if parts.password and tls == "none" and not is_implicit and not is_local:
        raise InvalidValue(
            "{name} would send the password without TLS.", "Leave out ?tls=none, or the password."
        )
    return MailServer(
        host=parts.hostname,
        port=port or (465 if is_implicit else 587),
        tls="implicit" if is_implicit else "starttls" if tls == "starttls" else "none",
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )


def parse_sender(text: str) -> str:
    """Return a mail's sender: an address, or `Name <address>`."""
    name, address = parseaddr(text)
    try:
        return str(Address(name, addr_spec=address)) if address else _refuse_sender()
    except (ValueError, IndexError):
        return _refuse_sender()


def _refuse_sender() -> str:
    raise InvalidValue("{name} is not a sender.", "It looks like SoundScape <no-reply@mysite.org>.") from None


def parse_vapid_key(text: str) -> str:
    """Return a private VAPID key: 32 bytes in base64url, as browsers' tools print it."""
    try:
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        is_key = len(key) == VAPID_KEY_BYTES and 0 < int.from_bytes(key, "big") < P256_ORDER
    except ValueError:
        is_key = False
    if not is_key or not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise InvalidValue(
            "{name} must be 32 bytes in base64url.", "Make one: soundscape notifications vapid"
        )
    return text


def parse_push_hosts(text: str) -> tuple[str, ...]:
    """Return hosts of push services: `host`, `*.domain`, or an https origin of this machine for tests."""
    hosts = tuple(host.lower() for host in _split(text))
    for host in hosts:
        name = host.removeprefix("*.")
        if not re.fullmatch(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}", name) and not _is_local_origin(
            host
        ):
            raise InvalidValue(
                f"{{name}} must list hosts, not {_escape(repr(host))}.",
                "They look like push.mysite.org or *.mysite.org. Separate several by commas.",
            )
    return hosts


def _is_local_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme == "https" and _is_loopback(parts.hostname or "") and text.count("/") == 2
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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


def switch() -> BeforeValidator:
    """Return a validator of `on` and `off`."""

    def parse(text: str) -> bool:
        if text not in ("on", "off"):
            raise InvalidValue(
                f"{{name}} must be on or off, not {_escape(repr(text))}.", "Correct it, or leave it out."
            )
        return text == "on"

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
