"""`soundscape keys`: a user's keys, from the command line, against the embedded project."""

from __future__ import annotations

import json
import secrets

import httpx
import pytest
import structlog
from typer.testing import CliRunner, Result

from soundscape.cli.app import app
from soundscape.cli.embedded_project import Project
from tests.waiting import LIMIT_S

PASSWORD = "correct horse battery staple"


@pytest.fixture
def signed_up(embedded: Project, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a user whom the environment signs in."""
    email = f"keys-{secrets.token_hex(6)}@example.com"
    answer = httpx.post(
        f"{embedded.url}/auth/v1/signup",
        json={"email": email, "password": PASSWORD},
        headers={"apikey": embedded.keys.publishable_key},
        timeout=LIMIT_S,
    )
    assert answer.status_code == 200, answer.text
    for name, value in embedded.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SOUNDSCAPE_EMAIL", email)
    monkeypatch.setenv("SOUNDSCAPE_PASSWORD", PASSWORD)
    return email


def run(*arguments: str, text: str | None = None) -> Result:
    # The project runs in a thread of this process, and its log goes where standard output does.
    with structlog.testing.capture_logs():
        result = CliRunner().invoke(app, ["keys", *arguments], input=text)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def exchange(project: Project, key: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{project.url}/api/token", headers=headers, timeout=LIMIT_S)


@pytest.mark.usefixtures("signed_up")
def test_a_key_is_made_listed_and_revoked(embedded: Project) -> None:
    made = run("make", "nightly", "--scope", "upload", "--days", "7")
    key, prefix = made.stdout.strip(), made.stdout.strip()[:19]
    assert len(key) == 59
    assert prefix in made.stderr
    assert exchange(embedded, key).json()["scope"] == "upload"

    (row,) = json.loads(run("list", "--json").stdout)
    assert (row["name"], row["prefix"], row["scope"]) == ("nightly", prefix, "upload")
    assert row["last_used_at"] is not None
    shown = run("list").stdout
    assert "nightly" in shown
    assert key not in shown

    assert "is revoked" in run("revoke", "nightly").stdout
    assert exchange(embedded, key).status_code == 401
    assert "revoked" in run("list").stdout
    from soundscape.errors import ProjectError

    with pytest.raises(ProjectError) as unknown:
        run("revoke", "another")
    assert unknown.value.code == "api_key_unknown"


def test_a_password_is_asked_for(signed_up: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOUNDSCAPE_PASSWORD")
    monkeypatch.delenv("SOUNDSCAPE_EMAIL")
    asked = run("list", "--json", "--email", signed_up, text=f"{PASSWORD}\n")
    assert json.loads(asked.stdout) == []
    from soundscape.project.account import SignInRefused

    with pytest.raises(SignInRefused, match="Invalid login"):
        run("list", "--email", signed_up, text="wrong\n")
