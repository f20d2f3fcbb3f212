"""The same service through supabase-js."""

from __future__ import annotations

from typing import Any

import pytest

from tests import node

from .conftest import PASSWORD, Server, fresh_email


@pytest.fixture(scope="module")
def seen(server: Server) -> dict[str, Any]:
    given = {
        "url": server.url,
        "key": server.keys.publishable_key,
        "secret": server.keys.secret_key,
        "email": "js-" + fresh_email(),
        "email2": "js-" + fresh_email(),
        "password": PASSWORD,
    }
    return {"given": given} | node.run("auth.mjs", given)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("identities", ["email"]),
        ("again", {"name": "AuthApiError", "status": 422, "code": "user_already_exists"}),
        ("weak", {"name": "AuthWeakPasswordError", "status": 422, "code": "weak_password"}),
        ("wrong", {"name": "AuthApiError", "status": 400, "code": "invalid_credentials"}),
        ("rotated", True),
        ("updated", "Countess"),
        ("enroll", {"name": "AuthApiError", "status": 422, "code": "feature_disabled"}),
        ("signed_out", {"name": "AuthSessionMissingError", "status": 400}),
        ("used", {"name": "AuthApiError", "status": 403, "code": "otp_expired"}),
        ("made", {"provider": "email", "providers": ["email"], "plan": "pro"}),
        ("page", {"users": 1, "total": True, "next": 2}),
        ("link", "magiclink"),
        ("deleted", {"name": "AuthApiError", "status": 404, "code": "user_not_found"}),
        ("not_admin", {"name": "AuthApiError", "status": 403, "code": "not_admin"}),
        ("oauth", "/auth/v1/authorize"),
    ],
)
def test_supabase_js(seen: dict[str, Any], what: str, expected: Any) -> None:
    assert seen[what] == expected


def test_supabase_js_knows_its_user(seen: dict[str, Any]) -> None:
    email = seen["given"]["email"]
    app = {"provider": "email", "providers": ["email"]}
    assert seen["user"] == {"email": email, "metadata": "Ada", "app": app}
    assert seen["claims"] == {"alg": "ES256", "email": email, "role": "authenticated"}
    assert [seen[name] for name in ("get_user", "pkce", "new_password")] == [email] * 3
    assert seen["assurance"]["currentLevel"] == "aal1"
    assert {"SIGNED_IN", "TOKEN_REFRESHED", "USER_UPDATED"} <= set(seen["events"])
