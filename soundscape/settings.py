"""Settings, read once from the environment. Missing values and placeholders are refused."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AliasChoices, BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

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
MIN_SECRET_KEY_CHARS = 20
"""Below any key that Supabase makes."""
MIN_WEBHOOK_KEY_BYTES = 24
"""Standard Webhooks 1.0."""


class InvalidValue(ValueError):
    """A value that is refused. `{name}` in the texts stands for the setting."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def refuse_placeholder(text: str) -> str:
    if _PLACEHOLDER.search(text):
        raise InvalidValue("{name} still holds a placeholder.", "Put the real value of {name}.")
    return text


def parse_project_url(text: str) -> str:
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
    if len(refuse_placeholder(text)) < MIN_SECRET_KEY_CHARS:
        raise InvalidValue(
            f"{' or '.join(SECRET_KEY_NAMES)} is shorter than any key of Supabase.",
            "Copy it whole from the project's API settings: sb_secret_… or the service role's JWT.",
        )
    return text


def parse_webhook_secret(secret: str) -> str:
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
    if not _is_url(url):
        raise InvalidValue(f"{{name}} is not a URL: {_escape(url)}", "Correct it, or leave it out.")
    return url


def parse_origins(text: str) -> tuple[str, ...]:
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

    return _only_text(parse)


def optional_secret(min_chars: int) -> BeforeValidator:
    """Return a validator of a secret that may be left out."""

    def parse(secret: str) -> str:
        if _PLACEHOLDER.search(secret) or len(secret) < min_chars:
            raise InvalidValue(
                f"{{name}} holds a placeholder, or fewer than {min_chars} characters.",
                "Put the real value of {name}, or leave it out.",
            )
        return secret

    return _only_text(parse)


def _only_text(parse: Callable[[str], Any]) -> BeforeValidator:
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


class _Environment(EnvSettingsSource):
    """The values of a mapping, where pydantic-settings reads `os.environ`. What is blank is not set."""

    def __init__(self, settings: type[BaseSettings], values: Mapping[str, str]) -> None:
        self._values = {name: text.strip() for name, text in values.items() if text.strip()}
        super().__init__(settings, case_sensitive=True)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._values


