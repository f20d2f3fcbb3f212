"""Signing in through a provider: a whole browser's way, with an issuer of our own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from supabase import Client
from supabase_auth.errors import AuthApiError

from embedded_supabase.auth.providers import open_providers
from embedded_supabase.auth.settings import Settings
from embedded_supabase.config import Config
from embedded_supabase.errors import EmbeddedError

from .conftest import PASSWORD, Serve, Server, fresh_email
from .issuer import CLIENT_ID, CLIENT_SECRET, Issuer, running_issuer

APP = "https://app.example.com/welcome"
PROVIDERS = ["google", "github", "keycloak"]


@pytest.fixture(scope="module")
def running() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(running: Issuer) -> Iterator[Issuer]:
    fresh = Issuer(url=running.url)
    for name in ("person", "spoil", "algorithm", "deny", "discovery_issuer", "asked"):
        setattr(running, name, getattr(fresh, name))
    return running


def sections(issuer: Issuer) -> dict[str, Any]:
    section = {"enabled": True, "client_id": CLIENT_ID, "secret": CLIENT_SECRET, "url": issuer.url}
    return {"external": dict.fromkeys(PROVIDERS, section)}


@pytest.fixture
def server(serve: Serve, issuer: Issuer) -> Server:
    return serve(**sections(issuer), additional_redirect_urls=["https://app.example.com/**"])


@pytest.fixture
def strict(serve: Serve, issuer: Issuer) -> Server:
    """Addresses must be confirmed."""
    return serve(
        **sections(issuer),
        email={"enable_confirmations": True, "max_frequency": "0s"},
        additional_redirect_urls=["https://app.example.com/**"],
    )


def person(email: str, *, subject: str | None = None, verified: bool = True) -> dict[str, Any]:
    return {
        "sub": subject or f"subject of {email}",
        "email": email,
        "email_verified": verified,
        "name": "Ada Lovelace",
        "picture": "https://example.com/ada.png",
    }


def browse(address: str) -> tuple[str, dict[str, str], httpx.Response]:
    """Follow redirects until they leave the machine; where they lead and what they carry."""
    with httpx.Client() as browser:
        answer = browser.get(address)
        while answer.has_redirect_location and "127.0.0.1" in answer.headers["location"].split("/")[2]:
            if answer.headers["location"].startswith("http://127.0.0.1:3000"):
                break
            answer = browser.get(answer.headers["location"])
    parts = urlsplit(answer.headers.get("location", ""))
    said = parse_qs(parts.query) | parse_qs(parts.fragment)
    return f"{parts.scheme}://{parts.netloc}{parts.path}", {k: v[0] for k, v in said.items()}, answer


def begin(client: Client, provider: Any, **options: Any) -> str:
    options = {"redirect_to": APP} | options
    return client.auth.sign_in_with_oauth({"provider": provider, "options": options}).url  # type: ignore[typeddict-item]


@pytest.mark.row("auth.oauth", by="py")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_pkce_from_end_to_end(server: Server, issuer: Issuer, email: str, provider: str) -> None:
    issuer.person = person(email, subject=f"{provider}-1-{email}")
    client = server.client(flow="pkce")
    target, said, _ = browse(begin(client, provider, scopes="extra", query_params={"prompt": "consent"}))
    assert target == APP
    session = client.auth.exchange_code_for_session({"auth_code": said["code"]}).session  # type: ignore[typeddict-item]
    assert session is not None
    assert session.provider_token
    assert session.provider_refresh_token == "long-lived"
    user = session.user
    assert user.email == email
    assert user.email_confirmed_at is not None
    assert user.app_metadata == {"provider": provider, "providers": [provider]}
    assert user.user_metadata["full_name"] == "Ada Lovelace"
    assert user.identities is not None
    assert [(item.provider, item.id) for item in user.identities] == [(provider, f"{provider}-1-{email}")]
    amr = jwt.decode(session.access_token, options={"verify_signature": False})["amr"]
    assert amr[0]["method"] == "oauth"
    asked = issuer.asked[0]
    assert asked["prompt"] == "consent"
    assert "extra" in asked["scope"].split()
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == f"{server.auth_url}/callback"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_implicit_and_a_second_time(server: Server, issuer: Issuer, email: str, provider: str) -> None:
    issuer.person = person(email, subject=f"{provider}-2-{email}")
    target, said, _ = browse(begin(server.client(), provider))
    assert target == APP
    client = server.client()
    first = client.auth.set_session(said["access_token"], said["refresh_token"]).user
    issuer.person["name"] = "Countess of Lovelace"
    _, said, _ = browse(begin(server.client(), provider))
    second = client.auth.set_session(said["access_token"], said["refresh_token"]).user
    assert first is not None
    assert second is not None
    assert second.id == first.id
    assert second.user_metadata["full_name"] == "Countess of Lovelace"


def test_a_verified_address_links_to_the_user_who_has_it(strict: Server, issuer: Issuer, email: str) -> None:
    admin = strict.admin().auth.admin
    user = admin.create_user({"email": email, "password": PASSWORD, "email_confirm": True}).user
    issuer.person = person(email)
    _, said, _ = browse(begin(strict.client(), "google"))
    linked = strict.client().auth.get_user(said["access_token"]).user  # type: ignore[union-attr]
    assert linked.id == user.id
    assert linked.app_metadata["providers"] == ["email", "google"]
    assert strict.client().auth.sign_in_with_password({"email": email, "password": PASSWORD}).session


def test_who_claimed_the_address_first_is_shut_out(strict: Server, issuer: Issuer, email: str) -> None:
    """Somebody signs up with another's address and waits; its owner comes through a provider."""
    strict.client().auth.sign_up({"email": email, "password": "the squatter's"})
    issuer.person = person(email)
    _, said, _ = browse(begin(strict.client(), "google"))
    owner = strict.client().auth.get_user(said["access_token"]).user  # type: ignore[union-attr]
    assert owner.app_metadata["providers"] == ["google"]
    with pytest.raises(AuthApiError) as caught:
        strict.client().auth.sign_in_with_password({"email": email, "password": "the squatter's"})
    assert caught.value.code == "invalid_credentials"


