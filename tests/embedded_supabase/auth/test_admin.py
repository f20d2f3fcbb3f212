"""/admin, /invite and generate_link through supabase-py with the secret key."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from supabase_auth.errors import AuthApiError

from .conftest import PASSWORD, Server, fresh_email

NOBODY = "00000000-0000-4000-8000-000000000000"


def test_create_get_update_delete(server: Server, email: str) -> None:
    admin = server.admin().auth.admin
    user = admin.create_user(
        {
            "email": email,
            "password": PASSWORD,
            "email_confirm": True,
            "user_metadata": {"name": "Ada"},
            "app_metadata": {"plan": "pro"},
        }
    ).user
    assert user.email_confirmed_at is not None
    assert user.user_metadata == {"name": "Ada", "email_verified": True}
    assert user.app_metadata == {"provider": "email", "providers": ["email"], "plan": "pro"}
    assert server.client().auth.sign_in_with_password({"email": email, "password": PASSWORD}).session
    new = fresh_email()
    updated = admin.update_user_by_id(
        user.id, {"email": new, "app_metadata": {"plan": None, "tier": 2}, "user_metadata": {"age": 36}}
    ).user
    assert updated.email == new
    assert updated.app_metadata == {"provider": "email", "providers": ["email"], "tier": 2}
    assert updated.user_metadata == {"name": "Ada", "email_verified": True, "age": 36}
    assert admin.get_user_by_id(user.id).user.email == new
    admin.delete_user(user.id)
    with pytest.raises(AuthApiError) as caught:
        admin.get_user_by_id(user.id)
    assert (caught.value.status, caught.value.code) == (404, "user_not_found")


@pytest.mark.parametrize(
    ("attributes", "status", "code"),
    [
        ({}, 400, "validation_failed"),
        ({"email": "nowhere"}, 400, "validation_failed"),
        ({"email": "a@example.com", "password": "short"}, 422, "weak_password"),
        ({"email": "a@example.com", "password_hash": "$2b$10$x"}, 422, "feature_disabled"),
        ({"email": "a@example.com", "phone": "+4915112345678"}, 422, "feature_disabled"),
        ({"email": "a@example.com", "role": "editor"}, 422, "feature_disabled"),
        ({"email": "a@example.com", "id": "not-a-uuid"}, 400, "validation_failed"),
        ({"email": "a@example.com", "ban_duration": "a while"}, 400, "validation_failed"),
        ({"email": 7}, 400, "bad_json"),
    ],
)
def test_create_refuses(server: Server, attributes: dict[str, Any], status: int, code: str) -> None:
    headers = {"apikey": server.keys.secret_key, "authorization": f"Bearer {server.keys.secret_key}"}
    answer = httpx.post(f"{server.auth_url}/admin/users", json=attributes, headers=headers)
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)


def test_times_are_written_as_the_real_service_writes_them(server: Server, email: str) -> None:
    headers = {"apikey": server.keys.secret_key, "authorization": f"Bearer {server.keys.secret_key}"}
    user = httpx.post(f"{server.auth_url}/admin/users", json={"email": email}, headers=headers).json()
    assert user["created_at"].endswith("Z")
    assert "banned_until" not in user
    assert user["identities"][0]["created_at"].endswith("Z")


def test_create_with_a_taken_address_or_id(server: Server, email: str) -> None:
    admin = server.admin().auth.admin
    user = admin.create_user({"email": email}).user
    for attributes, code in (
        ({"email": email}, "email_exists"),
        ({"email": fresh_email(), "id": user.id}, "user_already_exists"),
    ):
        with pytest.raises(AuthApiError) as caught:
            admin.create_user(attributes)  # type: ignore[arg-type]
        assert (caught.value.status, caught.value.code) == (422, code)


def test_list_pages(server: Server) -> None:
    admin = server.admin().auth.admin
    made = {admin.create_user({"email": fresh_email()}).user.id for _ in range(3)}
    newest = admin.list_users(page=1, per_page=2) + admin.list_users(page=2, per_page=2)
    assert made <= {user.id for user in newest}
    headers = {"apikey": server.keys.secret_key, "authorization": f"Bearer {server.keys.service_role_jwt}"}
    answer = httpx.get(f"{server.auth_url}/admin/users?page=1&per_page=2", headers=headers)
    assert int(answer.headers["x-total-count"]) >= 3
    assert 'page=2&per_page=2>; rel="next"' in answer.headers["link"]
    bad = httpx.get(f"{server.auth_url}/admin/users?page=first", headers=headers)
    assert (bad.status_code, bad.json()["error_code"]) == (400, "validation_failed")


def test_a_new_password_ends_every_session(server: Server, email: str) -> None:
    client = server.client()
    user = client.auth.sign_up({"email": email, "password": PASSWORD}).user
    assert user is not None
    server.admin().auth.admin.update_user_by_id(user.id, {"password": "given by the admin"})
    with pytest.raises(AuthApiError):
        client.auth.refresh_session()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/users"),
        ("POST", "/admin/users"),
        ("GET", f"/admin/users/{NOBODY}"),
        ("PUT", f"/admin/users/{NOBODY}"),
        ("DELETE", f"/admin/users/{NOBODY}"),
        ("POST", "/admin/generate_link"),
        ("POST", "/invite"),
    ],
)
def test_only_the_secret_key_administers(server: Server, email: str, method: str, path: str) -> None:
    session = server.client().auth.sign_up({"email": email, "password": PASSWORD}).session
    assert session is not None
    for bearer, status, code in (
        (None, 401, "no_authorization"),
        (server.keys.publishable_key, 403, "not_admin"),
        (server.keys.anon_jwt, 403, "not_admin"),
        (session.access_token, 403, "not_admin"),
    ):
        headers = server.headers | ({"authorization": f"Bearer {bearer}"} if bearer else {})
        answer = httpx.request(method, f"{server.auth_url}{path}", headers=headers)
        assert (answer.status_code, answer.json()["error_code"]) == (status, code)


def test_a_user_cannot_become_admin(server: Server, email: str) -> None:
    session = server.client().auth.sign_up({"email": email, "password": PASSWORD}).session
    assert session is not None
    headers = server.headers | {"authorization": f"Bearer {session.access_token}"}
    body = {"app_metadata": {"role": "service_role"}, "role": "service_role"}
    answer = httpx.put(f"{server.auth_url}/user", json=body, headers=headers)
    assert (answer.status_code, answer.json()["error_code"]) == (403, "not_admin")
    signup = {"email": fresh_email(), "password": PASSWORD, "role": "service_role", "app_metadata": {"x": 1}}
    made = httpx.post(f"{server.auth_url}/signup", json=signup, headers=server.headers).json()["user"]
    assert made["role"] == "authenticated"
    assert made["app_metadata"] == {"provider": "email", "providers": ["email"]}


@pytest.mark.row("auth.invite", by="py")
def test_invite(server: Server, email: str) -> None:
    admin = server.admin().auth.admin
    user = admin.invite_user_by_email(email, {"data": {"name": "Ada"}}).user
    assert user.invited_at is not None
    mail = server.mails(email)[0]
    assert mail["kind"] == "invite"
    answer = httpx.get(mail["link"], follow_redirects=False)
    parameters = parse_qs(urlsplit(answer.headers["location"]).fragment)
    assert parameters["type"] == ["invite"]
    client = server.client()
    client.auth.set_session(parameters["access_token"][0], parameters["refresh_token"][0])
    client.auth.update_user({"password": PASSWORD})
    assert server.client().auth.sign_in_with_password({"email": email, "password": PASSWORD}).session
    with pytest.raises(AuthApiError) as caught:
        admin.invite_user_by_email(email)
    assert (caught.value.status, caught.value.code) == (422, "email_exists")


@pytest.mark.row("auth.generate-link", by="py")
@pytest.mark.parametrize("kind", ["signup", "invite", "magiclink", "recovery"])
def test_generate_link(server: Server, email: str, kind: str) -> None:
    admin = server.admin().auth.admin
    if kind in ("magiclink", "recovery"):
        admin.create_user({"email": email, "email_confirm": True})
    wanted: dict[str, Any] = {"type": kind, "email": email}
    if kind == "signup":
        wanted["password"] = PASSWORD
    properties = admin.generate_link(wanted).properties  # type: ignore[arg-type]
    assert properties.verification_type == kind
    assert server.mails(email) == []
    verified = server.client().auth.verify_otp({"email": email, "token": properties.email_otp, "type": kind})  # type: ignore[arg-type, typeddict-item, misc]
    assert verified.user is not None
    assert verified.user.email == email


def test_generated_magic_link_signs_a_stranger_up(server: Server, email: str) -> None:
    link = server.admin().auth.admin.generate_link({"type": "magiclink", "email": email}).properties
    assert link.verification_type == "signup"
    answer = httpx.get(link.action_link, follow_redirects=False)
    assert "access_token=" in answer.headers["location"]


def test_generated_email_change(server: Server, email: str) -> None:
    admin = server.admin().auth.admin
    user = admin.create_user({"email": email, "email_confirm": True}).user
    new = fresh_email()
    wanted: list[Any] = [
        {"type": kind, "email": email, "new_email": new}
        for kind in ("email_change_current", "email_change_new")
    ]
    links = [admin.generate_link(one).properties.action_link for one in wanted]
    for expected, link in zip((email, new), links, strict=True):
        httpx.get(link, follow_redirects=False)
        assert admin.get_user_by_id(user.id).user.email == expected
