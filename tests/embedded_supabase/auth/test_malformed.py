"""Whatever arrives, the answer is a refusal in the protocol's form, never a 5xx."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.waiting import LIMIT_S

from .conftest import PASSWORD, Serve, Server, fresh_email

quick = settings(
    max_examples=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

POSTS = ["signup", "token?grant_type=password", "token?grant_type=refresh_token", "token?grant_type=pkce"]
POSTS += ["token", "otp", "recover", "resend", "verify", "magiclink", "logout", "invite", "admin/users"]
POSTS += ["admin/generate_link"]
NAMES = ["email", "phone", "password", "data", "type", "token", "token_hash", "refresh_token", "auth_code"]
NAMES += ["code_verifier", "code_challenge", "code_challenge_method", "create_user", "user_metadata", "id"]
NAMES += ["app_metadata", "ban_duration", "email_confirm", "role", "new_email", "redirect_to", "nonce"]
WORDS = ["signup", "recovery", "magiclink", "email", "email_change", "invite", "s256", "plain", "1h", "none"]
WORDS += ["a@example.com", "\x00", "a\x00b@example.com", "x" * 300, "🎧", "9" * 30, "1" * 20 + "h"]

text = st.one_of(st.sampled_from(WORDS), st.text(max_size=20))
number = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
value = st.recursive(
    st.one_of(st.none(), st.booleans(), number, text),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)),
    max_leaves=6,
)
body = st.one_of(value, st.dictionaries(st.sampled_from(NAMES), value, max_size=6))


@pytest.fixture(scope="module")
def target(serve: Serve) -> Iterator[tuple[Server, httpx.Client, str]]:
    """A server, a client that holds every right, and a user's token."""
    server = serve(enable_anonymous_sign_ins=True, email={"max_frequency": "0s"})
    session = server.client().auth.sign_up({"email": fresh_email(), "password": PASSWORD}).session
    assert session is not None
    headers = {"apikey": server.keys.secret_key, "authorization": f"Bearer {server.keys.secret_key}"}
    with httpx.Client(base_url=f"{server.auth_url}/", headers=headers, timeout=LIMIT_S) as client:
        yield server, client, session.access_token


def refused_well(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        said = answer.json()
        assert said["code"] == answer.status_code
        assert isinstance(said["error_code"], str)
        assert isinstance(said["msg"], str)


@quick
@given(path=st.sampled_from(POSTS), said=body)
@example(path="signup", said={"email": "a\x00b@example.com", "password": PASSWORD})
@example(path="signup", said={"email": "nul@example.com", "password": PASSWORD, "data": {"x": "\x00"}})
@example(path="signup", said={"email": "nul2@example.com", "password": "long enough\x00"})
@example(path="signup", said={"email": "key@example.com", "password": PASSWORD, "data": {"\x00": 1}})
@example(path="admin/users", said={"email": "role@example.com", "role": "x" * 300})
@example(path="admin/users", said={"email": "ban@example.com", "ban_duration": "9" * 30 + "h"})
@example(path="token?grant_type=refresh_token", said={"refresh_token": "\x00"})
def test_any_json(target: tuple[Server, httpx.Client, str], path: str, said: Any) -> None:
    refused_well(target[1].post(path, json=said))


@quick
@given(path=st.sampled_from(POSTS), raw=st.binary(max_size=60))
@example(path="signup", raw=b'{"email": "\\ud800@example.com", "password": "long enough"}')
@example(path="signup", raw=b'{"data": {"x": "\\ud800"}}')
@example(path="signup", raw=b'{"data": {"x": 1e999}}')
@example(path="signup", raw=b'{"data": {"x": NaN}}')
@example(path="signup", raw=b'{"data": {"x": ' + b"9" * 5000 + b"}}")
@example(path="signup", raw=b"[" * 100_000)
@example(path="signup", raw=b'{"data": ' + b'{"x":' * 3000 + b"1" + b"}" * 3000 + b"}")
@example(path="signup", raw=b'{"data": "' + b"x" * 2_000_000 + b'"}')
@example(path="signup", raw=b"\xff\xfe")
def test_any_bytes(target: tuple[Server, httpx.Client, str], path: str, raw: bytes) -> None:
    refused_well(target[1].post(path, content=raw, headers={"content-type": "application/json"}))


@pytest.mark.parametrize("levels", [101, 200, *range(940, 975)])
def test_json_nested_too_deeply(target: tuple[Server, httpx.Client, str], levels: int) -> None:
    raw = b'{"data": ' + b'{"x":' * levels + b"1" + b"}" * levels + b"}"
    user = {"authorization": f"Bearer {target[2]}"}
    for answer in target[1].post("signup", content=raw), target[1].put("user", content=raw, headers=user):
        assert (answer.status_code, answer.json()["error_code"]) == (400, "bad_json")


@quick
@given(said=body)
@example(said={"data": {"x": "\x00"}})
@example(said={"email": "\x00"})
def test_any_update_of_a_user(target: tuple[Server, httpx.Client, str], said: Any) -> None:
    headers = {"authorization": f"Bearer {target[2]}"}
    refused_well(target[1].put("user", json=said, headers=headers))


@quick
@given(token=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60))
@example(token="a.b.c")
@example(token="..")
def test_any_bearer(target: tuple[Server, httpx.Client, str], token: str) -> None:
    answer = target[1].get("user", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code in (401, 403)
    refused_well(answer)


@quick
@given(header=value, claims=value)
@example(header={"alg": "ES256", "kid": ["x"]}, claims={})
@example(header={"alg": ["ES256"]}, claims={})
@example(header={"alg": "HS256", "crit": ["x"]}, claims={"exp": "soon"})
def test_any_jwt(target: tuple[Server, httpx.Client, str], header: Any, claims: Any) -> None:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims)
    ]
    answer = target[1].get("user", headers={"authorization": f"Bearer {'.'.join(parts)}.c2ln"})
    assert answer.status_code == 403
    refused_well(answer)


