"""`[auth]` of `supabase/config.toml`, with the official CLI's defaults."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from soundscape.errors import LocalStackError
from soundscape.local.config import Config

_LOWER, _UPPER, _DIGITS = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
_SYMBOLS = "!@#$%^&*()_+-=[]{};'\\:\"|<>?,./`~"
PASSWORD_REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "": (),
    "letters_digits": (_LOWER + _UPPER, _DIGITS),
    "lower_upper_letters_digits": (_LOWER, _UPPER, _DIGITS),
    "lower_upper_letters_digits_symbols": (_LOWER, _UPPER, _DIGITS, _SYMBOLS),
}
UNSUPPORTED_HOOKS = (
    "send_sms",
    "send_email",
    "mfa_verification_attempt",
    "password_verification_attempt",
    "before_user_created",
)
UNSUPPORTED = {
    "auth.captcha.enabled": "no captcha is checked",
    "auth.sms.enable_signup": "no text messages are sent",
    "auth.enable_manual_linking": "identities are linked by their verified address only",
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration_s(text: str) -> float:
    """Seconds in a Go duration (`1h30m`, `60s`, `0`). Raises ValueError."""
    if text == "0":
        return 0.0
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f'time: invalid duration "{text}"')
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)


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

    name: str
    client_id: str
    secret: str
    url: str
    redirect_uri: str
    skip_nonce_check: bool


@dataclass(frozen=True)
class Settings:
    """What the service may do; every field has the CLI's default."""

    site_url: str
    redirect_patterns: tuple[str, ...]
    jwt_expiry_s: int
    rotate_refresh_tokens: bool
    reuse_interval_s: float
    signup_enabled: bool
    anonymous_enabled: bool
    email_enabled: bool
    autoconfirm: bool
    double_confirm_changes: bool
    secure_password_change: bool
    mail_interval_s: float
    otp_length: int
    otp_expiry_s: float
    password_min_length: int
    password_characters: tuple[str, ...]
    session_timebox_s: float
    session_inactivity_s: float
    rate_limits: dict[str, int]
    """Only what the file states is limited: a stack on loopback sees every client at one address."""
    smtp: Smtp | None
    sender: str
    subjects: dict[str, str]
    token_hook: Hook | None
    providers: dict[str, ProviderSettings]

    @classmethod
    def read(cls, config: Config) -> Settings:
        """Raises `LocalStackError` for a section that asks for what the embedded service does not do."""
        get = config.get
        requirements = get("auth.password_requirements", "")
        if requirements not in PASSWORD_REQUIREMENTS:
            raise _refused("auth.password_requirements", f"{requirements!r} is not one of the CLI's values")
        for name in UNSUPPORTED_HOOKS:
            if get(f"auth.hook.{name}.enabled", False):
                raise _refused(f"auth.hook.{name}", "only custom_access_token is called")
        for key, why in UNSUPPORTED.items():
            if get(key, False):
                raise _refused(key, why)
        for name in get("auth.email.template", {}):
            if get(f"auth.email.template.{name}.content_path"):
                raise _refused(f"auth.email.template.{name}", "only the subject of a mail can be set")
        return cls(
            site_url=get("auth.site_url", "http://127.0.0.1:3000"),
            redirect_patterns=tuple(get("auth.additional_redirect_urls", [])),
            jwt_expiry_s=int(get("auth.jwt_expiry", 3600)),
            rotate_refresh_tokens=bool(get("auth.enable_refresh_token_rotation", True)),
            reuse_interval_s=float(get("auth.refresh_token_reuse_interval", 10)),
            signup_enabled=bool(get("auth.enable_signup", True)),
            anonymous_enabled=bool(get("auth.enable_anonymous_sign_ins", False)),
            email_enabled=bool(get("auth.email.enable_signup", True)),
            autoconfirm=not get("auth.email.enable_confirmations", False),
            double_confirm_changes=bool(get("auth.email.double_confirm_changes", True)),
            secure_password_change=bool(get("auth.email.secure_password_change", False)),
            mail_interval_s=duration_s(get("auth.email.max_frequency", "1s")),
            otp_length=int(get("auth.email.otp_length", 6)),
            otp_expiry_s=float(get("auth.email.otp_expiry", 3600)),
            password_min_length=int(get("auth.minimum_password_length", 6)),
            password_characters=PASSWORD_REQUIREMENTS[requirements],
            session_timebox_s=duration_s(get("auth.sessions.timebox", "0")),
            session_inactivity_s=duration_s(get("auth.sessions.inactivity_timeout", "0")),
            rate_limits={name: int(limit) for name, limit in get("auth.rate_limit", {}).items()},
            smtp=_smtp(config),
            sender=_sender(config),
            subjects={
                name: template["subject"]
                for name, template in get("auth.email.template", {}).items()
                if "subject" in template
            },
            token_hook=_hook(config),
            providers=_providers(config),
        )


def _refused(section: str, why: str) -> LocalStackError:
    return LocalStackError(
        f"config.toml: [{section}] {why}.",
        code="auth_config",
        remedy="Change the section, or develop against the official CLI's stack.",
    )


def _smtp(config: Config) -> Smtp | None:
    if not config.get("auth.email.smtp.enabled", bool(config.get("auth.email.smtp.host"))):
        return None
    return Smtp(
        host=config.get("auth.email.smtp.host", "127.0.0.1"),
        port=int(config.get("auth.email.smtp.port", 587)),
        user=config.get("auth.email.smtp.user", ""),
        password=config.get("auth.email.smtp.pass", ""),
    )


def _sender(config: Config) -> str:
    address = config.get("auth.email.smtp.admin_email", "noreply@soundscape.localhost")
    name = config.get("auth.email.smtp.sender_name", "SoundScape")
    return f"{name} <{address}>"


def _hook(config: Config) -> Hook | None:
    if not config.get("auth.hook.custom_access_token.enabled", False):
        return None
    uri = config.get("auth.hook.custom_access_token.uri", "")
    match = re.fullmatch(r"pg-functions://[^/]+/([^/]+)/([^/]+)", uri)
    if match is None:
        raise _refused("auth.hook.custom_access_token", "needs a uri pg-functions://postgres/SCHEMA/FUNCTION")
    return Hook(schema=match[1], function=match[2])


def _providers(config: Config) -> dict[str, ProviderSettings]:
    found = {}
    sections: dict[str, Any] = config.get("auth.external", {})
    for name in sections:
        at = f"auth.external.{name}"
        if not config.get(f"{at}.enabled", False):
            continue
        if not config.get(f"{at}.client_id"):
            raise _refused(at, "is enabled without a client_id")
        found[name] = ProviderSettings(
            name=name,
            client_id=config.get(f"{at}.client_id"),
            secret=config.get(f"{at}.secret", ""),
            url=config.get(f"{at}.url", ""),
            redirect_uri=config.get(f"{at}.redirect_uri", ""),
            skip_nonce_check=bool(config.get(f"{at}.skip_nonce_check", False)),
        )
    return found