class ProjectSettings(BaseSettings):
    """The project and its secret key: all that an operator's command needs."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", validate_by_name=True, validate_by_alias=True, hide_input_in_errors=True
    )

    supabase_url: Annotated[str, _only_text(parse_project_url)] = Field(validation_alias="SUPABASE_URL")
    secret_key: Annotated[str, _only_text(parse_secret_key)] = Field(
        validation_alias=AliasChoices(*SECRET_KEY_NAMES), repr=False
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the caller alone: `from_environment` says which environment is read."""
        return (init_settings,)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read settings.

        Parameters
        ----------
        environment
            Values by name. By default, `os.environ` over a `.env` file in the working directory.

        Raises
        ------
        SettingsError
            A setting is missing (`settings_missing`) or its value is refused (`settings_invalid`).
        """
        values = environment if environment is not None else load_environment()
        try:
            return cls(**_Environment(cls, values)())
        except ValidationError as error:
            raise cls._explain(error) from None

    @classmethod
    def _explain(cls, error: ValidationError) -> SettingsError:
        """Return the first error, with the name that people set. The input itself is never repeated."""
        first = error.errors(include_url=False)[0]
        location = str(first["loc"][0])
        names = [location]
        for field, info in cls.model_fields.items():
            alias = info.validation_alias
            choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
            if location in (field, *choices) and (location == field or first["type"] == "missing"):
                names = [str(choice) for choice in choices]
        refused = first.get("ctx", {}).get("error")
        if isinstance(refused, InvalidValue):
            return SettingsError(
                refused.message.format(name=names[0]), remedy=refused.remedy.format(name=names[0])
            )
        if first["type"] == "missing":
            return SettingsError(
                f"{' or '.join(names)} is not set.",
                code="settings_missing",
                remedy="Set it in the environment or in .env; .env.example explains each.",
            )
        return SettingsError(f"{names[0]}: {first['msg']}.", remedy="Correct it, or leave it out.")


class Settings(ProjectSettings):
    """Everything the worker needs to know about its project and itself. `.env.example` explains each."""

    public_key: Annotated[str, _only_text(refuse_placeholder)] = Field(
        validation_alias=AliasChoices(*PUBLIC_KEY_NAMES)
    )
    webhook_secret: Annotated[str, _only_text(parse_webhook_secret)] = Field(
        validation_alias="SOUNDSCAPE_WEBHOOK_SECRET", repr=False
    )
    webhook_secret_previous: Annotated[str | None, _only_text(parse_webhook_secret)] = Field(
        default=None, validation_alias="SOUNDSCAPE_WEBHOOK_SECRET_PREVIOUS", repr=False
    )
    database_webhook_secret: Annotated[str | None, optional_secret(16)] = Field(
        default=None, validation_alias="SOUNDSCAPE_DATABASE_WEBHOOK_SECRET", repr=False
    )
    """Shared secret of Supabase's own Database Webhooks, sent in `x-webhook-secret`."""
    workers: Annotated[int, whole_number(1, 64)] = Field(default=1, validation_alias="SOUNDSCAPE_WORKERS")
    """Analyses at once; each is a child process."""
    lease_s: Annotated[int, whole_number(5, 3600)] = Field(default=60, validation_alias="SOUNDSCAPE_LEASE_S")
    poll_min_s: float = 0.5
    poll_max_s: Annotated[float, whole_number(1, 600)] = Field(
        default=15.0, validation_alias="SOUNDSCAPE_POLL_MAX_S"
    )
    recommend_every_h: Annotated[int | None, whole_number(1, 8760)] = Field(
        default=None, validation_alias="SOUNDSCAPE_RECOMMEND_EVERY_H"
    )
    """How often a recommendation model is fitted. None: never."""
    token_issuer: Annotated[str | None, _only_text(parse_url)] = Field(
        default=None, validation_alias="SUPABASE_JWT_ISSUER"
    )
    """Issuer of users' tokens where it is not the project's own address."""
    jwt_secret: Annotated[str | None, optional_secret(32)] = Field(
        default=None, validation_alias="SUPABASE_JWT_SECRET", repr=False
    )
    """Only for projects whose tokens are still signed with a shared secret."""
    rate_per_caller: Annotated[int, whole_number(1, 1_000_000)] = Field(
        default=60, validation_alias="SOUNDSCAPE_RATE_PER_CALLER"
    )
    """Requests per minute of one signed-in user."""
    rate_per_address: Annotated[int, whole_number(1, 1_000_000)] = Field(
        default=300, validation_alias="SOUNDSCAPE_RATE_PER_ADDRESS"
    )
    """Requests per minute from one network address."""
    cors_origins: Annotated[tuple[str, ...], NoDecode, _only_text(parse_origins)] = Field(
        default=(), validation_alias="SOUNDSCAPE_CORS_ORIGINS"
    )
    """Where browsers may call `/api` from."""
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, _only_text(parse_networks)] = Field(
        default=(), validation_alias="SOUNDSCAPE_TRUSTED_PROXIES"
    )
    """Addresses whose forwarding headers are believed."""
    metrics_token: Annotated[str | None, optional_secret(16)] = Field(
        default=None, validation_alias="SOUNDSCAPE_METRICS_TOKEN", repr=False
    )
    """The bearer of this token may read the metrics. Without one, only this machine may."""
    otlp_endpoint: Annotated[str | None, _only_text(parse_url)] = Field(
        default=None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT"
    )
    """Where traces go (OTLP over HTTP). Without it, there are none."""
    otlp_headers: str = Field(default="", validation_alias="OTEL_EXPORTER_OTLP_HEADERS", repr=False)
    scratch_dir: Path | None = Field(default=None, validation_alias="SOUNDSCAPE_SCRATCH_DIR")
    scratch_mb: Annotated[int, whole_number(16, 1 << 24)] = Field(
        default=8192, validation_alias="SOUNDSCAPE_SCRATCH_MB"
    )
    """How much of the disk downloads may take at once, in MiB."""
    max_duration_s: Annotated[float, whole_number(1, 86_400)] = Field(
        default=Limits.max_duration_s, validation_alias="SOUNDSCAPE_MAX_DURATION_S"
    )
    max_size_mb: Annotated[int, whole_number(1, 51_200)] = Field(
        default=Limits.max_size_bytes >> 20, validation_alias="SOUNDSCAPE_MAX_SIZE_MB"
    )
    max_channels: Annotated[int, whole_number(1, 64)] = Field(
        default=Limits.max_channels, validation_alias="SOUNDSCAPE_MAX_CHANNELS"
    )
    log_level: Annotated[str, _only_text(parse_log_level)] = Field(
        default="info", validation_alias="SOUNDSCAPE_LOG_LEVEL"
    )

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The current secret, then the previous one while both are accepted."""
        return tuple(secret for secret in (self.webhook_secret, self.webhook_secret_previous) if secret)

    @property
    def limits(self) -> Limits:
        """Which recordings are accepted."""
        return Limits(
            max_duration_s=self.max_duration_s,
            max_size_bytes=self.max_size_mb << 20,
            max_channels=self.max_channels,
        )

    @property
    def scratch_bytes(self) -> int:
        """How much of the disk downloads may take at once, in bytes."""
        return self.scratch_mb << 20

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


def load_environment() -> dict[str, str]:
    """Return the process environment over the `.env` file beside it: what is exported wins."""
    from_file = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    return from_file | dict(os.environ)
