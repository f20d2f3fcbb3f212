"""`[auth]` of `supabase/config.toml`, named as there, with the official CLI's defaults."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from embedded_supabase.config import Config
from embedded_supabase.errors import EmbeddedError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration_s(text: str) -> float:
    """Seconds in a Go duration (`1h30m`, `60s`, `0`). Raises ValueError."""
    parts = _DURATION.findall(text)
    if text != "0" and (not parts or "".join(number + unit for number, unit in parts) != text):
        raise ValueError(f'time: invalid duration "{text}"')
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)


def _check_switched_off(section: dict[str, Any]) -> dict[str, Any]:
    """Accept a section that this service does not have, as long as it is switched off."""
    for name, value in section.items():
        if value not in (False, "false") and (name.startswith("enable") or name.endswith("enabled")):
            raise ValueError(f"{name}: this is not part of the embedded Supabase")
        if isinstance(value, dict):
            _check_switched_off(value)
    return section


Duration = Annotated[float, pydantic.BeforeValidator(parse_duration_s)]
Limit = Annotated[int | None, Field(ge=0)]
Off = Annotated[dict[str, Any], pydantic.AfterValidator(_check_switched_off)]


class Section(pydantic.BaseModel):
    """A table of the file. An unknown field is refused, or nobody would notice that it has no effect."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class Smtp(Section):
    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = 587
    user: str = ""
    password: str = Field("", alias="pass", repr=False)
    admin_email: str = "noreply@soundscape.localhost"
    sender_name: str = "SoundScape"


class Email(Section):
    enable_signup: bool = True
    enable_confirmations: bool = False
    double_confirm_changes: bool = True
    interval_s: Duration = Field(1.0, alias="max_frequency")
    otp_length: int = Field(6, gt=0)
    otp_expiry_s: float = Field(3600, alias="otp_expiry", ge=0)
    secure_password_change: Literal[False] = False
    template: dict[str, Any] = Field({}, max_length=0)
    notification: Off = {}
    smtp: Smtp = Smtp.model_validate({"enabled": False})


class Hook(Section):
    """A Postgres function called before a token is signed."""

    enabled: bool = False
    uri: str = ""

    @property
    def function(self) -> list[str]:
        """Its schema and name."""
        return self.uri.split("/")[3:]

    @pydantic.model_validator(mode="after")
    def _is_a_function(self) -> Hook:
        if self.enabled and not re.fullmatch(r"pg-functions://[^/]+/[^/]+/[^/]+", self.uri):
            raise ValueError("needs a uri pg-functions://postgres/SCHEMA/FUNCTION")
        return self


class Hooks(Section):
    custom_access_token: Hook = Hook()
    before_user_created: Off = {}
    mfa_verification_attempt: Off = {}
    password_verification_attempt: Off = {}
    send_email: Off = {}
    send_sms: Off = {}


class Sessions(Section):
    """Sessions end only by signing out."""

    timebox: Literal["0", "0s", "0h"] = "0"
    inactivity_timeout: Literal["0", "0s", "0h"] = "0"


class RateLimitSettings(Section):
    """Without an entry there is no limit: on loopback every client has the same address."""

    anonymous_users: Limit = None
    email_sent: Limit = None
    sign_in_sign_ups: Limit = None
    token_refresh: Limit = None
    token_verifications: Limit = None
    sms_sent: Limit = None
    web3: Limit = None
    """SMS and web3 are not served, so their limits have no effect."""


class ProviderSettings(Section):
    """One `[auth.external.*]`."""

    enabled: bool = False
    client_id: str = ""
    secret: str = Field("", repr=False)
    url: str = ""
    redirect_uri: str = ""
    skip_nonce_check: Literal[False] = False
    email_optional: Literal[False] = False

    @pydantic.model_validator(mode="after")
    def _can_be_used(self) -> ProviderSettings:
        if self.enabled and not self.client_id:
            raise ValueError("is enabled without a client_id")
        return self


class Settings(Section):
    """The settings of the service."""

    enabled: Literal[True] = True
    site_url: str = "http://127.0.0.1:3000"
    additional_redirect_urls: tuple[str, ...] = ()
    jwt_expiry_s: int = Field(3600, alias="jwt_expiry", gt=0)
    reuse_interval_s: float = Field(10, alias="refresh_token_reuse_interval")
    enable_signup: bool = True
    enable_anonymous_sign_ins: bool = False
    enable_manual_linking: Literal[False] = False
    enable_refresh_token_rotation: Literal[True] = True
    minimum_password_length: int = 6
    password_requirements: Literal[""] = ""
    email: Email = Email.model_validate({})
    hook: Hooks = Hooks()
    external: dict[str, ProviderSettings] = {}
    captcha: Off = {}
    mfa: Off = {}
    oauth_server: Off = {}
    passkey: Off = {}
    sessions: Sessions = Sessions()
    sms: Off = {}
    third_party: Off = {}
    web3: Off = {}
    rate_limit: RateLimitSettings = RateLimitSettings()

    @classmethod
    def read(cls, config: Config) -> Settings:
        """Read the section. Raises `EmbeddedError` for settings that this service does not have."""
        try:
            return cls.model_validate(config.get("auth", {}))
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            raise config_error(".".join(["auth", *map(str, first["loc"])]), first["msg"]) from error


def config_error(section: str, why: str) -> EmbeddedError:
    return EmbeddedError(
        f"config.toml: [{section}] {why}.",
        code="auth_config",
        remedy="Change the section, or develop against the official CLI's stack.",
    )
