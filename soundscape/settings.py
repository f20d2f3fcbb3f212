"""Settings, read once from the environment. Missing values and placeholders are refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from dotenv import dotenv_values
from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from soundscape.audio.limits import Limits
from soundscape.errors import SettingsError
from soundscape.setting_values import (
    InvalidValue,
    MailServer,
    only_text,
    optional_secret,
    parse_log_level,
    parse_mail_server,
    parse_networks,
    parse_origins,
    parse_project_url,
    parse_push_hosts,
    parse_secret_key,
    parse_sender,
    parse_url,
    parse_vapid_key,
    parse_webhook_secret,
    refuse_placeholder,
    switch,
    whole_number,
)

PUBLIC_KEY_NAMES = ("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY", "SUPABASE_API_KEY")
PUSH_HOSTS = (
    "fcm.googleapis.com",
    "*.push.services.mozilla.com",
    "*.push.apple.com",
    "*.notify.windows.com",
)
"""The push services of Chrome, Firefox, Safari and Edge."""
SECRET_KEY_NAMES = ("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY")


class _Environment(EnvSettingsSource):
    """The values of a mapping, where pydantic-settings reads `os.environ`. What is blank is not set."""

    def __init__(self, settings: type[BaseSettings], values: Mapping[str, str]) -> None:
        self._values = {name: text.strip() for name, text in values.items() if text.strip()}
        super().__init__(settings, case_sensitive=True)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._values


class EnvironmentSettings(BaseSettings):
    """Settings that are read from the environment, and the project's address, which all of them have."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", validate_by_name=True, validate_by_alias=True, hide_input_in_errors=True
    )

    supabase_url: Annotated[str, only_text(parse_project_url)] = Field(validation_alias="SUPABASE_URL")

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
            if location in (field, *choices):
                names = [str(choice) for choice in choices]
        texts = {"name": names[0] if location not in names else location, "names": " or ".join(names)}
        refused = first.get("ctx", {}).get("error")
        if isinstance(refused, InvalidValue):
            return SettingsError(refused.message.format(**texts), remedy=refused.remedy.format(**texts))
        if first["type"] == "missing":
            return SettingsError(
                f"{texts['names']} is not set.",
                code="settings_missing",
                remedy="Set it in the environment or in .env; .env.example explains each.",
            )
        return SettingsError(f"{texts['name']}: {first['msg']}.", remedy="Correct it, or leave it out.")


class ProjectSettings(EnvironmentSettings):
    """The project and its secret key: all that an operator's command needs."""

    secret_key: Annotated[str, only_text(parse_secret_key)] = Field(
        validation_alias=AliasChoices(*SECRET_KEY_NAMES), repr=False
    )


class UserSettings(EnvironmentSettings):
    """The project and how a user signs in: for commands that work in a user's name."""

    public_key: Annotated[str, only_text(refuse_placeholder)] = Field(
        validation_alias=AliasChoices(*PUBLIC_KEY_NAMES)
    )
    worker_url: Annotated[str | None, only_text(parse_url)] = Field(
        default=None, validation_alias="SOUNDSCAPE_WORKER_URL"
    )
    """Where the worker answers. By default, the project's own address, as the embedded one has it."""
    api_key: Annotated[str | None, optional_secret(16)] = Field(
        default=None, validation_alias="SOUNDSCAPE_API_KEY", repr=False
    )
    email: str | None = Field(default=None, validation_alias="SOUNDSCAPE_EMAIL")
    password: str | None = Field(default=None, validation_alias="SOUNDSCAPE_PASSWORD", repr=False)