@quick
@given(claims=st.dictionaries(st.sampled_from(["sub", "session_id", "role", "iat", "nbf", "aud"]), value))
@example(claims={"sub": "not-a-uuid"})
@example(claims={"sub": 7})
@example(claims={"sub": "00000000-0000-0000-0000-000000000000", "session_id": []})
@example(claims={"sub": "\x00"})
@example(claims={"role": ["service_role"]})
def test_any_signed_claims(target: tuple[Server, httpx.Client, str], claims: dict[str, Any]) -> None:
    server, client, _ = target
    try:
        token = jwt.encode({"exp": int(time.time()) + 60} | claims, server.keys.jwt_secret, "HS256")
    except (TypeError, ValueError):  # PyJWT itself will not write such claims
        return
    for path in ("user", "admin/users"):
        answer = client.get(path, headers={"authorization": f"Bearer {token}"})
        assert answer.status_code in (400, 401, 403)
        refused_well(answer)


@quick
@given(
    path=st.sampled_from(["verify", "authorize", "callback", "admin/users", "settings"]),
    query=st.dictionaries(
        st.sampled_from(["token", "type", "redirect_to", "state", "code", "provider", "page", "error"]), text
    ),
)
@example(path="verify", query={"token": "\x00", "type": "signup"})
@example(path="verify", query={"token": "pkce_x", "type": "signup", "redirect_to": "http://[::1"})
@example(path="callback", query={"state": "\x00"})
@example(path="admin/users", query={"page": "٣"})
def test_any_query(target: tuple[Server, httpx.Client, str], path: str, query: dict[str, str]) -> None:
    refused_well(target[1].get(path, params=query))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "factors"),
        ("POST", "factors/x/challenge"),
        ("GET", "admin/users/x/factors"),
        ("POST", "sso"),
        ("GET", "sso/saml/metadata"),
        ("POST", "passkeys/registration/options"),
        ("GET", "oauth/authorize"),
        ("GET", "admin/oauth/clients"),
        ("GET", "admin/audit"),
        ("POST", "token?grant_type=web3"),
        ("POST", "token?grant_type=id_token"),
    ],
)
def test_what_is_not_there_says_so(target: tuple[Server, httpx.Client, str], method: str, path: str) -> None:
    answer = target[1].request(method, path)
    assert (answer.status_code, answer.json()["error_code"]) == (422, "feature_disabled")


@pytest.mark.parametrize("version", ["2024-01-01", "2025-06-01"])
def test_newer_clients_read_the_newer_form(target: tuple[Server, httpx.Client, str], version: str) -> None:
    answer = target[1].post("recover", json={}, headers={"x-supabase-api-version": version})
    assert answer.json() == {"code": "validation_failed", "message": "Password recovery requires an email"}
    assert answer.headers["x-supabase-api-version"] == "2024-01-01"


def test_unknown_paths(target: tuple[Server, httpx.Client, str]) -> None:
    assert target[1].get("nothing/here").status_code == 404
    assert target[1].delete("token").status_code == 405