def test_an_unverified_address_opens_nobodys_account(server: Server, issuer: Issuer, email: str) -> None:
    server.client().auth.sign_up({"email": email, "password": PASSWORD})
    issuer.person = person(email, verified=False)
    _, said, _ = browse(begin(server.client(), "google"))
    assert said["error_code"] == "email_exists"
    assert "access_token" not in said


def test_an_unverified_address_must_be_confirmed(strict: Server, issuer: Issuer, email: str) -> None:
    issuer.person = person(email, verified=False)
    _, said, _ = browse(begin(strict.client(), "github"))
    assert said["error_code"] == "provider_email_needs_verification"
    _, said, _ = browse(begin(strict.client(), "github"))
    assert said["error_code"] == "provider_email_needs_verification"
    httpx.get(strict.mails(email)[0]["link"])
    _, said, _ = browse(begin(strict.client(), "github"))
    assert "access_token" in said


def test_the_user_says_no(server: Server, issuer: Issuer) -> None:
    issuer.deny = True
    for flow in ("implicit", "pkce"):
        target, said, answer = browse(begin(server.client(flow=flow), "google"))
        assert target == APP
        assert (said["error"], said["error_description"]) == ("access_denied", "The user said no")
        assert bool(urlsplit(answer.headers["location"]).query) is (flow == "pkce")


@pytest.mark.parametrize(
    "spoil",
    [
        {"aud": "somebody else"},
        {"iss": "https://accounts.google.com"},
        {"exp": 1},
        {"nonce": "of another request"},
        {"nonce": None},
    ],
)
def test_spoilt_id_tokens(server: Server, issuer: Issuer, email: str, spoil: dict[str, Any]) -> None:
    issuer.person, issuer.spoil = person(email), spoil
    _, said, _ = browse(begin(server.client(), "google"))
    assert said["error"] == "server_error"
    assert "access_token" not in said


