"""Refreshing, signing out, and tokens that are no good."""

from __future__ import annotations

import base64
import hmac
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import jwt
import psycopg
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from supabase_auth.errors import AuthApiError
from supabase_auth.types import Session

from .conftest import PASSWORD, Serve, Server


def signed_up(server: Server, email: str) -> Session:
    session = server.client().auth.sign_up({"email": email, "password": PASSWORD}).session
    assert session is not None
    return session


def refresh(server: Server, token: str) -> httpx.Response:
    return httpx.post(
        f"{server.auth_url}/token?grant_type=refresh_token",
        json={"refresh_token": token},
        headers=server.headers,
    )


def user(server: Server, access_token: str) -> httpx.Response:
    headers = server.headers | {"authorization": f"Bearer {access_token}"}
    return httpx.get(f"{server.auth_url}/user", headers=headers)


def session_id(access_token: str) -> str:
    claims: dict[str, Any] = jwt.decode(access_token, options={"verify_signature": False})
    return str(claims["session_id"])


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_refresh_rotates_within_the_session(server: Server, email: str) -> None:
    client = server.client()
    first = client.auth.sign_up({"email": email, "password": PASSWORD}).session
    assert first is not None
    second = client.auth.refresh_session().session
    assert second is not None
    assert second.refresh_token != first.refresh_token
    assert session_id(second.access_token) == session_id(first.access_token)
    amr = jwt.decode(second.access_token, options={"verify_signature": False})["amr"]
    assert [item["method"] for item in amr] == ["password"]


def test_tabs_that_race_all_get_a_session(server: Server, email: str) -> None:
    token = signed_up(server, email).refresh_token
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: refresh(server, token), range(6)))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


def test_a_lost_answer_is_forgiven(serve: Serve, email: str) -> None:
    """The parent of the token in force is good again, whatever the reuse interval."""
    server = serve(refresh_token_reuse_interval=0)
    token = signed_up(server, email).refresh_token
    child = refresh(server, token).json()["refresh_token"]
    time.sleep(0.05)
    assert refresh(server, token).json()["refresh_token"] == child


def test_reuse_beyond_the_interval_revokes_the_family(serve: Serve, email: str) -> None:
    server = serve(refresh_token_reuse_interval=0)
    token = signed_up(server, email).refresh_token
    child = refresh(server, token).json()["refresh_token"]
    grandchild = refresh(server, child).json()["refresh_token"]
    time.sleep(0.05)
    stolen = refresh(server, token)
    assert (stolen.status_code, stolen.json()["error_code"]) == (400, "refresh_token_already_used")
    victim = refresh(server, grandchild)
    assert (victim.status_code, victim.json()["error_code"]) == (400, "refresh_token_already_used")


def test_reuse_within_the_interval_is_let_pass(server: Server, email: str) -> None:
    token = signed_up(server, email).refresh_token
    child = refresh(server, token).json()["refresh_token"]
    refresh(server, child)
    assert refresh(server, token).status_code == 200


def test_unknown_refresh_token(server: Server) -> None:
    with pytest.raises(AuthApiError) as caught:
        server.client().auth.refresh_session("not-a-token")
    assert (caught.value.status, caught.value.code) == (400, "refresh_token_not_found")


def test_banned_users_cannot_refresh_or_sign_in(server: Server, email: str) -> None:
    session = signed_up(server, email)
    server.admin().auth.admin.update_user_by_id(session.user.id, {"ban_duration": "1h"})
    answer = refresh(server, session.refresh_token)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "user_banned")
    with pytest.raises(AuthApiError) as caught:
        server.client().auth.sign_in_with_password({"email": email, "password": PASSWORD})
    assert caught.value.code == "user_banned"
    server.admin().auth.admin.update_user_by_id(session.user.id, {"ban_duration": "none"})
    assert refresh(server, session.refresh_token).status_code == 200


@pytest.mark.parametrize(
    ("scope", "mine", "other"),
    [("global", 403, 403), ("local", 403, 200), ("others", 200, 403)],
)
def test_sign_out_scopes(server: Server, email: str, scope: Any, mine: int, other: int) -> None:
    client = server.client()
    here = client.auth.sign_up({"email": email, "password": PASSWORD}).session
    there = server.client().auth.sign_in_with_password({"email": email, "password": PASSWORD}).session
    assert here is not None
    assert there is not None
    client.auth.sign_out({"scope": scope})
    assert user(server, here.access_token).status_code == mine
    assert user(server, there.access_token).status_code == other
    assert refresh(server, there.refresh_token).status_code == (200 if other == 200 else 400)


def test_a_gone_session(server: Server, email: str) -> None:
    client = server.client()
    session = client.auth.sign_up({"email": email, "password": PASSWORD}).session
    assert session is not None
    server.execute("delete from auth.sessions where user_id = %s", session.user.id)
    with pytest.raises(AuthApiError) as caught:
        client.auth.get_user()
    assert (caught.value.status, caught.value.code) == (403, "session_not_found")


