"""The Auth rows of `docs/embedded-supabase.md`, through supabase-py and supabase-js."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from supabase import AsyncClient
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError

from tests import node

from .conftest import PASSWORD, Patient, Target, User, connect, fresh_email

py, js, http = (pytest.mark.row.with_args(by=by) for by in ("py", "js", "http"))
here = pytest.mark.embedded_only


async def client(target: Target) -> AsyncClient:
    return await connect(target.url, target.public_key)


async def refusal(asked: Any) -> tuple[int, str | None]:
    with pytest.raises(AuthApiError) as refused:
        await asked
    return refused.value.status, refused.value.code


async def email_of(user: User) -> str:
    answer = await user.client.auth.get_user()
    assert answer is not None
    assert answer.user.email is not None
    return answer.user.email


@py("auth.sign-up")
async def test_signing_up(target: Target, alice: User) -> None:
    email = await email_of(alice)
    answer = await alice.client.auth.get_user()
    assert answer is not None
    assert answer.user.app_metadata["providers"] == ["email"]
    assert [each.provider for each in answer.user.identities or []] == ["email"]
    again = (await client(target)).auth.sign_up({"email": email, "password": PASSWORD})
    assert await refusal(again) == (422, "user_already_exists")
    with pytest.raises(AuthWeakPasswordError):
        await (await client(target)).auth.sign_up({"email": fresh_email(), "password": "short"})


@py("auth.sign-in")
async def test_signing_in(target: Target, alice: User) -> None:
    email = await email_of(alice)
    elsewhere = await client(target)
    signed_in = await elsewhere.auth.sign_in_with_password({"email": email, "password": PASSWORD})
    assert signed_in.user is not None
    assert signed_in.user.id == alice.id
    for address, password in ((email, "wrong one"), (fresh_email(), PASSWORD)):
        wrong = elsewhere.auth.sign_in_with_password({"email": address, "password": password})
        assert await refusal(wrong) == (400, "invalid_credentials")


@py("auth.refresh")
async def test_refreshing(alice: User) -> None:
    before = await alice.client.auth.get_session()
    after = (await alice.client.auth.refresh_session()).session
    assert before is not None
    assert after is not None
    assert after.refresh_token != before.refresh_token
    # Tabs race: within the reuse interval an old token is good once more.
    assert (await alice.client.auth.refresh_session(before.refresh_token)).session is not None
    unknown = alice.client.auth.refresh_session("no such token")
    assert await refusal(unknown) == (400, "refresh_token_not_found")


@py("auth.user")
async def test_updating_oneself(target: Target, alice: User) -> None:
    email = await email_of(alice)
    elsewhere = await client(target)
    await elsewhere.auth.sign_in_with_password({"email": email, "password": PASSWORD})
    updated = await alice.client.auth.update_user({"data": {"name": "Ada"}})
    assert updated.user.user_metadata["name"] == "Ada"
    assert await refusal(alice.client.auth.update_user({"password": PASSWORD})) == (422, "same_password")
    await alice.client.auth.update_user({"password": "a new battery staple"})
    assert await refusal(elsewhere.auth.refresh_session()) == (400, "refresh_token_not_found")


@py("auth.sign-out")
@pytest.mark.parametrize(("scope", "mine", "other"), [("local", 0, 1), ("others", 1, 0), ("global", 0, 0)])
async def test_signing_out(target: Target, alice: User, scope: Any, mine: int, other: int) -> None:
    elsewhere = await client(target)
    await elsewhere.auth.sign_in_with_password({"email": await email_of(alice), "password": PASSWORD})
    sessions = [await each.auth.get_session() for each in (alice.client, elsewhere)]
    await alice.client.auth.sign_out({"scope": scope})
    for session, lives in zip(sessions, (mine, other), strict=True):
        assert session is not None
        headers = {"apikey": target.public_key, "authorization": f"Bearer {session.access_token}"}
        answer = httpx.get(f"{target.url}/auth/v1/user", headers=headers)
        assert answer.status_code == (200 if lives else 403)


@py("auth.tokens", "auth.hook")
async def test_claims_are_verified_by_the_published_keys(alice: User) -> None:
    answer = await alice.client.auth.get_claims()
    assert answer is not None
    assert answer["headers"]["alg"] == "ES256"
    assert (answer["claims"]["sub"], answer["claims"]["role"]) == (alice.id, "authenticated")
    assert "user_role" in answer["claims"], "added by custom_access_token_hook"


@py("auth.links", "auth.codes", "auth.generate-link")
async def test_links_and_codes(target: Target, alice: User, service: AsyncClient) -> None:
    email = await email_of(alice)

    async def link(kind: Any) -> Any:
        asked: Any = {"type": kind, "email": email}
        return (await service.auth.admin.generate_link(asked)).properties

    followed = await link("magiclink")
    with httpx.Client(transport=Patient()) as browser:
        onward, again = (urlsplit(browser.get(followed.action_link).headers["location"]) for _ in range(2))
    assert "access_token" in parse_qs(onward.fragment)
    assert parse_qs(again.fragment)["error_code"] == ["otp_expired"]
    typed: Any = {"email": email, "token": (await link("recovery")).email_otp, "type": "recovery"}
    assert (await (await client(target)).auth.verify_otp(typed)).session is not None
    assert await refusal((await client(target)).auth.verify_otp(typed)) == (403, "otp_expired")
    hashed: Any = {"token_hash": (await link("magiclink")).hashed_token, "type": "magiclink"}
    assert (await (await client(target)).auth.verify_otp(hashed)).session is not None


@py("auth.email-change")
async def test_changing_the_address(target: Target, alice: User, service: AsyncClient) -> None:
    email, new = await email_of(alice), fresh_email()
    hashes = []
    for kind in ("email_change_current", "email_change_new"):
        asked: Any = {"type": kind, "email": email, "new_email": new}
        hashes.append((await service.auth.admin.generate_link(asked)).properties.hashed_token)
    for token_hash in hashes:
        assert await email_of(alice) == email, "both addresses have to agree"
        said: Any = {"token_hash": token_hash, "type": "email_change"}
        await (await client(target)).auth.verify_otp(said)
    assert await email_of(alice) == new


@py("auth.admin")
async def test_administering(target: Target, alice: User, service: AsyncClient) -> None:
    admin, email = service.auth.admin, fresh_email()
    made = (await admin.create_user({"email": email, "email_confirm": True, "app_metadata": {"a": 1}})).user
    assert made.app_metadata["a"] == 1
    assert await refusal(admin.create_user({"email": email})) == (422, "email_exists")
    assert made.id in {each.id for each in await admin.list_users(page=1, per_page=1000)}
    updated = (await admin.update_user_by_id(made.id, {"user_metadata": {"name": "Grace"}})).user
    assert updated.user_metadata["name"] == "Grace"
    assert (await admin.get_user_by_id(made.id)).user.email == email
    await admin.update_user_by_id(alice.id, {"ban_duration": "1h"})
    assert await refusal(alice.client.auth.refresh_session()) == (400, "user_banned")
    await admin.delete_user(made.id)
    assert await refusal(admin.get_user_by_id(made.id)) == (404, "user_not_found")
    assert (await refusal((await client(target)).auth.admin.list_users()))[0] in (401, 403)


@http("auth.settings")
def test_settings_health_and_keys(target: Target) -> None:
    with httpx.Client(base_url=f"{target.url}/auth/v1/", headers={"apikey": target.public_key}) as http:
        assert http.get("settings").json()["external"]["email"] is True
        assert http.get("health").json()["name"] == "GoTrue"
        assert {key["alg"] for key in http.get(".well-known/jwks.json").json()["keys"]} == {"ES256"}


@http("auth.key")
@pytest.mark.parametrize(("path", "status"), [("auth/v1/settings", 401), ("rest/v1/audio_files", 401)])
def test_a_key_is_required(target: Target, path: str, status: int) -> None:
    answer = httpx.get(f"{target.url}/{path}")
    assert (answer.status_code, answer.json()["message"]) == (status, "No API key found in request")


@py("auth.no-phone", "auth.no-anonymous", "auth.no-linking")
async def test_what_is_off(anonymous: AsyncClient, alice: User) -> None:
    by_phone = anonymous.auth.sign_in_with_otp({"phone": "+4915112345678"})
    assert (await refusal(by_phone))[1] == "phone_provider_disabled"
    assert await refusal(anonymous.auth.sign_in_anonymously()) == (422, "anonymous_provider_disabled")
    linking = alice.client.auth.link_identity({"provider": "github"})
    assert await refusal(linking) == (404, "manual_linking_disabled")


@py("auth.no-mfa", "auth.no-sso", "auth.no-id-token", "auth.no-reauthentication", "auth.no-admin-fields")
@here("a hosted project may have these switched on")
async def test_what_is_left_out(anonymous: AsyncClient, alice: User, service: AsyncClient) -> None:
    disabled = (422, "feature_disabled")
    assert await refusal(alice.client.auth.mfa.enroll({"factor_type": "totp"})) == disabled
    assert await refusal(anonymous.auth.sign_in_with_sso({"domain": "example.com"})) == disabled
    token: Any = {"provider": "google", "token": "x.y.z"}
    assert await refusal(anonymous.auth.sign_in_with_id_token(token)) == disabled
    assert await refusal(alice.client.auth.reauthenticate()) == disabled
    for odd in ({"password_hash": "$2b$10$x"}, {"phone": "+4915112345678"}, {"role": "editor"}):
        asked: Any = {"email": fresh_email(), **odd}
        assert await refusal(service.auth.admin.create_user(asked)) == disabled
    softly = service.auth.admin.delete_user(alice.id, should_soft_delete=True)
    assert await refusal(softly) == disabled


@http("auth.no-others")
@here("a hosted project may have these switched on")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "token?grant_type=web3"),
        ("POST", "passkeys/registration/options"),
        ("GET", "oauth/authorize"),
        ("GET", "admin/oauth/clients"),
        ("GET", "scim/v2/Users"),
        ("GET", "admin/audit"),
    ],
)
def test_what_no_client_has_a_common_call_for(target: Target, method: str, path: str) -> None:
    headers = {"apikey": target.secret_key, "authorization": f"Bearer {target.secret_key}"}
    answer = httpx.request(method, f"{target.url}/auth/v1/{path}", headers=headers)
    assert (answer.status_code, answer.json()["error_code"]) == (422, "feature_disabled")


# -- supabase-js, one run of a script for all the questions below --------------------------------------


@pytest.fixture(scope="module")
def seen(target: Target) -> dict[str, Any]:
    given = {
        "url": target.url,
        "key": target.public_key,
        "secret": target.secret_key,
        "email": fresh_email(),
        "email2": fresh_email(),
        "password": PASSWORD,
        "outbox": not os.environ.get("SUPABASE_URL"),
    }
    return {"given": given} | node.run("auth.mjs", given)


def refused(status: int, code: str, name: str = "AuthApiError") -> dict[str, Any]:
    return {"name": name, "status": status, "code": code}


OFF = here("a hosted project may have it switched on")
MAIL = here("the mail is read from the outbox")


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        pytest.param("identities", ["email"], marks=js("auth.sign-up")),
        pytest.param("again", refused(422, "user_already_exists"), marks=js("auth.sign-up")),
        pytest.param(
            "weak", refused(422, "weak_password", "AuthWeakPasswordError"), marks=js("auth.sign-up")
        ),
        pytest.param("wrong", refused(400, "invalid_credentials"), marks=js("auth.sign-in")),
        pytest.param("rotated", True, marks=js("auth.refresh")),
        pytest.param("updated", "Countess", marks=js("auth.user")),
        pytest.param("signed_out", "AuthSessionMissingError", marks=js("auth.sign-out")),
        pytest.param("link_tokens", True, marks=js("auth.links")),
        pytest.param("link_again", "otp_expired", marks=js("auth.links")),
        pytest.param("otp_again", refused(403, "otp_expired"), marks=js("auth.codes")),
        pytest.param("email_change_current", "one of two", marks=js("auth.email-change")),
        pytest.param("phone", "phone_provider_disabled", marks=js("auth.no-phone")),
        pytest.param("anonymous", refused(422, "anonymous_provider_disabled"), marks=js("auth.no-anonymous")),
        pytest.param("linking", refused(404, "manual_linking_disabled"), marks=js("auth.no-linking")),
        pytest.param("enroll", refused(422, "feature_disabled"), marks=[js("auth.no-mfa"), OFF]),
        pytest.param("sso", refused(422, "feature_disabled"), marks=[js("auth.no-sso"), OFF]),
        pytest.param("id_token", refused(422, "feature_disabled"), marks=[js("auth.no-id-token"), OFF]),
        pytest.param(
            "reauthenticate", refused(422, "feature_disabled"), marks=[js("auth.no-reauthentication"), OFF]
        ),
        pytest.param(
            "admin_fields", refused(422, "feature_disabled"), marks=[js("auth.no-admin-fields"), OFF]
        ),
        pytest.param("used", refused(403, "otp_expired"), marks=[js("auth.mail"), MAIL]),
        pytest.param("invited", "invite", marks=[js("auth.invite"), MAIL]),
        pytest.param(
            "made", {"provider": "email", "providers": ["email"], "plan": "pro"}, marks=js("auth.admin")
        ),
        pytest.param("page", {"users": 1, "total": True, "next": 2}, marks=js("auth.admin")),
        pytest.param("deleted", refused(404, "user_not_found"), marks=js("auth.admin")),
        pytest.param("not_admin", True, marks=js("auth.admin")),
        pytest.param("link", "magiclink", marks=js("auth.generate-link")),
    ],
)
def test_js(seen: dict[str, Any], what: str, expected: Any) -> None:
    found = seen[what]
    if isinstance(expected, str) and isinstance(found, dict):
        assert expected in (found["name"], found.get("code"))
    else:
        assert found == expected


@js("auth.sign-in", "auth.user", "auth.codes", "auth.email-change")
def test_js_knows_its_user(seen: dict[str, Any]) -> None:
    email = seen["given"]["email"]
    app = {"provider": "email", "providers": ["email"]}
    assert seen["user"] == {"email": email, "metadata": "Ada", "app": app}
    assert [seen[name] for name in ("get_user", "otp", "token_hash")] == [email] * 3
    assert seen["email_change_new"] == f"new-{email}"
    assert {"SIGNED_IN", "TOKEN_REFRESHED", "USER_UPDATED"} <= set(seen["events"])


@js("auth.tokens", "auth.hook")
def test_js_verifies_claims(seen: dict[str, Any]) -> None:
    email = seen["given"]["email"]
    assert seen["claims"] == {"alg": "ES256", "email": email, "role": "authenticated", "hooked": True}


@js("auth.mail", "auth.pkce")
@MAIL
def test_js_reads_its_mail(seen: dict[str, Any]) -> None:
    assert [seen[name] for name in ("pkce", "new_password")] == [seen["given"]["email"]] * 2
