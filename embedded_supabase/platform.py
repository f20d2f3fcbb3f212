"""Roles, platform schemas and extensions that make a fresh cluster a Supabase project."""

from __future__ import annotations

from pathlib import Path

import psycopg

from embedded_supabase.postgres import SUPERUSER, Postgres

SCHEMA = Path(__file__).parent / "schema"


def install_platform(postgres: Postgres) -> bool:
    """Apply `schema/*.sql` in one transaction.

    Parameters
    ----------
    postgres : Postgres
        A running cluster.

    Returns
    -------
    bool
        False when the cluster has the platform already. Then nothing is done.
    """
    with psycopg.connect(postgres.dsn(SUPERUSER)) as connection:
        if connection.execute("select 1 from pg_roles where rolname = 'authenticator'").fetchone():
            return False
        connection.execute("select set_config('soundscape.password', %s, true)", [postgres.password])
        for file in sorted(SCHEMA.glob("*.sql")):
            connection.execute(file.read_bytes())
    return True
