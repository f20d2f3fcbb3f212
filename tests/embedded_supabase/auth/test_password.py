"""Sign-up and sign-in with a password, through supabase-py."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import bcrypt
import httpx
import jwt
import psycopg
import pytest
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError

from embedded_supabase.auth import users
from tests.passwords import WORK_FACTOR

from .conftest import PASSWORD, Serve, Server, fresh_email


def test_signup_answers_a_session(server: Server, email: str) -> None:
    client = server.client()
    answer = client.auth.sign_up(
        {"email": email.upper(), "password": PASSWORD, "options": {"data": {"name": "Ada", "gone": None}}}
    )
    assert answer.session is not None
    assert answer.user is not None
    assert answer.user.email == email
    assert answer.user.user_metadata["name"] == "Ada"
    assert "gone" not in answer.user.user_metadata
    assert answer.user.app_metadata == {"provider": "email", "providers": ["email"]}
    assert answer.user.identities is not None
    assert [item.provider for item in answer.user.identities] == ["email"]
    assert answer.user.email_confirmed_at is not None
    assert answer.session.expires_at == pytest.approx(time.time() + 3600, abs=10)


def test_access_token_claims_and_jwks(server: Server, email: str) -> None:
    session = server.client().auth.sign_up({"email": email, "password": PASSWORD}).session
    assert session is not None
    published = httpx.get(f"{server.auth_url}/.well-known/jwks.json").json()
    key = jwt.PyJWKSet.from_dict(published).keys[0]
    assert jwt.get_unverified_header(session.access_token)["kid"] == key.key_id
    claims = jwt.decode(
        session.access_token, key.key, algorithms=["ES256"], audience="authenticated", issuer=server.auth_url
    )
    assert claims["sub"] == session.user.id
    assert claims["role"] == "authenticated"
    assert claims["email"] == email
    assert claims["aal"] == "aal1"
    assert [item["method"] for item in claims["amr"]] == ["password"]
    assert claims["is_anonymous"] is False
    assert claims["exp"] - claims["iat"] == 3600
    stored = server.row("select * from auth.sessions where id = %s", claims["session_id"])
    assert str(stored["user_id"]) == session.user.id


def test_get_claims_verifies_by_jwks(server: Server, email: str) -> None:
    client = server.client()
    client.auth.sign_up({"email": email, "password": PASSWORD})
    answer = client.auth.get_claims()
    assert answer is not None
    assert answer["claims"]["email"] == email


def test_rows_are_shaped_like_the_real_ones(server: Server, email: str) -> None:
    client = server.client()
    client.auth.sign_up({"email": email, "password": PASSWORD})
    user = server.row("select * from auth.users where email = %s", email)
    assert user["encrypted_password"].startswith("$2b$")
    assert bcrypt.checkpw(PASSWORD.encode(), user["encrypted_password"].encode())
    assert user["aud"] == user["role"] == "authenticated"
    assert user["confirmed_at"] is not None
    identity = server.row("select * from auth.identities where user_id = %s", user["id"])
    assert identity["provider_id"] == str(user["id"])
    assert identity["email"] == email
    assert identity["identity_data"]["email_verified"] is True


@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        ({"email": "no-at-sign", "password": PASSWORD}, "validation_failed"),
        ({"email": "a@b c.d", "password": PASSWORD}, "validation_failed"),
        ({"email": "x" * 256 + "@example.com", "password": PASSWORD}, "validation_failed"),
        ({"email": "new@example.com", "password": "ü" * 40}, "validation_failed"),  # 80 bytes, beyond bcrypt
        ({"phone": "+4915112345678", "password": PASSWORD}, "phone_provider_disabled"),
    ],
)
def test_signup_refuses(server: Server, credentials: dict[str, str], code: str) -> None:
    with pytest.raises(AuthApiError) as caught:
        server.client().auth.sign_up(credentials)  # type: ignore[arg-type]
    assert (caught.value.status, caught.value.code) == (400, code)


def test_weak_password_carries_reasons(server: Server, email: str) -> None:
    with pytest.raises(AuthWeakPasswordError) as caught:
        server.client().auth.sign_up({"email": email, "password": "short"})
    assert (caught.value.status, caught.value.reasons) == (422, ["length"])


def test_a_taken_address(server: Server, email: str) -> None:
    server.client().auth.sign_up({"email": email, "password": PASSWORD})
    with pytest.raises(AuthApiError) as caught:
        server.client().auth.sign_up({"email": email, "password": "another one"})
    assert (caught.value.status, caught.value.code) == (422, "user_already_exists")


def test_simultaneous_signups_make_one_user(server: Server, email: str) -> None:
    def attempt(_: int) -> str | None:
        try:
            server.client().auth.sign_up({"email": email, "password": PASSWORD})
        except AuthApiError as error:
            return error.code
        return None

    with ThreadPoolExecutor(5) as threads:
        outcomes = list(threads.map(attempt, range(5)))
    assert sorted(outcomes, key=str) == [None, *["user_already_exists"] * 4]


def test_signup_disabled(serve: Serve, email: str) -> None:
    with pytest.raises(AuthApiError) as caught:
        serve(enable_signup=False).client().auth.sign_up({"email": email, "password": PASSWORD})
    assert (caught.value.status, caught.value.code) == (422, "signup_disabled")


def test_sign_in(server: Server, email: str) -> None:
    server.client().auth.sign_up({"email": email, "password": PASSWORD})
    answer = server.client().auth.sign_in_with_password({"email": email.title(), "password": PASSWORD})
    assert answer.user is not None
    assert answer.user.last_sign_in_at is not None


@pytest.mark.parametrize("password", ["wrong", "x" * 200])
def test_wrong_password_and_unknown_user_look_the_same(server: Server, email: str, password: str) -> None:
    server.client().auth.sign_up({"email": email, "password": PASSWORD})
    for address in (email, fresh_email()):
        with pytest.raises(AuthApiError) as caught:
            server.client().auth.sign_in_with_password({"email": address, "password": password})
        assert (caught.value.status, caught.value.code) == (400, "invalid_credentials")
        assert caught.value.message == "Invalid login credentials"


def test_an_unknown_user_costs_a_hash_too(
    server: Server, email: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same cost, so that the time of the answer tells nobody who has an account."""
    monkeypatch.setattr(users, "WORK_FACTOR", WORK_FACTOR)
    server.client().auth.sign_up({"email": email, "password": PASSWORD})
    costs: list[bytes] = []

    def check(password: bytes, stored: bytes) -> bool:
        costs.append(stored[: len(b"$2b$10$")])
        return compare(password, stored)

    compare = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", check)
    for address in (email, fresh_email()):
        with pytest.raises(AuthApiError):
            server.client().auth.sign_in_with_password({"email": address, "password": "wrong"})
    assert costs == [b"$2b$10$"] * 2