def test_a_token_signed_with_the_shared_secret(server: Server, issuer: Issuer, email: str) -> None:
    issuer.person, issuer.algorithm = person(email), "HS256"
    _, said, _ = browse(begin(server.client(), "google"))
    assert said["error"] == "server_error"


def test_the_state_is_good_once(server: Server, issuer: Issuer, email: str) -> None:
    issuer.person = person(email)
    first = httpx.get(begin(server.client(), "google"), follow_redirects=False)
    back = httpx.get(first.headers["location"], follow_redirects=False).headers["location"]
    assert "access_token=" in httpx.get(back, follow_redirects=False).headers["location"]
    again = httpx.get(back, follow_redirects=False).headers["location"]
    assert again.startswith("http://127.0.0.1:3000#error=invalid_request&error_code=bad_oauth_state")


@pytest.mark.parametrize("query", ["", "state=x", "state=%00&code=1", "code=1", "state=" + "0" * 32])
def test_bad_callbacks(server: Server, query: str) -> None:
    answer = httpx.get(f"{server.auth_url}/callback?{query}", follow_redirects=False)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("http://127.0.0.1:3000#error=invalid_request")


def test_an_old_state(server: Server, issuer: Issuer, email: str) -> None:
    issuer.person = person(email)
    first = httpx.get(begin(server.client(), "google"), follow_redirects=False)
    back = httpx.get(first.headers["location"], follow_redirects=False).headers["location"]
    server.execute("update auth.oauth_client_states set created_at = now() - interval '6 minutes'")
    assert "bad_oauth_state" in httpx.get(back, follow_redirects=False).headers["location"]


def test_an_unknown_provider(server: Server) -> None:
    answer = httpx.get(f"{server.auth_url}/authorize?provider=myspace")
    assert (answer.status_code, answer.json()["error_code"]) == (400, "validation_failed")


def test_parameters_that_are_ours_cannot_be_overridden(server: Server, issuer: Issuer, email: str) -> None:
    issuer.person = person(email)
    evil = {"redirect_uri": "https://evil.com", "client_id": "evil", "state": "evil", "nonce": "evil"}
    browse(begin(server.client(), "google", query_params=evil))
    asked = issuer.asked[0]
    assert "evil" not in str(asked)


def test_signup_disabled_holds_for_providers(serve: Serve, issuer: Issuer, email: str) -> None:
    issuer.person = person(email)
    server = serve(**sections(issuer), enable_signup=False)
    _, said, _ = browse(begin(server.client(), "google"))
    assert said["error_code"] == "signup_disabled"


def test_settings_list_the_providers(server: Server) -> None:
    external = httpx.get(f"{server.auth_url}/settings", headers=server.headers).json()["external"]
    assert {name for name, on in external.items() if on} == {"email", *PROVIDERS}


@pytest.mark.parametrize(
    ("name", "url"), [("discord", ""), ("keycloak", ""), ("keycloak", "http://issuer.example.com")]
)
def test_a_provider_nobody_can_speak_to_is_refused_at_start(name: str, url: str) -> None:
    section = {name: {"enabled": True, "client_id": "x", "url": url}}
    settings = Settings.read(Config({"auth": {"external": section}}))
    with pytest.raises(EmbeddedError):
        open_providers(settings, callback="http://127.0.0.1/callback")


def test_another_issuers_document(serve: Serve, issuer: Issuer) -> None:
    issuer.discovery_issuer = "https://accounts.google.com"
    server = serve(**sections(issuer), jwt_expiry=3599)  # a server that has not asked yet
    answer = httpx.get(f"{server.auth_url}/authorize?provider=google")
    assert answer.status_code == 500
    assert "another issuer" in answer.json()["msg"]


def test_nobody_without_an_address(server: Server, issuer: Issuer) -> None:
    issuer.person = person(fresh_email()) | {"email": ""}
    _, said, _ = browse(begin(server.client(), "google"))
    assert said["error_code"] == "email_address_not_provided"
