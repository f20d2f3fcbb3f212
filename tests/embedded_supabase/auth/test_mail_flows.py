"""Codes and links: confirmation, magic links, recovery, e-mail change, re-authentication."""

from __future__ import annotations

import stat
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from supabase_auth.errors import AuthApiError

from .conftest import PASSWORD, Serve, Server, fresh_email

APP = "https://app.example.com/welcome"


def follow(link: str) -> httpx.Response:
    answer = httpx.get(link, follow_redirects=False)
    assert answer.status_code == 303
    return answer


def said(answer: httpx.Response) -> tuple[str, dict[str, str]]:
    """Where a redirect leads, and what its query and fragment say."""
    parts = urlsplit(answer.headers["location"])
    both = parse_qs(parts.query) | parse_qs(parts.fragment)
    return f"{parts.scheme}://{parts.netloc}{parts.path}", {name: value[0] for name, value in both.items()}


@pytest.mark.row("auth.confirm", by="py")
def test_signup_waits_for_the_link(confirming: Server, email: str) -> None:
    credentials = {"email": email, "password": PASSWORD, "options": {"email_redirect_to": APP}}
    answer = confirming.client().auth.sign_up(credentials)  # type: ignore[arg-type]
    assert answer.session is None
    assert answer.user is not None
    assert answer.user.email_confirmed_at is None
    with pytest.raises(AuthApiError) as caught:
        confirming.client().auth.sign_in_with_password({"email": email, "password": PASSWORD})
    assert (caught.value.status, caught.value.code) == (400, "email_not_confirmed")
    (mail,) = confirming.mails(email)
    assert mail["kind"] == "signup"
    target, parameters = said(follow(mail["link"]))
    assert target == APP
    assert parameters["type"] == "signup"
    client = confirming.client()
    client.auth.set_session(parameters["access_token"], parameters["refresh_token"])
    assert client.auth.get_user().user.email_confirmed_at is not None  # type: ignore[union-attr]
    target, parameters = said(follow(mail["link"]))  # a second time
    assert parameters["error"] == "access_denied"
    assert parameters["error_code"] == "otp_expired"


def test_a_preview_does_not_use_the_link_up(confirming: Server, email: str) -> None:
    confirming.client().auth.sign_up({"email": email, "password": PASSWORD})
    link = confirming.mails(email)[0]["link"]
    assert httpx.head(link).status_code == 405
    assert "access_token" in said(follow(link))[1]


def test_signup_by_typed_code(confirming: Server, email: str) -> None:
    client = confirming.client()
    client.auth.sign_up({"email": email, "password": PASSWORD})
    code = confirming.mails(email)[0]["code"]
    wrong = "000000" if code != "000000" else "111111"
    with pytest.raises(AuthApiError) as caught:
        client.auth.verify_otp({"email": email, "token": wrong, "type": "signup"})
    assert (caught.value.status, caught.value.code) == (403, "otp_expired")
    session = client.auth.verify_otp({"email": email, "token": code, "type": "signup"}).session
    assert session is not None
    amr = jwt.decode(session.access_token, options={"verify_signature": False})["amr"]
    assert amr[0]["method"] == "otp"
    with pytest.raises(AuthApiError):
        client.auth.verify_otp({"email": email, "token": code, "type": "signup"})


def test_a_code_of_one_address_is_no_good_for_another(confirming: Server, email: str) -> None:
    other = fresh_email()
    for address in (email, other):
        confirming.client().auth.sign_up({"email": address, "password": PASSWORD})
    code = confirming.mails(email)[0]["code"]
    with pytest.raises(AuthApiError):
        confirming.client().auth.verify_otp({"email": other, "token": code, "type": "signup"})