class Settings(ProjectSettings):
    """Everything the worker needs to know about its project and itself. `.env.example` explains each."""

    public_key: Annotated[str, only_text(refuse_placeholder)] = Field(
        validation_alias=AliasChoices(*PUBLIC_KEY_NAMES)
    )
    webhook_secret: Annotated[str, only_text(parse_webhook_secret)] = Field(
        validation_alias="SOUNDSCAPE_WEBHOOK_SECRET", repr=False
    )
    webhook_secret_previous: Annotated[str | None, only_text(parse_webhook_secret)] = Field(
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
    grok_api_key: Annotated[str | None, optional_secret(16)] = Field(
        default=None, validation_alias="SOUNDSCAPE_GROK_API_KEY", repr=False
    )
    """The key of xAI, for captions. None: no captions."""
    grok_url: Annotated[str, only_text(parse_url)] = Field(
        default="https://api.x.ai/v1", validation_alias="SOUNDSCAPE_GROK_URL"
    )
    grok_model: str = Field(default="grok-4-fast-non-reasoning", validation_alias="SOUNDSCAPE_GROK_MODEL")
    grok_requests_per_day: Annotated[int, whole_number(0, 1_000_000)] = Field(
        default=500, validation_alias="SOUNDSCAPE_GROK_REQUESTS_PER_DAY"
    )
    grok_tokens_per_day: Annotated[int, whole_number(0, 1_000_000_000)] = Field(
        default=1_000_000, validation_alias="SOUNDSCAPE_GROK_TOKENS_PER_DAY"
    )
    """What captions may cost in a day, of all workers together."""
    grok_spectrogram: Annotated[bool, switch()] = Field(
        default=False, validation_alias="SOUNDSCAPE_GROK_SPECTROGRAM"
    )
    """Whether the model gets the picture of the spectrogram too."""
    token_issuer: Annotated[str | None, only_text(parse_url)] = Field(
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
    cors_origins: Annotated[tuple[str, ...], NoDecode, only_text(parse_origins)] = Field(
        default=(), validation_alias="SOUNDSCAPE_CORS_ORIGINS"
    )
    """Where browsers may call `/api` from."""
    site_url: Annotated[str | None, only_text(parse_url)] = Field(
        default=None, validation_alias="SOUNDSCAPE_SITE_URL"
    )
    """Where the frontend is. Feeds and embeds link to its pages `/recordings/{id}` and `/embed/{id}`."""
    public_url: Annotated[str | None, only_text(parse_url)] = Field(
        default=None, validation_alias="SOUNDSCAPE_PUBLIC_URL"
    )
    """Where people reach this worker, without `/api`. None: where the request was sent to."""
    smtp: Annotated[MailServer | None, only_text(parse_mail_server)] = Field(
        default=None, validation_alias="SOUNDSCAPE_SMTP_URL", repr=False
    )
    """Where mails of notifications are handed in. Without it, there are none."""
    smtp_from: Annotated[str | None, only_text(parse_sender)] = Field(
        default=None, validation_alias="SOUNDSCAPE_SMTP_FROM"
    )
    """Whom they are from."""
    vapid_private_key: Annotated[str | None, only_text(parse_vapid_key)] = Field(
        default=None, validation_alias="SOUNDSCAPE_VAPID_PRIVATE_KEY", repr=False
    )
    """Signs web pushes (RFC 8292). Without it, there are none."""
    push_hosts: Annotated[tuple[str, ...], NoDecode, only_text(parse_push_hosts)] = Field(
        default=PUSH_HOSTS, validation_alias="SOUNDSCAPE_PUSH_HOSTS"
    )
    """The push services that pushes may go to."""
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, only_text(parse_networks)] = Field(
        default=(), validation_alias="SOUNDSCAPE_TRUSTED_PROXIES"
    )
    """Addresses whose forwarding headers are believed."""
    metrics_token: Annotated[str | None, optional_secret(16)] = Field(
        default=None, validation_alias="SOUNDSCAPE_METRICS_TOKEN", repr=False
    )
    """The bearer of this token may read the metrics. Without one, only this machine may."""
    otlp_endpoint: Annotated[str | None, only_text(parse_url)] = Field(
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
    live_sessions: Annotated[int, whole_number(0, 10_000)] = Field(
        default=20, validation_alias="SOUNDSCAPE_LIVE_SESSIONS"
    )
    """Live sessions at once; 0 offers none."""
    live_sessions_per_user: Annotated[int, whole_number(1, 10_000)] = Field(
        default=3, validation_alias="SOUNDSCAPE_LIVE_SESSIONS_PER_USER"
    )
    live_max_duration_s: Annotated[float, whole_number(10, 86_400)] = Field(
        default=3600, validation_alias="SOUNDSCAPE_LIVE_MAX_DURATION_S"
    )
    """How long a live session may last."""
    log_level: Annotated[str, only_text(parse_log_level)] = Field(
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
        optional = (
            self.database_webhook_secret,
            self.jwt_secret,
            self.metrics_token,
            self.otlp_headers,
            self.vapid_private_key,
            self.grok_api_key,
            self.smtp and self.smtp.password,
        )
        # The part behind the prefix is what the key is made of.
        keys = (secret.partition("_")[2] for secret in self.webhook_secrets)
        return (self.secret_key, *self.webhook_secrets, *keys, *(secret for secret in optional if secret))


def load_environment() -> dict[str, str]:
    """Return the process environment over the `.env` file beside it: what is exported wins."""
    from_file = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    return from_file | dict(os.environ)
