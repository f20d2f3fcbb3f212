"""supabase/config.toml, asked by dotted path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from embedded_supabase.config import Config
from soundscape.deploy import sources

TOML = """
project_id = "x"
[auth]
enable_signup = false
secret = "env(A_SECRET)"
text = "not env(A_SECRET)"
[auth.email]
otp_length = 6
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(TOML)
    return Config.read(path)


@pytest.mark.parametrize(
    ("dotted", "expected"),
    [
        ("project_id", "x"),
        ("auth.enable_signup", False),  # not the default: the file says so
        ("auth.email.otp_length", 6),
        ("auth.email", {"otp_length": 6}),
        ("auth.missing", "default"),
        ("missing.at.all", "default"),
        ("project_id.deeper", "default"),  # a leaf has nothing below it
        ("auth.secret", "from the environment"),
        ("auth.text", "not env(A_SECRET)"),
    ],
)
def test_get(config: Config, monkeypatch: pytest.MonkeyPatch, dotted: str, expected: Any) -> None:
    monkeypatch.setenv("A_SECRET", "from the environment")
    assert config.get(dotted, "default") == expected


def test_a_variable_that_is_not_set(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A_SECRET", raising=False)
    assert config.get("auth.secret", "default") == "default"


def test_our_own_file() -> None:
    config = Config.read(sources.get_folder() / "config.toml")
    assert config.get("api.schemas") == ["public"], "the worker's schema is not exposed"
    assert config.get("auth.email.enable_confirmations") is False