def test_tokens_are_kept_as_hashes(confirming: Server, email: str) -> None:
    confirming.client().auth.sign_up({"email": email, "password": PASSWORD})
    code = confirming.mails(email)[0]["code"]
    row = confirming.row("select * from auth.one_time_tokens where relates_to = %s", email)
    assert row["token_type"] == "confirmation_token"
    assert len(row["token_hash"]) == 56
    assert code not in row["token_hash"] or len(code) < len(row["token_hash"])
    user = confirming.row("select * from auth.users where email = %s", email)
    assert user["confirmation_token"] == row["token_hash"]


def test_a_repeated_signup_tells_a_stranger_nothing(confirming: Server, email: str) -> None:
    client = confirming.client()
    first = client.auth.sign_up({"email": email, "password": PASSWORD}).user
    token = confirming.mails(email)[0]["code"]
    client.auth.verify_otp({"email": email, "token": token, "type": "email"})
    again = confirming.client().auth.sign_up({"email": email, "password": "somebody else's"})
    assert again.session is None
    assert again.user is not None
    assert first is not None
    assert again.user.id != first.id
    assert again.user.identities == []
    assert len(confirming.mails(email)) == 1
    assert confirming.client().auth.sign_in_with_password({"email": email, "password": PASSWORD}).session


def test_expired_codes(serve: Serve, email: str) -> None:
    server = serve(email={"enable_confirmations": True, "otp_expiry": 0, "max_frequency": "0s"})
    server.client().auth.sign_up({"email": email, "password": PASSWORD})
    mail = server.mails(email)[0]
    with pytest.raises(AuthApiError) as caught:
        server.client().auth.verify_otp({"email": email, "token": mail["code"], "type": "signup"})
    assert caught.value.code == "otp_expired"
    assert said(follow(mail["link"]))[1]["error_code"] == "otp_expired"


@pytest.mark.row("auth.mail", by="py")
def test_resend_voids_the_earlier_code(confirming: Server, email: str) -> None:
    client = confirming.client()
    client.auth.sign_up({"email": email, "password": PASSWORD})
    client.auth.resend({"type": "signup", "email": email})
    newer, older = confirming.mails(email)
    assert said(follow(older["link"]))[1]["error_code"] == "otp_expired"
    assert "access_token" in said(follow(newer["link"]))[1]
    client.auth.resend({"type": "signup", "email": email})  # nothing to confirm any more
    client.auth.resend({"type": "signup", "email": fresh_email()})  # nobody there
    assert len(confirming.mails(email)) == 2


@pytest.mark.row("auth.mail", by="py")
def test_magic_link_for_somebody_new(server: Server, email: str) -> None:
    client = server.client()
    client.auth.sign_in_with_otp({"email": email, "options": {"data": {"name": "Ada"}}})
    mail = server.mails(email)[0]
    assert mail["kind"] == "magiclink"
    answer = client.auth.verify_otp({"email": email, "token": mail["code"], "type": "email"})
    assert answer.user is not None
    assert answer.user.user_metadata["name"] == "Ada"


def test_magic_link_by_token_hash(server: Server, email: str) -> None:
    server.client().auth.sign_up({"email": email, "password": PASSWORD})
    server.client().auth.sign_in_with_otp({"email": email, "options": {"should_create_user": False}})
    token_hash = parse_qs(urlsplit(server.mails(email)[0]["link"]).query)["token"][0]
    client = server.client()
    answer = client.auth.verify_otp({"token_hash": token_hash, "type": "magiclink"})
    assert answer.session is not None
    with pytest.raises(AuthApiError) as caught:
        client.auth.verify_otp({"token_hash": token_hash, "type": "magiclink"})
    assert (caught.value.status, caught.value.code) == (403, "otp_expired")


def test_magic_link_without_creating(server: Server, email: str) -> None:
    with pytest.raises(AuthApiError) as caught:
        server.client().auth.sign_in_with_otp({"email": email, "options": {"should_create_user": False}})
    assert (caught.value.status, caught.value.code) == (422, "otp_disabled")


