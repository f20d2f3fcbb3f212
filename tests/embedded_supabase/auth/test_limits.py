"""Rate limits, by the clock and through the service."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from supabase_auth.errors import AuthApiError

from embedded_supabase.auth.errors import AuthError
from embedded_supabase.auth.limits import RateLimits
from embedded_supabase.auth.settings import parse_duration_s

from .conftest import PASSWORD, Serve, fresh_email


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock that the limits go by, to be moved."""
    now = [1000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    return now


def refusal(limits: RateLimits, limit: str, key: str) -> tuple[int, str] | None:
    try:
        limits.consume(limit, key)
    except AuthError as error:
        return error.status, error.code
    return None


NONE_LEFT = (429, "over_request_rate_limit")


def test_a_window_slides(now: list[float]) -> None:
    limits = RateLimits({"sign_in_sign_ups": 2})
    assert [refusal(limits, "sign_in_sign_ups", "a") for _ in range(3)] == [None, None, NONE_LEFT]
    assert refusal(limits, "sign_in_sign_ups", "b") is None
    now[0] += 299.0
    assert refusal(limits, "sign_in_sign_ups", "a") == NONE_LEFT
    now[0] += 1.5
    assert refusal(limits, "sign_in_sign_ups", "a") is None


def test_what_is_not_stated_is_not_limited() -> None:
    limits = RateLimits({})
    assert not any(refusal(limits, "token_refresh", "a") for _ in range(1000))


def test_none_at_all() -> None:
    assert refusal(RateLimits({"sign_in_sign_ups": 0}), "sign_in_sign_ups", "a") == NONE_LEFT


@pytest.mark.row("auth.rate-limits", by="http")
def test_sign_in_is_limited_whatever_a_header_claims(serve: Serve) -> None:
    server = serve(rate_limit={"sign_in_sign_ups": 3})
    codes = []
    for number in range(5):
        headers = server.headers | {"x-forwarded-for": f"10.0.0.{number}"}
        body = {"email": fresh_email(), "password": "wrong"}
        answer = httpx.post(f"{server.auth_url}/token?grant_type=password", json=body, headers=headers)
        codes.append(answer.json()["error_code"])
    assert codes == ["invalid_credentials"] * 3 + ["over_request_rate_limit"] * 2


def test_codes_cannot_be_guessed_for_long(serve: Serve, email: str) -> None:
    server = serve(rate_limit={"token_verifications": 5})
    server.client().auth.sign_in_with_otp({"email": email})
    code = server.mails(email)[0]["code"]
    for number in range(5):
        with pytest.raises(AuthApiError):
            server.client().auth.verify_otp({"email": email, "token": f"x{number}", "type": "email"})
    with pytest.raises(AuthApiError) as caught:
        server.client().auth.verify_otp({"email": email, "token": code, "type": "email"})
    assert caught.value.status == 429


@pytest.mark.row("auth.smtp", by="http")
def test_mail_goes_by_smtp_and_is_limited(serve: Serve, smtp_sink: Any, email: str) -> None:
    server = serve(
        email={
            "max_frequency": "0s",
            "smtp": {"host": "127.0.0.1", "port": smtp_sink.port, "admin_email": "us@example.com"},
        },
        rate_limit={"email_sent": 2},
    )
    server.client().auth.sign_up({"email": email, "password": PASSWORD})
    for _ in range(2):
        server.client().auth.sign_in_with_otp({"email": email})
    with pytest.raises(AuthApiError) as caught:
        server.client().auth.sign_in_with_otp({"email": email})
    assert (caught.value.status, caught.value.code) == (429, "over_email_send_rate_limit")
    assert server.mails(email) == []
    assert len(smtp_sink.messages) == 2
    assert f"To: {email}" in smtp_sink.messages[0]
    assert "From: SoundScape <us@example.com>" in smtp_sink.messages[0]


def test_a_dead_mail_server_is_said(serve: Serve, email: str) -> None:
    server = serve(email={"smtp": {"host": "127.0.0.1", "port": 9, "admin_email": "us@example.com"}})
    answer = httpx.post(f"{server.auth_url}/otp", json={"email": email}, headers=server.headers)
    assert answer.status_code == 500
    assert answer.json()["msg"] == "Error sending magiclink email"
    # Nothing is left of the attempt.
    assert server.row("select count(*) as n from auth.users where email = %s", email)["n"] == 0


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("1s", 1), ("1h30m", 5400), ("1.5h", 5400), ("250ms", 0.25)]
)
def test_go_durations(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "s", "1 s", "1d", "-1s", "1h x"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError):
        parse_duration_s(text)
