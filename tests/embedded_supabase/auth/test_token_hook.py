"""`[auth.hook.custom_access_token]`: a function in SQL has the last word on a token's claims."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest

from embedded_supabase.auth.settings import Settings
from embedded_supabase.config import Config
from embedded_supabase.errors import EmbeddedError

from .conftest import PASSWORD, Serve, Server, fresh_email

HOOK = """
create or replace function public.{name}(event jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare claims jsonb := event -> 'claims';
begin {body} end $$;
grant usage on schema public to supabase_auth_admin;
revoke execute on function public.{name} from public;
grant execute on function public.{name} to supabase_auth_admin;
"""
BODIES = {
    "adds": """
        return jsonb_build_object('claims', claims || jsonb_build_object(
            'user_role', 'curator:' || (event ->> 'authentication_method')));""",
    "refuses": """
        return '{"error": {"http_code": 403, "message": "Not from here"}}';""",
    "forgets": "return jsonb_build_object('claims', claims - 'aal');",
    "fails": "raise exception 'no';",
    "sleeps": "perform pg_sleep(5); return event;",
    "nulls": "return null;",
}


@pytest.fixture(scope="module")
def hooked(serve: Serve) -> Iterator[Any]:
    servers = []

    def start(name: str) -> Server:
        uri = f"pg-functions://postgres/public/hook_{name}"
        server = serve(hook={"custom_access_token": {"enabled": True, "uri": uri}})
        server.execute(
            HOOK.replace("{name}", f"hook_{name}").replace("{body}", BODIES[name]), role="postgres"
        )
        servers.append((server, name))
        return server

    yield start
    for server, name in servers:
        server.execute(f"drop function public.hook_{name}", role="postgres")


def test_claims_are_the_hooks(hooked: Any, email: str) -> None:
    client = hooked("adds").client()
    session = client.auth.sign_up({"email": email, "password": PASSWORD}).session
    claims = jwt.decode(session.access_token, options={"verify_signature": False})
    assert claims["user_role"] == "curator:password"
    session = client.auth.refresh_session().session
    claims = jwt.decode(session.access_token, options={"verify_signature": False})
    assert claims["user_role"] == "curator:token_refresh"


@pytest.mark.parametrize(
    ("name", "status", "says"),
    [
        ("refuses", 403, "Not from here"),
        ("forgets", 500, "aal is required"),
        ("fails", 500, "Error running hook URI"),
        ("sleeps", 422, "maximum time of 2 seconds"),
        ("nulls", 500, "unmarshaling"),
    ],
)
def test_a_hook_may_refuse_or_fail(hooked: Any, name: str, status: int, says: str) -> None:
    server = hooked(name)
    body = {"email": fresh_email(), "password": PASSWORD}
    answer = httpx.post(f"{server.auth_url}/signup", json=body, headers=server.headers)
    assert answer.status_code == status
    assert says in answer.json()["msg"]


@pytest.mark.row("auth.no-config", by="config")
@pytest.mark.parametrize(
    "section",
    [
        {"hook": {"custom_access_token": {"enabled": True, "uri": "https://example.com/hook"}}},
        {"hook": {"send_email": {"enabled": True, "uri": "pg-functions://postgres/public/f"}}},
        {"password_requirements": "very strong"},
        {"external": {"google": {"enabled": True}}},
        {"captcha": {"enabled": True}},
        {"sms": {"enable_signup": True}},
        {"enable_manual_linking": True},
        {"enable_refresh_token_rotation": False},
        {"email": {"secure_password_change": True}},
        {"sessions": {"timebox": "24h"}},
        {"sessions": {"inactivity_timeout": "8h"}},
        {"email": {"template": {"invite": {"content_path": "./invite.html"}}}},
        {"email": {"notification": {"password_changed": {"enabled": True}}}},
        {"external": {"google": {"enabled": True, "client_id": "x", "skip_nonce_check": True}}},
        {"third_party": {"firebase": {"enabled": True, "project_id": "x"}}},
        {"mfa": {"totp": {"enroll_enabled": True}}},
        {"web3": {"solana": {"enabled": True}}},
        {"oauth_server": {"enabled": True}},
        {"hook": {"of_tomorrow": {"enabled": True}}},
        {"jwt_issuer": "https://example.com"},
        {"signing_keys_path": "./signing_keys.json"},
        {"enabled": False},
        {"minimum_password_lenght": 20},
        {"minimum_password_length": "many"},
        {"email": {"max_frequency": "often"}},
        {"rate_limit": {"token_refersh": 1}},
        {"rate_limit": {"sign_in_sign_ups": -1}},
        {"hook": {"send_emial": {"enabled": False}}},
        {"hook": {"send_email": {"enabled": "true"}}},
        {"captcha": {"enabled": "true"}},
        {"sms": {"twilio": {"enabled": 1}}},
        {"email": {"otp_length": 0}},
        {"email": {"otp_expiry": -1}},
        {"jwt_expiry": -5},
    ],
)
def test_a_section_that_cannot_be_honoured_is_refused(section: dict[str, Any]) -> None:
    with pytest.raises(EmbeddedError) as caught:
        Settings.read(Config({"auth": section}))
    assert caught.value.code == "auth_config"


def test_what_the_official_cli_writes_is_taken() -> None:
    """The `[auth]` of a fresh `supabase init`, where everything this service lacks is off."""
    said = {
        "enabled": True,
        "site_url": "http://127.0.0.1:3000",
        "jwt_expiry": 3600,
        "enable_refresh_token_rotation": True,
        "enable_manual_linking": False,
        "password_requirements": "",
        "rate_limit": {"email_sent": 2, "sms_sent": 30, "web3": 30},
        "email": {"enable_signup": True, "secure_password_change": False, "max_frequency": "1s"},
        "hook": {"send_email": {"enabled": False, "uri": "pg-functions://postgres/public/f"}},
        "captcha": {"enabled": "false", "provider": "hcaptcha"},
        "sms": {"enable_signup": False, "enable_confirmations": False, "twilio": {"enabled": False}},
        "mfa": {"max_enrolled_factors": 10, "totp": {"enroll_enabled": False, "verify_enabled": False}},
        "external": {"apple": {"enabled": False, "client_id": "", "skip_nonce_check": False}},
        "third_party": {"firebase": {"enabled": False}},
        "web3": {"solana": {"enabled": False}},
        "oauth_server": {"enabled": False, "authorization_url_path": "/oauth/consent"},
        "sessions": {"timebox": "0s"},
    }
    assert Settings.read(Config({"auth": said})).jwt_expiry_s == 3600
