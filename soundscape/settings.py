"""The environment, read once. Refuses what is missing and what is still a placeholder."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values

from soundscape.errors import SettingsError

_PLACEHOLDER = re.compile(
    # Runs of x only as a word of their own: random keys hold them by chance.
    r"^$|change.?me|your[-_ ]|<.*>|(?<![a-z0-9])x{3,}(?![a-z0-9])|example|placeholder|secret[-_ ]?here",
    re.IGNORECASE,
)
LOG_LEVELS = ("debug", "info", "warning", "error")

PUBLIC_KEY_NAMES = ("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY", "SUPABASE_API_KEY")
SECRET_KEY_NAMES = ("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY")


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
    scratch_dir: Path | None = None
    log_level: str = "info"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read `os.environ` over a `.env` file in the working directory. Raises `SettingsError`."""
        values = environment if environment is not None else load_environment()
        url = _required(values, ("SUPABASE_URL",)).rstrip("/")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise SettingsError(
                f"SUPABASE_URL is not a URL: {url}", remedy="It looks like https://<ref>.supabase.co."
            )
        secrets = tuple(
            secret
            for name in ("SOUNDSCAPE_WEBHOOK_SECRET", "SOUNDSCAPE_WEBHOOK_SECRET_PREVIOUS")
            if (secret := values.get(name, "").strip())
        )
        if not secrets:
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
            secret_key=_required(values, SECRET_KEY_NAMES),
            webhook_secrets=secrets,
            database_webhook_secret=values.get("SOUNDSCAPE_DATABASE_WEBHOOK_SECRET") or None,
            workers=_whole(values, "SOUNDSCAPE_WORKERS", cls.workers, low=1, high=64),
            lease_s=_whole(values, "SOUNDSCAPE_LEASE_S", cls.lease_s, low=5, high=3600),
            poll_max_s=float(_whole(values, "SOUNDSCAPE_POLL_MAX_S", int(cls.poll_max_s), low=1, high=600)),
            scratch_dir=Path(scratch) if scratch else None,
            log_level=_one_of(values, "SOUNDSCAPE_LOG_LEVEL", cls.log_level, LOG_LEVELS),
        )


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


def _is_webhook_secret(secret: str) -> bool:
    """Whether `secret` is `whsec_` and at least 24 bytes (Standard Webhooks 1.0) in base64."""
    prefix, _, encoded = secret.partition("_")
    try:
        return prefix == "whsec" and len(base64.b64decode(encoded, validate=True)) >= 24
    except ValueError:
        return False


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