@pytest.mark.row("auth.mail", by="py")
def test_recovery_leads_to_a_new_password(server: Server, email: str) -> None:
    server.client().auth.sign_up({"email": email, "password": PASSWORD})
    other = server.client()
    other.auth.sign_in_with_password({"email": email, "password": PASSWORD})
    server.client().auth.reset_password_for_email(email, {"redirect_to": APP})
    target, parameters = said(follow(server.mails(email)[0]["link"]))
    assert (target, parameters["type"]) == (APP, "recovery")
    client = server.client()
    client.auth.set_session(parameters["access_token"], parameters["refresh_token"])
    with pytest.raises(AuthApiError) as caught:
        client.auth.update_user({"password": PASSWORD})
    assert (caught.value.status, caught.value.code) == (422, "same_password")
    client.auth.update_user({"password": "a new password"})
    assert server.client().auth.sign_in_with_password({"email": email, "password": "a new password"})
    with pytest.raises(AuthApiError):  # the others are signed out
        other.auth.refresh_session()


def test_recovery_of_nobody_looks_the_same(server: Server, email: str) -> None:
    server.client().auth.reset_password_for_email(email)
    assert server.mails(email) == []


@pytest.mark.row("auth.pkce", by="py")
def test_pkce_magic_link(server: Server, email: str) -> None:
    client = server.client(flow="pkce")
    client.auth.sign_in_with_otp({"email": email, "options": {"email_redirect_to": APP}})
    target, parameters = said(follow(server.mails(email)[0]["link"]))
    assert target == APP
    stored = server.row("select auth_code from auth.flow_state where auth_code is not null")
    assert stored["auth_code"] != parameters["code"]
    thief = {"auth_code": parameters["code"], "code_verifier": "x" * 43}
    answer = httpx.post(f"{server.auth_url}/token?grant_type=pkce", json=thief, headers=server.headers)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "bad_code_verifier")
    session = client.auth.exchange_code_for_session({"auth_code": parameters["code"]}).session  # type: ignore[typeddict-item]
    assert session is not None
    amr = jwt.decode(session.access_token, options={"verify_signature": False})["amr"]
    assert amr[0]["method"] == "magiclink"
    again = httpx.post(f"{server.auth_url}/token?grant_type=pkce", json=thief, headers=server.headers)
    assert (again.status_code, again.json()["error_code"]) == (404, "flow_state_not_found")


def test_pkce_error_comes_in_the_query(server: Server) -> None:
    link = f"{server.auth_url}/verify?token=pkce_nothing&type=magiclink&redirect_to={APP}"
    parts = urlsplit(follow(link).headers["location"])
    assert parse_qs(parts.query)["error_code"] == ["otp_expired"]


@pytest.mark.parametrize(
    ("challenge", "method"),
    [
        ("short", "s256"),
        ("x" * 129, "s256"),
        ("x" * 43, ""),
        ("", "s256"),
        ("é" * 43, "s256"),
        ("x" * 43, "md5"),
    ],
)
def test_bad_challenges(server: Server, email: str, challenge: str, method: str) -> None:
    body = {"email": email, "code_challenge": challenge, "code_challenge_method": method}
    answer = httpx.post(f"{server.auth_url}/otp", json=body, headers=server.headers)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "validation_failed")


def test_email_change_needs_both_addresses(server: Server, email: str) -> None:
    client = server.client()
    client.auth.sign_up({"email": email, "password": PASSWORD})
    new = fresh_email()
    pending = client.auth.update_user({"email": new}).user
    assert (pending.email, pending.new_email) == (email, new)
    (to_new,), (to_old,) = server.mails(new), server.mails(email)
    assert "Please proceed" in said(follow(to_new["link"]))[1]["message"]
    assert client.auth.get_user().user.email == email  # type: ignore[union-attr]
    assert said(follow(to_new["link"]))[1]["error_code"] == "otp_expired"  # one side cannot speak for both
    assert "access_token" in said(follow(to_old["link"]))[1]
    changed = client.auth.get_user().user  # type: ignore[union-attr]
    assert (changed.email, changed.new_email) == (new, None)
    assert changed.identities[0].identity_data["email"] == new  # type: ignore[index]
    assert server.client().auth.sign_in_with_password({"email": new, "password": PASSWORD}).session


