"""`[auth]` of `supabase/config.toml`, with the official CLI's defaults."""

# ruff: noqa: RUF009 - `_at` is dataclasses.field under another name

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from soundscape.errors import LocalStackError
from soundscape.local.config import Config

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_ZERO = ("0", "0s", "0h")


def duration_s(text: str) -> float:
    """Seconds in a Go duration (`1h30m`, `60s`, `0`). Raises ValueError."""
    if text == "0":
        return 0.0
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
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


@dataclass(frozen=True)
class Smtp:
    host: str
    port: int
    user: str
    password: str


@dataclass(frozen=True)
class Hook:
    """A Postgres function called before a token is signed."""

    schema: str
    function: str


@dataclass(frozen=True)
class ProviderSettings:
    """One `[auth.external.*]` section."""

    client_id: str
    secret: str
    url: str
    redirect_uri: str


def _at(key: str, default: Any, convert: Callable[[Any], Any] = lambda value: value) -> Any:
    return field(metadata={"key": f"auth.{key}", "default": default, "convert": convert})


@dataclass(frozen=True)
class Settings:
    """What the service may do; every field has the CLI's default."""

    smtp: Smtp | None
    sender: str
    token_hook: Hook | None
    providers: dict[str, ProviderSettings]
    site_url: str = _at("site_url", "http://127.0.0.1:3000")
    redirect_patterns: tuple[str, ...] = _at("additional_redirect_urls", (), tuple)
    jwt_expiry_s: int = _at("jwt_expiry", 3600, int)
    reuse_interval_s: float = _at("refresh_token_reuse_interval", 10, float)
    signup_enabled: bool = _at("enable_signup", True)
    anonymous_enabled: bool = _at("enable_anonymous_sign_ins", False)
    email_enabled: bool = _at("email.enable_signup", True)
    confirmations: bool = _at("email.enable_confirmations", False)
    double_confirm_changes: bool = _at("email.double_confirm_changes", True)
    mail_interval_s: float = _at("email.max_frequency", "1s", duration_s)
    otp_length: int = _at("email.otp_length", 6, int)
    otp_expiry_s: float = _at("email.otp_expiry", 3600, float)
    password_min_length: int = _at("minimum_password_length", 6, int)
    rate_limits: dict[str, int] = _at("rate_limit", {})
    """Only what the file states is limited: a stack on loopback sees every client at one address."""

    @classmethod
    def read(cls, config: Config) -> Settings:
        """Raises `LocalStackError` for a section that asks for what the embedded service does not do."""
        for key, (harmless, why) in UNSUPPORTED.items():
            if config.get(key, harmless[0]) not in harmless:
                raise _refused(key, why)
        said = {
            each.name: each.metadata["convert"](config.get(each.metadata["key"], each.metadata["default"]))
            for each in fields(cls)
            if each.metadata
        }
        smtp = _smtp(config)
        address = config.get("auth.email.smtp.admin_email", "noreply@soundscape.localhost")
        sender = f"{config.get('auth.email.smtp.sender_name', 'SoundScape')} <{address}>"
        return cls(**said, smtp=smtp, sender=sender, token_hook=_hook(config), providers=_providers(config))


def _refused(section: str, why: str) -> LocalStackError:
    return LocalStackError(
        f"config.toml: [{section}] {why}.",
        code="auth_config",
        remedy="Change the section, or develop against the official CLI's stack.",
    )


def _smtp(config: Config) -> Smtp | None:
    at = "auth.email.smtp"
    if not config.get(f"{at}.enabled", bool(config.get(f"{at}.host"))):
        return None
    return Smtp(
        host=config.get(f"{at}.host", "127.0.0.1"),
        port=int(config.get(f"{at}.port", 587)),
        user=config.get(f"{at}.user", ""),
        password=config.get(f"{at}.pass", ""),
    )


def _hook(config: Config) -> Hook | None:
    at = "auth.hook.custom_access_token"
    if not config.get(f"{at}.enabled", False):
        return None
    match = re.fullmatch(r"pg-functions://[^/]+/([^/]+)/([^/]+)", config.get(f"{at}.uri", ""))
    if match is None:
        raise _refused(at, "needs a uri pg-functions://postgres/SCHEMA/FUNCTION")
    return Hook(schema=match[1], function=match[2])


def _providers(config: Config) -> dict[str, ProviderSettings]:
    found = {}
    for name in config.get("auth.external", {}):
        at = f"auth.external.{name}"
        if not config.get(f"{at}.enabled", False):
            continue
        if not config.get(f"{at}.client_id"):
            raise _refused(at, "is enabled without a client_id")
        if config.get(f"{at}.skip_nonce_check", False):
            raise _refused(f"{at}.skip_nonce_check", "the nonce is always checked")
        said = {
            name: config.get(f"{at}.{name}", "") for name in ("client_id", "secret", "url", "redirect_uri")
        }
        found[name] = ProviderSettings(**said)
    return found
