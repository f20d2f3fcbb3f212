"""Migrations: each is applied together with its line of the history, or not at all."""

from __future__ import annotations

from soundscape.deploy.connection import Part, literal
from soundscape.deploy.sources import Migration


def make_parts(migration: Migration) -> list[Part]:
    """Return the migration and its line in the official CLI's history."""
    line = (
        "insert into supabase_migrations.schema_migrations (version, name, statements) values "  # noqa: S608
        f"({literal(migration.version)}, {literal(migration.name)}, array[{literal(migration.sql)}])"
    )
    return [
        Part(f"migrations/{migration.title}.sql", migration.sql),
        Part(f"the history of {migration.title}", line),
    ]
