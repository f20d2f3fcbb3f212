"""What needs an `[auth]` section of its own, through supabase-js."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests import node

from .conftest import PASSWORD, Serve, fresh_email
from .issuer import CLIENT_ID, CLIENT_SECRET, running_issuer

APP = "https://app.example.com/welcome"
js = pytest.mark.row.with_args(by="js")


@pytest.fixture(scope="module")
def seen(serve: Serve) -> Iterator[dict[str, Any]]:
    with running_issuer() as issuer:
        section = {"enabled": True, "client_id": CLIENT_ID, "secret": CLIENT_SECRET, "url": issuer.url}
        issuer.person = {
            "sub": "js", "email": "js-" + fresh_email(), "email_verified": True, "name": "Ada Lovelace",
        }  # fmt: skip
        server = serve(
            enable_anonymous_sign_ins=True,
            email={"enable_confirmations": True, "max_frequency": "0s"},
            external={"keycloak": section},
            additional_redirect_urls=["https://app.example.com/**"],
        )
        given = {
            "url": server.url,
            "key": server.keys.publishable_key,
            "email": "js-" + fresh_email(),
            "password": PASSWORD,
            "app": APP,
        }
        yield {"given": given, "person": issuer.person} | node.run("auth_configured.mjs", given)


@js("auth.anonymous")
def test_anonymous_users(seen: dict[str, Any]) -> None:
    assert seen["anonymous"] is True


@js("auth.confirm")
def test_confirmation_by_mail(seen: dict[str, Any]) -> None:
    assert seen["session_before"] is None
    assert seen["unconfirmed"] == "email_not_confirmed"
    assert seen["first_link"] == "otp_expired", "sending again voids what was sent before"
    assert seen["confirmed"] == seen["given"]["email"]


@js("auth.oauth")
def test_a_provider(seen: dict[str, Any]) -> None:
    assert seen["oauth"] == {"email": seen["person"]["email"], "provider": "keycloak", "token": True}
    assert seen["spent"], "an auth code is good once"
