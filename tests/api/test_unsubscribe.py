"""From a mail in the outbox of `soundscape dev` to its link: a page for people, a POST for programs."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from soundscape.cli.embedded_project import Project
from soundscape.worker.unsubscription import InvalidToken, Unsubscription
from tests import embedded
from tests.waiting import LIMIT_S, until

SECRETS = ["whsec_current", "whsec_previous"]
USER = "00000000-0000-4000-8000-000000000001"


def sql(project: Project, query: str, *values: Any) -> list[dict[str, Any]]:
    with psycopg.connect(project.db_url, autocommit=True, row_factory=dict_row) as connection:
        cursor = connection.execute(query.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def served(data_dirs: Path) -> Iterator[Project]:
    with embedded.served(data_dirs / "unsubscribe") as project:
        yield project


@pytest.fixture
def http(served: Project) -> Any:
    with httpx.Client(base_url=served.url, timeout=LIMIT_S) as client:
        yield client


@pytest.fixture
def person(served: Project) -> tuple[str, str]:
    """Id and confirmed address."""
    email = f"mail-{secrets.token_hex(6)}@example.com"
    (row,) = sql(
        served,
        "insert into auth.users (id, email, email_confirmed_at)"
        " values (gen_random_uuid(), %s, now()) returning id::text",
        email,
    )
    return row["id"], email


def preferences(project: Project, user: str) -> list[tuple[str, str, bool]]:
    rows = sql(project, "select * from public.notification_preferences where user_id = %s", user)
    return [(row["kind"], row["channel"], row["enabled"]) for row in rows]


def mails_to(http: httpx.Client, email: str) -> list[dict[str, str]]:
    mails: list[dict[str, str]] = http.get("/api/dev/mail", params={"to": email}).json()["mail"]
    return mails


def test_from_the_event_to_the_link(served: Project, http: httpx.Client, person: tuple[str, str]) -> None:
    user, email = person
    sql(served, "update soundscape.delivery_settings set bundle_after = '0'")
    try:
        sql(served, "select soundscape.notify(%s, 'quota_nearly_full', null)", user)
        worker = served.worker
        assert worker is not None

        def find() -> list[dict[str, str]]:
            worker.wake()
            return mails_to(http, email)

        until(find, "no mail came")
    finally:
        sql(
            served,
            "update soundscape.delivery_settings set bundle_after = '2 minutes' where channel = 'email'",
        )
    (mail,) = mails_to(http, email)
    assert mail["kind"] == "notification"
    assert mail["subject"] == "Your files take nearly all the space that you may use."
    link = mail["list_unsubscribe"].strip("<>")
    assert link in mail["text"]
    assert link.startswith(served.url)

    page = http.get(link, headers={"accept-language": "de-DE,de;q=0.9"})
    assert page.status_code == 200
    assert '<html lang="de">' in page.text
    assert "Knapper Platz" in page.text
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    # Programs open links to look at them.
    assert preferences(served, user) == []

    # As RFC 8058 says: no cookies, no session.
    done = http.post(link, data={"List-Unsubscribe": "One-Click"})
    assert done.status_code == 200
    assert preferences(served, user) == [("quota_nearly_full", "email", False)]
    assert http.post(link).status_code == 200, "a second time changes nothing"
    sql(served, "select soundscape.notify(%s, 'quota_nearly_full', null)", user)
    waiting = sql(served, "select kind from soundscape.outbox where user_id = %s and bundle_id is null", user)
    assert waiting == []


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("token", ["", "x", "a.b", "." * 10, "x" * 3000, "é.é"], ids=str.__len__)
def test_a_link_that_nobody_signed(served: Project, http: httpx.Client, method: str, token: str) -> None:
    answer = http.request(method, "/api/notifications/unsubscribe", params={"token": token})
    assert answer.status_code == 400
    assert "not valid" in answer.text
    assert "<form" not in answer.text


def test_a_link_for_somebody_else(served: Project, http: httpx.Client, person: tuple[str, str]) -> None:
    user, _ = person
    links = Unsubscription([served.keys.webhook_secret])
    payload, signature = links.make_token(USER, ["recording_ready"]).split(".")
    other, _ = links.make_token(user, ["recording_ready"]).split(".")
    answer = http.post("/api/notifications/unsubscribe", params={"token": f"{other}.{signature}"})
    assert answer.status_code == 400
    assert preferences(served, user) == []
    assert payload != other


def test_tokens() -> None:
    token = Unsubscription(SECRETS[1:]).make_token(USER, ["recording_ready", "recording_failed"])
    links = Unsubscription(SECRETS)
    assert links.read_token(token) == (USER, ["recording_ready", "recording_failed"]), (
        "of the previous secret"
    )
    assert re.fullmatch(r"[\w-]+\.[\w-]+", token)
    for wrong in (
        token[:-1],
        token + "A",
        token.replace(".", ".."),
        token.swapcase(),
        token + "=",
        token + "\n",
    ):
        with pytest.raises(InvalidToken):
            links.read_token(wrong)
    with pytest.raises(InvalidToken):
        Unsubscription(["whsec_other"]).read_token(token)
