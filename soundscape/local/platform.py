"""A fresh cluster becomes a Supabase project: roles, platform schemas, extensions, once."""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg import sql

from soundscape.local.postgres import SUPERUSER, Postgres

SCHEMA = Path(__file__).parent / "schema"
LOGINS = (
    "postgres",
    "authenticator",
    "supabase_auth_admin",
    "supabase_storage_admin",
    "supabase_replication_admin",
    "supabase_read_only_user",
)


def install_platform(postgres: Postgres) -> bool:
    """Apply `schema/*.sql` in one transaction; False when this cluster has them already."""
    with psycopg.connect(postgres.dsn(SUPERUSER)) as connection:
        if connection.execute("select 1 from pg_roles where rolname = 'authenticator'").fetchone():
            return False
        for file in sorted(SCHEMA.glob("*.sql")):
            connection.execute(file.read_bytes())
        for role in LOGINS:
            connection.execute(
                sql.SQL("alter role {} password {}").format(
                    sql.Identifier(role), sql.Literal(postgres.password)
                )
            )
    return True
