"""The environment, read once. Refuses what is missing and what is still a placeholder."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values

from soundscape.audio.limits import Limits
from soundscape.errors import SettingsError

_PLACEHOLDER = re.compile(
    # Runs of x only as a word of their own: random keys hold them by chance.
    r"^$|change.?me|your[-_ ]|<.*>|(?<![a-z0-9])x{3,}(?![a-z0-9])|example|placeholder|secret[-_ ]?here",
    re.IGNORECASE,
)
LOG_LEVELS = ("debug", "info", "warning", "error")

PUBLIC_KEY_NAMES = ("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY", "SUPABASE_API_KEY")
SECRET_KEY_NAMES = ("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY")
SECRET_KEY_CHARS = 20
"""Below any key that Supabase makes."""


@dataclass(frozen=True)
class Settings:
    """Everything the worker needs to know about its project and itself."""

    supabase_url: str
    public_key: str
    secret_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)
    """Current secret first, the previous one (while rotating) after it."""
    database_webhook_secret: str | None = field(default=None, repr=False)
    """Shared secret of Supabase's own Database Webhooks, sent in `x-webhook-secret`."""
    workers: int = 1
    """Analyses at once; each is a child process."""
    lease_s: int = 60
    poll_min_s: float = 0.5
    poll_max_s: float = 15.0
    recommend_every_h: int | None = None
    """How often a model of what people chose is fitted; None: never by itself."""
    token_issuer: str | None = None
    """Issuer of users' tokens where it is not the project's own address."""
    jwt_secret: str | None = field(default=None, repr=False)
    """Only for projects whose tokens are still signed with a shared secret."""
    rate_per_caller: int = 60
    """Requests a minute of one signed-in user."""
    rate_per_address: int = 300
    """Requests a minute from one network address."""
    cors_origins: tuple[str, ...] = ()
    """Where browsers may call `/api` from."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses whose forwarding headers are believed."""
    metrics_token: str | None = field(default=None, repr=False)
    """Whoever bears it may read the metrics; without one, this machine may."""
    otlp_endpoint: str | None = None
    """Where traces go (OTLP over HTTP); none are made without it."""
    otlp_headers: str = field(default="", repr=False)
    scratch_dir: Path | None = None
    scratch_bytes: int = 8 << 30
    """What downloads may take of the disk at once."""
    limits: Limits = field(default_factory=Limits)
    """Which recordings are accepted."""
    log_level: str = "info"

    @property
    def jwt_issuer(self) -> str:
        """The `iss` of users' access tokens."""
        return self.token_issuer or f"{self.supabase_url}/auth/v1"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that must not be seen in a log."""
        optional = (self.database_webhook_secret, self.jwt_secret, self.metrics_token, self.otlp_headers)
        # The part behind the prefix is what the key is made of.
        keys = (secret.partition("_")[2] for secret in self.webhook_secrets)
        return (self.secret_key, *self.webhook_secrets, *keys, *(secret for secret in optional if secret))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read `os.environ` over a `.env` file in the working directory. Raises `SettingsError`."""
        values = environment if environment is not None else load_environment()
        url = _required(values, ("SUPABASE_URL",)).rstrip("/")
        if not _is_project_url(url):
            # Not repeated here: it may hold a password.
            raise SettingsError(
                "SUPABASE_URL must be scheme and host, with no user, path or query.",
                remedy="It looks like https://<ref>.supabase.co.",
            )
        secrets = tuple(
            secret
            for name in ("SOUNDSCAPE_WEBHOOK_SECRET", "SOUNDSCAPE_WEBHOOK_SECRET_PREVIOUS")
            if (secret := values.get(name, "").strip())
        )
        # The previous one alone would leave nobody to say that the rotation was never finished.
        _required(values, ("SOUNDSCAPE_WEBHOOK_SECRET",))
        for secret in secrets:
            if _PLACEHOLDER.search(secret) or not _is_webhook_secret(secret):
                raise SettingsError(
                    "SOUNDSCAPE_WEBHOOK_SECRET must be whsec_ and 32 random bytes in base64.",
                    remedy="Make one: echo whsec_$(openssl rand -base64 32)",
                )
        scratch = values.get("SOUNDSCAPE_SCRATCH_DIR")
        return cls(
            supabase_url=url,
            public_key=_required(values, PUBLIC_KEY_NAMES),
            secret_key=_secret_key(values),
            webhook_secrets=secrets,
            database_webhook_secret=_optional_secret(
                values, "SOUNDSCAPE_DATABASE_WEBHOOK_SECRET", least_chars=16
            ),
            workers=_whole(values, "SOUNDSCAPE_WORKERS", cls.workers, low=1, high=64),
            lease_s=_whole(values, "SOUNDSCAPE_LEASE_S", cls.lease_s, low=5, high=3600),
            poll_max_s=float(_whole(values, "SOUNDSCAPE_POLL_MAX_S", int(cls.poll_max_s), low=1, high=600)),
            recommend_every_h=_whole(values, "SOUNDSCAPE_RECOMMEND_EVERY_H", 0, low=1, high=8760) or None,
            token_issuer=_address(values, "SUPABASE_JWT_ISSUER"),
            jwt_secret=_optional_secret(values, "SUPABASE_JWT_SECRET", least_chars=32),
            rate_per_caller=_whole(
                values, "SOUNDSCAPE_RATE_PER_CALLER", cls.rate_per_caller, low=1, high=1_000_000
            ),
            rate_per_address=_whole(
                values, "SOUNDSCAPE_RATE_PER_ADDRESS", cls.rate_per_address, low=1, high=1_000_000
            ),
            cors_origins=_origins(values, "SOUNDSCAPE_CORS_ORIGINS"),
            trusted_proxies=_networks(values, "SOUNDSCAPE_TRUSTED_PROXIES"),
            metrics_token=_optional_secret(values, "SOUNDSCAPE_METRICS_TOKEN", least_chars=16),
            otlp_endpoint=_address(values, "OTEL_EXPORTER_OTLP_ENDPOINT"),
            otlp_headers=values.get("OTEL_EXPORTER_OTLP_HEADERS", "").strip(),
            scratch_dir=Path(scratch) if scratch else None,
            scratch_bytes=_whole(
                values, "SOUNDSCAPE_SCRATCH_MB", cls.scratch_bytes >> 20, low=16, high=1 << 24
            )
            << 20,
            limits=_limits(values),
            log_level=_one_of(values, "SOUNDSCAPE_LOG_LEVEL", cls.log_level, LOG_LEVELS),
        )


