"""`[auth]` of `supabase/config.toml`, named as there, with the official CLI's defaults."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from soundscape.errors import LocalStackError
from soundscape.local.config import Config

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_ZERO = ("0", "0s", "0h")


def duration_s(text: str) -> float:
    """Seconds in a Go duration (`1h30m`, `60s`, `0`). Raises ValueError."""
    parts = _DURATION.findall(text)
    if text != "0" and (not parts or "".join(number + unit for number, unit in parts) != text):
        raise ValueError(f'time: invalid duration "{text}"')
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)


# What the file may say of each without changing what this service does, and why nothing else.
UNSUPPORTED: dict[str, tuple[tuple[Any, ...], str]] = {
    **{
        f"auth.hook.{name}.enabled": ((False,), "only custom_access_token is called")
        for name in (
            *("send_sms", "send_email", "mfa_verification_attempt", "password_verification_attempt"),
            *("before_user_created", "after_user_created"),
        )
    },
    "auth.captcha.enabled": ((False,), "no captcha is checked"),
    "auth.sms.enable_signup": ((False,), "no text messages are sent"),
    "auth.enable_manual_linking": ((False,), "identities are linked by their verified address only"),
    "auth.enable_refresh_token_rotation": ((True,), "refresh tokens always rotate"),
    "auth.email.template": (({},), "mails are worded by the service"),
    "auth.email.secure_password_change": ((False,), "a session is proof enough for a new password"),
    "auth.password_requirements": (("",), "only the length of a password is checked"),
    "auth.sessions.timebox": (_ZERO, "sessions end by signing out only"),
    "auth.sessions.inactivity_timeout": (_ZERO, "sessions end by signing out only"),
}


class Section(BaseModel):
    """A table of the file; what it says beyond the fields is left alone."""

    model_config = ConfigDict(frozen=True)


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
    interval_s: Annotated[float, BeforeValidator(duration_s)] = Field(1.0, alias="max_frequency")
    otp_length: int = 6
    otp_expiry_s: float = Field(3600, alias="otp_expiry")
    smtp: Smtp = Smtp.model_validate({"enabled": False})


class Hook(Section):
    """A Postgres function called before a token is signed."""

    enabled: bool = False
    uri: str = ""

    @property
    def function(self) -> list[str]:
        """Its schema and name."""
        return self.uri.split("/")[3:]

    @model_validator(mode="after")
    def _is_a_function(self) -> Hook:
        if self.enabled and not re.fullmatch(r"pg-functions://[^/]+/[^/]+/[^/]+", self.uri):
            raise ValueError("needs a uri pg-functions://postgres/SCHEMA/FUNCTION")
        return self


class Hooks(Section):
    custom_access_token: Hook = Hook()


class ProviderSettings(Section):
    """One `[auth.external.*]`."""

    enabled: bool = False
    client_id: str = ""
    secret: str = Field("", repr=False)
    url: str = ""
    redirect_uri: str = ""
    skip_nonce_check: bool = False

    @model_validator(mode="after")
    def _can_be_used(self) -> ProviderSettings:
        if self.enabled and not self.client_id:
            raise ValueError("is enabled without a client_id")
        if self.enabled and self.skip_nonce_check:
            raise ValueError("skip_nonce_check: the nonce is always checked")
        return self


class Settings(Section):
    """What the service may do."""

    site_url: str = "http://127.0.0.1:3000"
    additional_redirect_urls: tuple[str, ...] = ()
    jwt_expiry_s: int = Field(3600, alias="jwt_expiry")
    reuse_interval_s: float = Field(10, alias="refresh_token_reuse_interval")
    enable_signup: bool = True
    enable_anonymous_sign_ins: bool = False
    minimum_password_length: int = 6
    email: Email = Email.model_validate({})
    hook: Hooks = Hooks()
    external: dict[str, ProviderSettings] = {}
    rate_limit: dict[str, int] = {}
    """Only what the file states is limited: a stack on loopback sees every client at one address."""

    @classmethod
    def read(cls, config: Config) -> Settings:
        """Raises `LocalStackError` for a section that asks for what the embedded service does not do."""
        for key, (harmless, why) in UNSUPPORTED.items():
            if config.get(key, harmless[0]) not in harmless:
                raise refused(key, why)
        try:
            return cls.model_validate(config.get("auth", {}))
        except ValidationError as error:
            first = error.errors()[0]
            raise refused(".".join(["auth", *map(str, first["loc"])]), first["msg"]) from error


def refused(section: str, why: str) -> LocalStackError:
    return LocalStackError(
        f"config.toml: [{section}] {why}.",
        code="auth_config",
        remedy="Change the section, or develop against the official CLI's stack.",
    )
