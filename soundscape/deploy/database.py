"""Migrations, policies and secrets, applied to a project's database.

The same code serves the embedded project and hosted ones; it needs no right that `postgres` lacks there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from soundscape.deploy import sources
from soundscape.errors import DeployError

# Any constant does: two deploys of one project wait for each other.
DEPLOY_LOCK = 0x736F756E6473

_HISTORY = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
    version text primary key, statements text[], name text
);
"""


@dataclass(frozen=True)
class Applied:
    """What one deploy did."""

    migrations: list[str]
    policies: list[str]
    secrets: list[str]


def apply(dsn: str, *, worker_url: str | None = None, webhook_secret: str | None = None) -> Applied:
    """Bring the database behind `dsn` to the wanted state.

    Each migration commits with its line in `supabase_migrations.schema_migrations`, so an
    interrupted run goes on where it stopped. Raises `DeployError`.
    """
    with _session(dsn) as connection:
        connection.execute(_HISTORY)
        done = {
            row[0] for row in connection.execute("select version from supabase_migrations.schema_migrations")
        }
        applied = []
        for migration in sources.migrations():
            if migration.version not in done:
                _apply_migration(connection, migration)
                applied.append(f"{migration.version}_{migration.name}")
        with connection.transaction():
            for name, statements in sources.policies():
                _run(connection, statements, f"policies/{name}")
        secrets = [
            name
            for name, value in (
                ("soundscape_worker_url", worker_url),
                ("soundscape_webhook_secret", webhook_secret),
            )
            if value is not None and _store_secret(connection, name, value)
        ]
        # PostgREST's schema cache, wherever it is.
        connection.execute("notify pgrst, 'reload schema'")
    return Applied(applied, [name for name, _ in sources.policies()], secrets)


@contextmanager
def _session(dsn: str) -> Iterator[psycopg.Connection]:
    try:
        # prepare_threshold: a transaction pooler forgets prepared statements.
        with psycopg.connect(dsn, autocommit=True, connect_timeout=10, prepare_threshold=None) as connection:
            connection.execute("select pg_advisory_lock(%s)", (DEPLOY_LOCK,))
            yield connection
    except psycopg.OperationalError as error:
        raise DeployError(
            f"The database cannot be reached: {error}",
            code="database_unreachable",
            remedy="Check SUPABASE_DB_URL: the session pooler or the direct connection of the project.",
        ) from error


def _apply_migration(connection: psycopg.Connection, migration: sources.Migration) -> None:
    with connection.transaction():
        _run(connection, migration.sql, f"migrations/{migration.version}_{migration.name}.sql")
        connection.execute(
            "insert into supabase_migrations.schema_migrations (version, name, statements) "
            "values (%s, %s, %s)",
            (migration.version, migration.name, [migration.sql]),
        )


def _run(connection: psycopg.Connection, statements: str, where: str) -> None:
    try:
        connection.execute(statements.encode())
    except psycopg.Error as error:
        diagnosis = error.diag
        raise DeployError(
            f"{where}: {diagnosis.message_primary or error}",
            code="sql_failed",
            remedy=diagnosis.message_hint
            or "Nothing of this file was applied; mend the cause and deploy again.",
        ) from error


def _store_secret(connection: psycopg.Connection, name: str, value: str) -> bool:
    """Keep `value` in Vault under `name`; False when it was there already."""
    row = connection.execute(
        "select id, decrypted_secret from vault.decrypted_secrets where name = %s", (name,)
    ).fetchone()
    if row is None:
        connection.execute("select vault.create_secret(%s, %s)", (value, name))
    elif row[1] != value:
        connection.execute("select vault.update_secret(%s, %s)", (row[0], value))
    else:
        return False
    return True