def test_logout_refuses_an_unknown_scope(server: Server, email: str) -> None:
    headers = server.headers | {"authorization": f"Bearer {signed_up(server, email).access_token}"}
    answer = httpx.post(f"{server.auth_url}/logout?scope=everything", headers=headers)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "validation_failed")


@pytest.mark.row("auth.shared-secret", by="http")
def test_older_shared_secret_tokens_are_accepted(server: Server, email: str) -> None:
    session = signed_up(server, email)
    claims = {"sub": session.user.id, "role": "authenticated", "exp": time.time() + 60}
    assert user(server, jwt.encode(claims, server.keys.jwt_secret, "HS256")).status_code == 200


@pytest.mark.parametrize("case", ["expired", "other key", "none", "public key as secret", "cut", "empty"])
def test_bad_tokens_are_refused(server: Server, email: str, case: str) -> None:
    session = signed_up(server, email)
    claims = {"sub": session.user.id, "role": "service_role", "exp": time.time() + 60}
    header, payload, signature = session.access_token.split(".")
    public = load_pem_private_key(server.keys.signing_key_pem.encode(), None).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    unsigned = ".".join(base64url(json.dumps(part).encode()) for part in ({"alg": "HS256"}, claims))
    forged = {
        "expired": jwt.encode(claims | {"exp": 1}, server.keys.jwt_secret, "HS256"),
        "other key": jwt.encode(claims, "x" * 40, "HS256"),
        "none": jwt.encode(claims, None, "none"),  # type: ignore[arg-type]
        "public key as secret": f"{unsigned}.{base64url(hmac.digest(pem, unsigned.encode(), 'sha256'))}",
        "cut": f"{header}.{payload}.{signature[:-8]}",
        "empty": "..",
    }
    answer = user(server, forged[case])
    assert (answer.status_code, answer.json()["error_code"]) == (403, "bad_jwt")


@pytest.mark.parametrize("key", ["publishable_key", "secret_key", "anon_jwt", "service_role_jwt"])
def test_a_key_is_nobody(server: Server, key: str) -> None:
    answer = user(server, getattr(server.keys, key))
    assert (answer.status_code, answer.json()["error_code"]) == (403, "bad_jwt")
    assert answer.json()["msg"] == "invalid claim: missing sub claim"


def test_no_bearer(server: Server) -> None:
    answer = httpx.get(f"{server.auth_url}/user", headers=server.headers)
    assert (answer.status_code, answer.json()["error_code"]) == (401, "no_authorization")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/signup"),
        ("POST", "/token"),
        ("GET", "/user"),
        ("GET", "/settings"),
        ("GET", "/admin/users"),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"apikey": "sb_publishable_wrong"}])
def test_a_project_key_is_required(server: Server, method: str, path: str, headers: dict[str, str]) -> None:
    answer = httpx.request(method, f"{server.auth_url}{path}", headers=headers)
    assert answer.status_code == 401
    assert set(answer.json()) == {"message", "hint"}


def test_deleted_user(server: Server, email: str) -> None:
    session = signed_up(server, email)
    server.admin().auth.admin.delete_user(session.user.id)
    answer = user(server, session.access_token)
    assert (answer.status_code, answer.json()["error_code"]) == (403, "user_not_found")
    assert refresh(server, session.refresh_token).json()["error_code"] == "refresh_token_not_found"


@pytest.mark.parametrize(("deadlocks", "status"), [(1, 204), (2, 204), (3, 500)])
def test_a_deadlock_is_resolved_by_running_the_request_again(
    server: Server, email: str, deadlocks: int, status: int
) -> None:
    session = signed_up(server, email)
    with psycopg.connect(server.postgres.dsn("supabase_auth_admin"), autocommit=True) as connection:
        # Postgres counts what a sequence gave out even if the transaction ends.
        connection.execute("create sequence auth.deadlocks")
        connection.execute(
            "create function auth.lock_up() returns trigger language plpgsql as $$ begin "
            f"if nextval('auth.deadlocks') <= {deadlocks} then "
            "raise exception 'locked up' using errcode = '40P01'; end if; return old; end $$"
        )
        connection.execute(
            "create trigger lock_up before delete on auth.sessions "
            "for each row execute function auth.lock_up()"
        )
        try:
            answer = httpx.post(
                f"{server.auth_url}/logout?scope=local",
                headers=server.headers | {"authorization": f"Bearer {session.access_token}"},
            )
        finally:
            connection.execute("drop trigger lock_up on auth.sessions")
            connection.execute("drop function auth.lock_up")
            connection.execute("drop sequence auth.deadlocks")
    assert answer.status_code == status
