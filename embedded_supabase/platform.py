"""A fresh cluster becomes a Supabase project: roles, platform schemas, extensions, once."""

from __future__ import annotations

from pathlib import Path

import psycopg

from embedded_supabase.postgres import SUPERUSER, Postgres

SCHEMA = Path(__file__).parent / "schema"


def install_platform(postgres: Postgres) -> bool:
    """Apply `schema/*.sql` in one transaction; False when this cluster has them already."""
    with psycopg.connect(postgres.dsn(SUPERUSER)) as connection:
        if connection.execute("select 1 from pg_roles where rolname = 'authenticator'").fetchone():
            return False
        connection.execute("select set_config('soundscape.password', %s, true)", [postgres.password])
        for file in sorted(SCHEMA.glob("*.sql")):
            connection.execute(file.read_bytes())
    return True
