"""What the Data API asks before each request: counts that tell through statistics are refused."""

from __future__ import annotations

import json

import psycopg
import pytest
from psycopg import errors

from .conftest import Database

REFUSED = [
    "count=planned",
    "count=estimated",
    "return=minimal, count=planned",
    "COUNT = Estimated",
    'count="planned"',
]
ALLOWED = [None, "", "count=exact", "return=representation", "tx=commit,count=exact", "account=planner"]


def check(db: Database, role: str, prefer: str | None) -> None:
    headers = {} if prefer is None else {"prefer": prefer}
    with psycopg.connect(db.dsn()) as connection:
        connection.execute("select set_config('role', %s, true)", [role])
        connection.execute("select set_config('request.headers', %s, true)", [json.dumps(headers)])
        connection.execute("select soundscape.check_request()")


@pytest.mark.parametrize("role", ["anon", "authenticated"])
@pytest.mark.parametrize("prefer", REFUSED)
def test_counts_by_statistics_are_refused_to_people(db: Database, role: str, prefer: str) -> None:
    with pytest.raises(errors.Error) as refused:
        check(db, role, prefer)
    assert refused.value.diag.sqlstate == "PT400"
    assert "count=exact" in str(refused.value.diag.message_hint)


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
@pytest.mark.parametrize("prefer", ALLOWED)
def test_other_preferences_are_nobodys_business(db: Database, role: str, prefer: str | None) -> None:
    check(db, role, prefer)


@pytest.mark.parametrize("prefer", REFUSED)
def test_the_worker_may_estimate(db: Database, prefer: str) -> None:
    check(db, "service_role", prefer)
