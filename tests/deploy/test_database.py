"""`apply`, as the embedded Supabase runs it at each start, and the history the official CLI would find."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from embedded_supabase.postgres import Postgres
from soundscape.deploy import sources
from soundscape.deploy.database import apply
from soundscape.errors import DeployError
from tests import cluster


@pytest.fixture(scope="module")
def postgres(data_dirs: Path) -> Iterator[Postgres]:
    with cluster.started(data_dirs / "deploy-database") as postgres:
        yield postgres


@pytest.fixture
def dsn(postgres: Postgres) -> Iterator[str]:
    with cluster.database(postgres) as name:
        yield postgres.dsn(dbname=name)


def history(dsn: str) -> list[tuple[str, str, list[str]]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            "select version, name, statements from supabase_migrations.schema_migrations order by version"
        ).fetchall()


def test_once_and_twice(dsn: str) -> None:
    secret = "whsec_" + "A" * 44
    first = apply(dsn, worker_url="http://127.0.0.1:9", webhook_secret=secret)
    assert len(first.migrations) == len(sources.migrations())
    assert set(first.secrets) == {"soundscape_worker_url", "soundscape_webhook_secret"}
    second = apply(dsn, worker_url="http://127.0.0.1:9", webhook_secret=secret)
    assert (second.migrations, second.secrets) == ([], [])
    third = apply(dsn, worker_url="http://127.0.0.1:10")
    assert third.secrets == ["soundscape_worker_url"], "what is not said is left alone"


def test_the_history_is_the_official_clis(dsn: str) -> None:
    """`supabase migration list` and `db push` match files to lines by version."""
    apply(dsn)
    lines = history(dsn)
    assert [(version, name) for version, name, _ in lines] == [
        (migration.version, migration.name) for migration in sources.migrations()
    ]
    for (version, _, statements), migration in zip(lines, sources.migrations(), strict=True):
        assert len(version) == 14
        assert version.isdecimal()
        assert "".join(statements).split() == migration.sql.split()


def test_a_history_that_an_older_cli_made(dsn: str) -> None:
    """It had only versions once; later columns came by `alter table`."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create schema supabase_migrations")
        connection.execute(
            "create table supabase_migrations.schema_migrations (version text not null primary key)"
        )
        connection.execute("insert into supabase_migrations.schema_migrations values ('20200101000000')")
    apply(dsn)
    assert len(history(dsn)) == len(sources.migrations()) + 1


@pytest.mark.parametrize(
    "dsn_text",
    [
        "postgresql://postgres:a-password@127.0.0.1:1/postgres",
        "postgresql://postgres:a-password@no.such.host.invalid/postgres",
        "this is a-password and no connection string",
        "postgresql://postgres:a-password@127.0.0.1:port/postgres",
    ],
)
def test_a_database_that_cannot_be_reached(dsn_text: str) -> None:
    with pytest.raises(DeployError) as failed:
        apply(dsn_text)
    assert failed.value.remedy
    assert "a-password" not in str(failed.value)
