"""`soundscape notifications` against a whole project that nobody works for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from soundscape.cli.embedded_project import Project
from soundscape.settings import Settings
from soundscape.worker.vapid import get_public_key
from tests import embedded

from .test_jobs import Operator


@pytest.fixture(scope="module")
def project(data_dirs: Path) -> Iterator[Project]:
    with embedded.served(data_dirs / "notifications", with_worker=False) as served:
        yield served


@pytest.fixture
def operator(project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Operator:
    monkeypatch.chdir(tmp_path)
    for name, value in project.environment().items():
        monkeypatch.setenv(name, value)
    operator = Operator(project)
    operator.sql("delete from soundscape.outbox")
    operator.sql("delete from soundscape.deliveries")
    operator.sql("update soundscape.delivery_settings set bundle_after = '0'")
    return operator


@pytest.fixture
def user(operator: Operator) -> str:
    (row,) = operator.sql(
        "insert into auth.users (id, email, email_confirmed_at)"
        " values (gen_random_uuid(), gen_random_uuid() || '@example.com', now()) returning id::text"
    )
    return str(row["id"])


def fail(operator: Operator, user: str, outcome: str = "refused", code: str = "smtp_554") -> str:
    """A mail that a server did not take. Returns its id."""
    operator.sql("select soundscape.notify(%s, 'export_ready', null)", user)
    (held,) = operator.sql("select delivery_id::text, token from public.claim_delivery('{email}')")
    operator.sql(
        "select public.fail_delivery(%s, %s, %s, %s, 'No [thanks]')",
        *(held["delivery_id"], held["token"], outcome, code),
    )
    return str(held["delivery_id"])


def states(operator: Operator) -> dict[str, str]:
    rows: list[dict[str, Any]] = operator.json("notifications", "list")
    return {row["id"]: row["state"] for row in rows}


def test_list_show_and_retry(operator: Operator, user: str) -> None:
    dead = fail(operator, user)
    other = fail(operator, user, code="smtp_550")
    assert states(operator) == {dead: "dead", other: "dead"}
    assert [row["id"] for row in operator.json("notifications", "list", "--code", "smtp_550")] == [other]
    assert operator.json("notifications", "list", "--channel", "push") == []
    assert [row["id"] for row in operator.json("notifications", "list", "--before", other)] == [dead]
    shown = operator.json("notifications", "show", dead)
    assert (shown["error_message"], shown["content"][0]["kind"]) == ("No [thanks]", "export_ready")
    assert "No [thanks]" in operator.run("notifications", "show", dead).stdout
    assert operator.json("notifications", "retry", "--dead", "--code", "smtp_554") == {"retried": [dead]}
    assert states(operator) == {dead: "queued", other: "dead"}
    assert operator.json("notifications", "cancel", dead) == {"cancelled": [dead]}
    assert operator.json("notifications", "retry", "--dead") == {"retried": [other]}
    assert operator.json("notifications", "retry", "--dead", code=1) == {"retried": []}
    assert operator.json("notifications", "retry", dead) == {"retried": [dead]}


def test_stats(operator: Operator, user: str) -> None:
    fail(operator, user)
    operator.sql("select soundscape.notify(%s, 'export_ready', null)", user)
    figures = operator.json("notifications", "stats")["email"]
    assert (figures["waiting"], figures["failed"], figures["is_on"]) == (1, {"smtp_554": 1}, False)
    printed = operator.run("notifications", "stats").stdout
    assert "smtp_554" in printed
    assert "off: no" in printed


def test_an_address_that_came_back(operator: Operator, user: str) -> None:
    fail(operator, user, "gone", "smtp_550")
    operator.run("notifications", "reopen", user)
    operator.run("notifications", "reopen", user, code=1)


def test_every_address_that_came_back(operator: Operator) -> None:
    """A relay that refused everybody is mended: one command for all whom it ended, and for nobody else."""
    (relayed, unknown, closed) = sorted(
        str(row["id"])
        for row in operator.sql(
            "insert into auth.users (id, email, email_confirmed_at)"
            " select gen_random_uuid(), gen_random_uuid() || '@example.com', now()"
            " from generate_series(1, 3) returning id::text"
        )
    )
    for _ in range(2):
        operator.sql("delete from soundscape.ended_addresses where user_id = %s", relayed)
        fail(operator, relayed, "gone", "smtp_550")
    fail(operator, unknown, "gone", "smtp_553")
    fail(operator, closed, "refused", "smtp_550")
    # What became of mails is kept for 30 days; an address that ended stays so for longer.
    operator.sql("delete from soundscape.deliveries")
    assert operator.json("notifications", "reopen", "--all", "--code", "smtp_550") == {"reopened": [relayed]}
    assert operator.json("notifications", "reopen", "--all") == {"reopened": [unknown]}
    assert operator.json("notifications", "reopen", "--all", code=1) == {"reopened": []}
    assert operator.sql("select user_id from soundscape.ended_addresses") == []


def test_what_cannot_be(operator: Operator) -> None:
    operator.run("notifications", "show", str(uuid4()), code=1)
    operator.run("notifications", "show", "no-id", code=2)
    operator.run("notifications", "list", "--state", "lost", code=2)
    operator.run("notifications", "list", "--channel", "fax", code=2)
    operator.run("notifications", "retry", code=2)
    operator.run("notifications", "cancel", code=2)
    operator.run("notifications", "reopen", code=2)
    operator.run("notifications", "reopen", str(uuid4()), "--all", code=2)
    operator.run("notifications", "reopen", str(uuid4()), "--code", "smtp_550", code=2)


def test_a_key(operator: Operator, project: Project) -> None:
    made = operator.json("notifications", "vapid")
    assert get_public_key(made["private_key"]) == made["public_key"]
    settings = Settings.from_environment(
        project.environment() | {"SOUNDSCAPE_VAPID_PRIVATE_KEY": made["private_key"]}
    )
    assert settings.vapid_private_key == made["private_key"]
    assert operator.run("notifications", "vapid").stdout.startswith("SOUNDSCAPE_VAPID_PRIVATE_KEY=")