def door(values: Mapping[str, str]) -> tuple[str, str]:
    """URL and secret key of the project: all that an operator's command needs. Raises `SettingsError`."""
    return _required(values, ("SUPABASE_URL",)).rstrip("/"), _secret_key(values)


def load_environment() -> dict[str, str]:
    """The process environment over the `.env` file beside it: what is exported wins."""
    from_file = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    return from_file | dict(os.environ)


def _required(values: Mapping[str, str], names: tuple[str, ...]) -> str:
    for name in names:
        value = values.get(name, "").strip()
        if value:
            if _PLACEHOLDER.search(value):
                raise SettingsError(
                    f"{name} still holds a placeholder.", remedy=f"Put the real value of {name}."
                )
            return value
    raise SettingsError(
        f"{' or '.join(names)} is not set.",
        code="settings_missing",
        remedy="Set it in the environment or in .env; .env.example explains each.",
    )


def _secret_key(values: Mapping[str, str]) -> str:
    key = _required(values, SECRET_KEY_NAMES)
    if len(key) < SECRET_KEY_CHARS:
        raise SettingsError(
            f"{' or '.join(SECRET_KEY_NAMES)} is shorter than any key of Supabase.",
            remedy="Copy it whole: sb_secret_… or the service role's JWT, from the project's API settings.",
        )
    return key


def _is_webhook_secret(secret: str) -> bool:
    """Whether `secret` is `whsec_` and at least 24 bytes (Standard Webhooks 1.0) in base64."""
    prefix, _, encoded = secret.partition("_")
    try:
        return prefix == "whsec" and len(base64.b64decode(encoded, validate=True)) >= 24
    except ValueError:
        return False


def _optional_secret(values: Mapping[str, str], name: str, *, least_chars: int) -> str | None:
    secret = values.get(name, "").strip()
    if not secret:
        return None
    if _PLACEHOLDER.search(secret) or len(secret) < least_chars:
        raise SettingsError(
            f"{name} holds a placeholder, or fewer than {least_chars} characters.",
            remedy=f"Put the real value of {name}, or leave it out.",
        )
    return secret


def _address(values: Mapping[str, str], name: str) -> str | None:
    url = values.get(name, "").strip()
    if url and not _is_url(url):
        raise SettingsError(f"{name} is not a URL: {url}", remedy="Correct it, or leave it out.")
    return url or None


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _is_project_url(url: str) -> bool:
    if not _is_url(url):
        return False
    parts = urlsplit(url)
    return "@" not in parts.netloc and not (parts.path or parts.query or parts.fragment)


def _list(values: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in values.get(name, "").split(",") if part.strip())


def _origins(values: Mapping[str, str], name: str) -> tuple[str, ...]:
    origins = _list(values, name)
    for origin in origins:
        # As browsers send it: scheme, host, port if it is unusual, nothing else.
        if origin != "*" and not (_is_url(origin) and origin.count("/") == 2):
            raise SettingsError(
                f"{name} must list origins such as https://app.mysite.org, not {origin!r}.",
                remedy="Leave out paths and slashes at the end; separate several by commas.",
            )
    return origins


def _networks(values: Mapping[str, str], name: str) -> tuple[str, ...]:
    networks = _list(values, name)
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise SettingsError(
                f"{name} must list addresses or networks such as 10.0.0.0/8: {error}.",
                remedy="Separate several by commas.",
            ) from error
    return networks


def _limits(values: Mapping[str, str]) -> Limits:
    usual = Limits()
    return Limits(
        max_duration_s=float(
            _whole(values, "SOUNDSCAPE_MAX_DURATION_S", int(usual.max_duration_s), low=1, high=86_400)
        ),
        max_size_bytes=_whole(
            values, "SOUNDSCAPE_MAX_SIZE_MB", usual.max_size_bytes >> 20, low=1, high=51_200
        )
        << 20,
        max_channels=_whole(values, "SOUNDSCAPE_MAX_CHANNELS", usual.max_channels, low=1, high=64),
    )


def _one_of(values: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    text = values.get(name, "").strip().lower() or default
    if text not in allowed:
        raise SettingsError(
            f"{name} must be one of {', '.join(allowed)}, not {text!r}.",
            remedy="Correct it, or leave it out.",
        )
    return text


def _whole(values: Mapping[str, str], name: str, default: int, *, low: int, high: int) -> int:
    text = values.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or not low <= int(text) <= high:
        raise SettingsError(
            f"{name} must be a whole number from {low} to {high}, not {text!r}.",
            remedy="Correct it, or leave it out.",
        )
    return int(text)