def test_email_change_by_one_code(serve: Serve, email: str) -> None:
    server = serve(email={"double_confirm_changes": False, "max_frequency": "0s"})
    client = server.client()
    client.auth.sign_up({"email": email, "password": PASSWORD})
    new = fresh_email()
    client.auth.update_user({"email": new})
    assert server.mails(email) == []
    code = server.mails(new)[0]["code"]
    answer = client.auth.verify_otp({"email": new, "token": code, "type": "email_change"})
    assert answer.user is not None
    assert answer.user.email == new


def test_email_change_to_a_taken_address(server: Server, email: str) -> None:
    other = fresh_email()
    server.client().auth.sign_up({"email": other, "password": PASSWORD})
    client = server.client()
    client.auth.sign_up({"email": email, "password": PASSWORD})
    with pytest.raises(AuthApiError) as caught:
        client.auth.update_user({"email": other})
    assert (caught.value.status, caught.value.code) == (422, "email_exists")


def test_an_address_taken_while_the_change_waited(serve: Serve, email: str) -> None:
    server = serve(email={"double_confirm_changes": False, "max_frequency": "0s"})
    client = server.client()
    client.auth.sign_up({"email": email, "password": PASSWORD})
    new = fresh_email()
    client.auth.update_user({"email": new})
    server.client().auth.sign_up({"email": new, "password": PASSWORD})
    assert said(follow(server.mails(new)[0]["link"]))[1]["error_code"] == "email_exists"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example.com/",
        "https://app.example.com.evil.com/",
        "https://app.example.com@evil.com/",
        "https://evil.com/?https://app.example.com/x",
        "//evil.com",
        "javascript:alert(1)",
        "https://2130706433/",
        "https:/\\evil.com",
        "\thttps://evil.com",
    ],
)
def test_links_lead_nowhere_else(server: Server, email: str, elsewhere: str) -> None:
    client = server.client()
    client.auth.sign_in_with_otp({"email": email, "options": {"email_redirect_to": elsewhere}})
    link = urlsplit(server.mails(email)[0]["link"])
    assert parse_qs(link.query)["redirect_to"] == ["http://127.0.0.1:3000"]
    token = parse_qs(link.query)["token"][0]
    asked = httpx.get(
        f"{server.auth_url}/verify",
        params={"token": token, "type": "magiclink", "redirect_to": elsewhere},
        follow_redirects=False,
    )
    assert asked.headers["location"].startswith("http://127.0.0.1:3000#access_token=")


@pytest.mark.row("auth.outbox", by="http")
def test_the_outbox(server: Server, email: str) -> None:
    server.client().auth.sign_in_with_otp({"email": email})
    listed = httpx.get(f"{server.url}/api/dev/mail", params={"to": email}).json()["mail"]
    assert [mail["to"] for mail in listed] == [email]
    assert listed[0]["code"] in listed[0]["text"]
    folder = server.data_dir / "mail"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / f"{listed[0]['id']}.json").stat().st_mode) == 0o600


@pytest.mark.row("auth.rate-limits", by="http")
def test_mail_is_limited_by_user(serve: Serve, email: str) -> None:
    server = serve(email={"max_frequency": "60s"})
    server.client().auth.sign_in_with_otp({"email": email})
    with pytest.raises(AuthApiError) as caught:
        server.client().auth.sign_in_with_otp({"email": email})
    assert (caught.value.status, caught.value.code) == (429, "over_email_send_rate_limit")
    assert len(server.mails(email)) == 1
