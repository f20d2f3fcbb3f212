"""The environment: what is required, what is refused, what is a placeholder."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from soundscape.audio.limits import Limits
from soundscape.errors import SettingsError
from soundscape.settings import PUBLIC_KEY_NAMES, SECRET_KEY_NAMES, Settings, load_environment

WEBHOOK = "whsec_" + base64.b64encode(b"w" * 32).decode()
WHOLE = {
    "SUPABASE_URL": "https://abcdefgh.supabase.co",
    "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_0123456789",
    "SUPABASE_SECRET_KEY": "sb_secret_0123456789",
    "SOUNDSCAPE_WEBHOOK_SECRET": WEBHOOK,
}
ROOT = Path(__file__).resolve().parents[1]


def test_the_least_that_will_do() -> None:
    settings = Settings.from_environment(WHOLE)
    assert settings.supabase_url == WHOLE["SUPABASE_URL"]
    assert (settings.public_key, settings.secret_key) == ("sb_publishable_0123456789", "sb_secret_0123456789")
    assert settings.webhook_secrets == (WEBHOOK,)
    assert (settings.workers, settings.lease_s, settings.log_level) == (1, 60, "info")


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("value", [None, "", "   "])
def test_what_is_missing_is_named(name: str, value: str | None) -> None:
    without = {key: text for key, text in WHOLE.items() if key != name}
    with pytest.raises(SettingsError, match=name) as missing:
        Settings.from_environment(without if value is None else without | {name: value})
    assert missing.value.code == "settings_missing"
    assert ".env" in missing.value.remedy


@pytest.mark.parametrize("names", [PUBLIC_KEY_NAMES, SECRET_KEY_NAMES])
def test_keys_by_each_of_their_names(names: tuple[str, ...]) -> None:
    without = {key: text for key, text in WHOLE.items() if key not in names}
    for name in names:
        settings = Settings.from_environment(without | {name: "the key as it is given"})
        assert "the key as it is given" in (settings.public_key, settings.secret_key)
    everything = without | {name: f"the {index}. key as it is given" for index, name in enumerate(names)}
    settings = Settings.from_environment(everything)
    assert "the 0. key as it is given" in (settings.public_key, settings.secret_key), "the newest name wins"


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize(
    "value",
    ["changeme", "change-me", "CHANGE_ME", "your-key", "your_service_key", "<secret>", "xxx", "xxxxxxxx",
     "https://xxxx.supabase.co", "sb_secret_xxxxxxxx", "placeholder", "https://example.supabase.co"],
)  # fmt: skip
def test_placeholders(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment(WHOLE | {name: value})


@pytest.mark.parametrize("value", ["s", "sb_secret_cut_off"])
@pytest.mark.parametrize("name", SECRET_KEY_NAMES)
def test_half_a_key(name: str, value: str) -> None:
    without = {key: text for key, text in WHOLE.items() if key not in SECRET_KEY_NAMES}
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment(without | {name: value})


@given(st.binary(min_size=24, max_size=64))
def test_no_random_secret_is_taken_for_a_placeholder(raw: bytes) -> None:
    secret = "whsec_" + base64.b64encode(raw).decode()
    if "example" not in secret.lower():
        assert Settings.from_environment(WHOLE | {"SOUNDSCAPE_WEBHOOK_SECRET": secret})


@pytest.mark.parametrize("inside", ["aXxXb", "0xxx1", "ZXXXXz"])
def test_three_x_in_a_random_key(inside: str) -> None:
    key = f"sb_secret_abc{inside}defghi"
    assert Settings.from_environment(WHOLE | {"SUPABASE_SECRET_KEY": key}).secret_key == key


@pytest.mark.parametrize(
    "value",
    ["abc", "ftp://abc", "https://", "//abc", "https:/abc", "localhost:8000", "https://u:pw@abc.org",
     "https://abc.org/rest/v1", "https://abc.org?x=1", "https://abc.org#x"],
)  # fmt: skip
def test_no_url(value: str) -> None:
    with pytest.raises(SettingsError, match="SUPABASE_URL"):
        Settings.from_environment(WHOLE | {"SUPABASE_URL": value})


def test_a_slash_at_the_end_is_none() -> None:
    settings = Settings.from_environment(WHOLE | {"SUPABASE_URL": "http://127.0.0.1:8000/"})
    assert settings.supabase_url == "http://127.0.0.1:8000"


@pytest.mark.parametrize("name", ["SOUNDSCAPE_WEBHOOK_SECRET", "SOUNDSCAPE_WEBHOOK_SECRET_PREVIOUS"])
@pytest.mark.parametrize(
    "value",
    [
        "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IA==",  # no prefix
        "whsec_",  # nothing
        "whsec_c2hvcnQ=",  # too short
        "whsec_not base64 at all, however long it may be",
        "whsec_" + base64.urlsafe_b64encode(b"\xff" * 32).decode(),  # base64url: Postgres decodes another
    ],
)
def test_a_webhook_secret_that_cannot_sign(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match="whsec_"):
        Settings.from_environment(WHOLE | {name: value})


def test_the_previous_secret_alone_is_none() -> None:
    with pytest.raises(SettingsError, match="SOUNDSCAPE_WEBHOOK_SECRET"):
        Settings.from_environment(
            WHOLE | {"SOUNDSCAPE_WEBHOOK_SECRET": "", "SOUNDSCAPE_WEBHOOK_SECRET_PREVIOUS": WEBHOOK}
        )


def test_two_secrets_while_rotating() -> None:
    previous = "whsec_" + base64.b64encode(b"p" * 32).decode()
    settings = Settings.from_environment(WHOLE | {"SOUNDSCAPE_WEBHOOK_SECRET_PREVIOUS": previous})
    assert settings.webhook_secrets == (WEBHOOK, previous)


@pytest.mark.parametrize(
    ("name", "field", "good", "bad"),
    [
        ("SOUNDSCAPE_WORKERS", "workers", ("1", "64", " 2 "), ("0", "65", "-1", "1.5", "two", "²")),
        ("SOUNDSCAPE_LEASE_S", "lease_s", ("5", "3600"), ("4", "3601", "1e2")),
        ("SOUNDSCAPE_POLL_MAX_S", "poll_max_s", ("1", "600"), ("0", "601")),
        ("SOUNDSCAPE_RECOMMEND_EVERY_H", "recommend_every_h", ("1", "8760"), ("0", "8761", "0.5")),
        ("SOUNDSCAPE_RATE_PER_CALLER", "rate_per_caller", ("1", "1000000"), ("0", "1000001")),
        ("SOUNDSCAPE_RATE_PER_ADDRESS", "rate_per_address", ("1", "1000000"), ("0", "1000001")),
        ("SOUNDSCAPE_LIVE_SESSIONS", "live_sessions", ("0", "10000"), ("-1", "10001")),
        ("SOUNDSCAPE_LIVE_SESSIONS_PER_USER", "live_sessions_per_user", ("1", "10000"), ("0", "10001")),
        ("SOUNDSCAPE_LIVE_MAX_DURATION_S", "live_max_duration_s", ("10", "86400"), ("9", "86401")),
    ],
)
def test_numbers(name: str, field: str, good: tuple[str, ...], bad: tuple[str, ...]) -> None:
    for text in good:
        assert getattr(Settings.from_environment(WHOLE | {name: text}), field) == int(text)
    for text in bad:
        with pytest.raises(SettingsError, match=name):
            Settings.from_environment(WHOLE | {name: text})
    default: Any = Settings.model_fields[field].default
    assert getattr(Settings.from_environment(WHOLE | {name: ""}), field) == default


@pytest.mark.parametrize(("text", "level"), [("DEBUG", "debug"), ("", "info"), (" error ", "error")])
def test_log_levels(text: str, level: str) -> None:
    assert Settings.from_environment(WHOLE | {"SOUNDSCAPE_LOG_LEVEL": text}).log_level == level


def test_a_log_level_nobody_knows() -> None:
    with pytest.raises(SettingsError, match="SOUNDSCAPE_LOG_LEVEL"):
        Settings.from_environment(WHOLE | {"SOUNDSCAPE_LOG_LEVEL": "loud"})


@pytest.mark.parametrize(
    ("name", "field", "text", "value"),
    [
        ("SOUNDSCAPE_CORS_ORIGINS", "cors_origins", "https://a.org, http://localhost:5173",
         ("https://a.org", "http://localhost:5173")),
        ("SOUNDSCAPE_CORS_ORIGINS", "cors_origins", "*", ("*",)),
        ("SOUNDSCAPE_CORS_ORIGINS", "cors_origins", "", ()),
        ("SOUNDSCAPE_CORS_ORIGINS", "cors_origins", "https://a.org/", None),
        ("SOUNDSCAPE_CORS_ORIGINS", "cors_origins", "a.org", None),
        ("SOUNDSCAPE_CORS_ORIGINS", "cors_origins", "https://[a.org", None),
        ("SOUNDSCAPE_TRUSTED_PROXIES", "trusted_proxies", "::1,10.0.0.0/8", ("::1", "10.0.0.0/8")),
        ("SOUNDSCAPE_TRUSTED_PROXIES", "trusted_proxies", "*", None),
        ("SOUNDSCAPE_TRUSTED_PROXIES", "trusted_proxies", "10.0.0.1/8", None),
        ("SOUNDSCAPE_METRICS_TOKEN", "metrics_token", "sixteen of them.", "sixteen of them."),
        ("SOUNDSCAPE_METRICS_TOKEN", "metrics_token", "", None),
        ("SUPABASE_JWT_ISSUER", "jwt_issuer", "", "https://abcdefgh.supabase.co/auth/v1"),
        ("SUPABASE_JWT_ISSUER", "jwt_issuer", "https://id.mysite.org/auth/v1", "https://id.mysite.org/auth/v1"),
    ],
)  # fmt: skip
def test_who_may_come_in(name: str, field: str, text: str, value: Any) -> None:
    if value is None and text:
        with pytest.raises(SettingsError, match=name):
            Settings.from_environment(WHOLE | {name: text})
    else:
        assert getattr(Settings.from_environment(WHOLE | {name: text}), field) == value


@pytest.mark.parametrize(
    "name", ["SOUNDSCAPE_METRICS_TOKEN", "SUPABASE_JWT_SECRET", "SOUNDSCAPE_DATABASE_WEBHOOK_SECRET"]
)
@pytest.mark.parametrize("value", ["short", "changeme-changeme-changeme-changeme"])
def test_secrets_that_are_none(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment(WHOLE | {name: value})


def test_no_secret_in_what_is_printed() -> None:
    named = {
        "SOUNDSCAPE_DATABASE_WEBHOOK_SECRET": "a shared secret of the hook",
        "SOUNDSCAPE_METRICS_TOKEN": "whoever reads the metrics",
        "SUPABASE_JWT_SECRET": "signs the tokens of projects that are old",
    }
    settings = Settings.from_environment(WHOLE | named)
    for secret in (WEBHOOK, "sb_secret_0123456789", *named.values()):
        assert secret not in repr(settings)


def test_what_is_exported_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("A=from the file\nB=from the file\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("A", "exported")
    values = load_environment()
    assert (values["A"], values["B"]) == ("exported", "from the file")
    assert "B" not in os.environ


def test_the_example_names_everything_and_decides_nothing() -> None:
    example = dotenv_values(ROOT / ".env.example")
    with pytest.raises(SettingsError) as incomplete:
        Settings.from_environment({name: value or "" for name, value in example.items()})
    assert incomplete.value.code == "settings_missing"
    source = (ROOT / "soundscape" / "settings.py").read_text()
    named = {name for name in example if name in source}
    assert named >= {*WHOLE, "SOUNDSCAPE_WORKERS", "SOUNDSCAPE_LEASE_S", "SOUNDSCAPE_SCRATCH_DIR"}


def test_limits_of_recordings_and_of_the_disk() -> None:
    usual = Settings.from_environment(WHOLE)
    assert (usual.limits, usual.scratch_bytes) == (Limits(), 8 << 30)
    own = Settings.from_environment(
        WHOLE
        | {
            "SOUNDSCAPE_MAX_DURATION_S": "60",
            "SOUNDSCAPE_MAX_SIZE_MB": "5",
            "SOUNDSCAPE_MAX_CHANNELS": "2",
            "SOUNDSCAPE_SCRATCH_MB": "16",
        }
    )
    assert own.limits == Limits(max_duration_s=60.0, max_size_bytes=5 << 20, max_channels=2)
    assert own.scratch_bytes == 16 << 20
    for name in ("MAX_DURATION_S", "MAX_SIZE_MB", "MAX_CHANNELS", "SCRATCH_MB"):
        with pytest.raises(SettingsError, match=name):
            Settings.from_environment(WHOLE | {f"SOUNDSCAPE_{name}": "0"})