def test_product_triggers_fire_and_their_failure_undoes_the_signup(server: Server, email: str) -> None:
    server.execute(
        """
        create table if not exists public.profiles (id uuid primary key, name text check (name <> 'bad'));
        create or replace function public.on_signup() returns trigger
        language plpgsql security definer set search_path = '' as $$
        begin
            insert into public.profiles values (new.id, new.raw_user_meta_data ->> 'name');
            return new;
        end $$;
        create or replace trigger on_signup after insert on auth.users
            for each row execute function public.on_signup();
        """,
        role="postgres",
    )
    try:
        good = {"email": email, "password": PASSWORD, "options": {"data": {"name": "good"}}}
        user = server.client().auth.sign_up(good).user  # type: ignore[arg-type]
        assert user is not None
        with psycopg.connect(server.postgres.dsn("supabase_admin")) as connection:
            named = connection.execute("select name from public.profiles where id = %s", [user.id]).fetchone()
        assert named == ("good",)
        other = fresh_email()
        answer = httpx.post(
            f"{server.auth_url}/signup",
            json={"email": other, "password": PASSWORD, "data": {"name": "bad"}},
            headers=server.headers,
        )
        assert answer.status_code == 500
        assert answer.json()["msg"] == "Database error saving new user"
        counted = server.row("select count(*) as n from auth.users where email = %s", other)
        assert counted["n"] == 0
    finally:
        server.execute(
            "drop function public.on_signup cascade; drop table public.profiles",
            role="supabase_admin",
        )


@pytest.mark.row("auth.anonymous", by="py")
def test_anonymous_users_become_permanent(serve: Serve, email: str) -> None:
    server = serve(enable_anonymous_sign_ins=True)
    client = server.client()
    answer = client.auth.sign_in_anonymously({"options": {"data": {"theme": "dark"}}})
    assert answer.user is not None
    assert answer.user.is_anonymous
    assert answer.user.app_metadata == {}
    claims = jwt.decode(answer.session.access_token, options={"verify_signature": False})  # type: ignore[union-attr]
    assert claims["is_anonymous"] is True
    assert claims["amr"][0]["method"] == "anonymous"
    updated = client.auth.update_user({"email": email, "password": PASSWORD}).user
    assert updated.id == answer.user.id
    assert not updated.is_anonymous
    again = server.client().auth.sign_in_with_password({"email": email, "password": PASSWORD})
    assert again.user is not None
    assert again.user.id == answer.user.id
    assert again.user.user_metadata["theme"] == "dark"


def test_anonymous_sign_in_is_off_by_default(server: Server) -> None:
    with pytest.raises(AuthApiError) as caught:
        server.client().auth.sign_in_anonymously()
    assert (caught.value.status, caught.value.code) == (422, "anonymous_provider_disabled")
