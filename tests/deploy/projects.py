"""Projects to deploy to: how tests bring them about, look at them, and change them by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from embedded_supabase.postgres import SUPERUSER
from soundscape.deploy import catalogue, sources
from soundscape.deploy.connection import connect_postgres
from soundscape.deploy.deployment import Outcome, deploy
from soundscape.deploy.target import Target

WEBHOOK_SECRET = "whsec_" + "c29tZSAzMiByYW5kb20gYnl0ZXMgZm9yIHRlc3RpbmchIQ=="
NOTHING_CHANGED = "Nothing changed: the project is as it should be."


def target(dsn: str) -> Target:
    return Target(db_url=dsn, worker_url="http://worker.test", webhook_secret=WEBHOOK_SECRET)


def told(dsn: str, *, plan_only: bool = False, repair: bool = False) -> tuple[Outcome, list[str]]:
    lines: list[str] = []
    outcome = deploy(target(dsn), lines.append, plan_only=plan_only, repair=repair)
    return outcome, lines


def picture(dsn: str) -> dict[tuple[str, str], str]:
    """The whole catalogue, by kind and name."""
    with connect_postgres(dsn) as database:
        present = catalogue.read_catalogue(database)
    return {key: entry.state for key, entry in present.entries.items()}


def run(dsn: str, statement: str) -> None:
    # The platform's own extensions can be dropped in the dashboard only, which is a superuser.
    role = SUPERUSER if "extension" in statement else "postgres"
    with psycopg.connect(dsn.replace("//postgres:", f"//{role}:")) as connection:
        connection.execute(statement.encode())


@contextmanager
def more_sources(
    monkeypatch: pytest.MonkeyPatch, *, policy: str | None = None, migration: str | None = None
) -> Iterator[None]:
    """The next version of SoundScape: one file more."""
    policies, migrations = sources.policies(), sources.migrations()
    if policy is not None:
        policies.append(("zz_next.sql", policy))
    if migration is not None:
        migrations.append(sources.Migration("20991231000000", "next", migration))
    with monkeypatch.context() as patched:
        patched.setattr(sources, "policies", lambda: policies)
        patched.setattr(sources, "migrations", lambda: migrations)
        yield
