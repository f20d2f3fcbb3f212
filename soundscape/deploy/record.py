"""What was deployed last, kept in the project: without it nobody could tell drift from a new version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from soundscape.deploy import sources
from soundscape.deploy.catalogue import Catalogue, managed_query
from soundscape.deploy.door import PRELUDE, Door, Part, literal
from soundscape.deploy.sources import digest

# The history has the official CLI's shape: `supabase db push` and a deploy know of each other's work.
TABLES = Part(
    "making room for the record",
    """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
    version text primary key, statements text[], name text
);
-- As the CLI itself does: its first releases kept versions alone.
alter table supabase_migrations.schema_migrations add column if not exists statements text[];
alter table supabase_migrations.schema_migrations add column if not exists name text;
create table if not exists supabase_migrations.soundscape_deployed (
    singleton boolean primary key default true check (singleton),
    policies jsonb not null,
    migrations jsonb not null,
    catalogue jsonb not null,
    deployed_at timestamptz not null default now()
)
""",
)


MIGRATION_CHANGED = "migration_changed"


@dataclass(frozen=True)
class Record:
    """The latest deploy: digests of its files by name, and the picture it left."""

    policies: dict[str, str]
    migrations: dict[str, str | None]
    catalogue: Catalogue


@dataclass(frozen=True)
class State:
    """A project's database before a deploy touches it."""

    version: str
    role: str
    missing_extensions: list[str]
    """Wanted and not offered by this Postgres."""
    prepared: bool
    cron: bool
    vault: bool
    history: list[str]
    """Versions of the migrations that were applied."""
    record: Record | None

    @property
    def pending(self) -> list[sources.Migration]:
        return [migration for migration in sources.migrations() if migration.version not in self.history]

    @property
    def unfinished(self) -> bool:
        """Whether migrations went in without the policies that belong to them."""
        return self.record is None or set(self.record.migrations) != set(self.history)

    @property
    def changed_policies(self) -> list[str]:
        """Names of the policy files that are not the ones deployed last."""
        deployed = self.record.policies if self.record else {}
        now = {name: digest(text) for name, text in sources.policies()}
        return sorted(name for name in {*now, *deployed} if now.get(name) != deployed.get(name))

    @property
    def changed_migrations(self) -> list[str]:
        """Migrations that were applied and are no longer what they were: edited, or gone."""
        deployed = self.record.migrations if self.record else {}
        now = {migration.version: migration for migration in sources.migrations()}
        # A version without a digest is somebody else's: it was never one of ours.
        return [
            now[version].title if version in now else version
            for version, was in sorted(deployed.items())
            if was is not None and (version not in now or digest(now[version].sql) != was)
        ]


def _facts() -> str:
    return f"""
select current_setting('server_version') as version, current_user::text as role,
       to_regclass('supabase_migrations.schema_migrations') is not null as history,
       to_regclass('supabase_migrations.soundscape_deployed') is not null as record,
       to_regclass('cron.job') is not null as cron,
       to_regclass('vault.decrypted_secrets') is not null as vault,
       (select coalesce(jsonb_agg(wanted order by wanted), '[]')
        from unnest({literal(sources.extensions())}::text[]) as wanted
        where wanted not in (select name from pg_available_extensions)) as missing
"""  # noqa: S608 - a quoted literal


def look(door: Door) -> State:
    """Read, and change nothing."""
    facts = door.run(Part("looking at the project", _facts()))[0]
    history: list[str] = []
    record = None
    if facts["history"]:
        rows = door.run(
            Part("reading the history", "select version from supabase_migrations.schema_migrations")
        )
        history = [row["version"] for row in rows]
    if facts["record"]:
        rows = door.run(
            Part(
                "reading the record",
                "select policies, migrations, catalogue from supabase_migrations.soundscape_deployed",
            )
        )
        if rows:
            row = rows[0]
            record = Record(row["policies"], row["migrations"], Catalogue(row["catalogue"]))
    return State(
        version=facts["version"],
        role=facts["role"],
        missing_extensions=facts["missing"],
        prepared=facts["history"] and facts["record"],
        cron=facts["cron"],
        vault=facts["vault"],
        history=history,
        record=record,
    )


def prepare(door: Door) -> None:
    """Make the tables of history and record."""
    door.run(PRELUDE, TABLES)


def saving() -> Part:
    """Keep what the present transaction brought about; it must have run every policy file."""
    values: dict[str, Any] = {
        "policies": {name: digest(text) for name, text in sources.policies()},
        "migrations": {migration.version: digest(migration.sql) for migration in sources.migrations()},
    }
    return Part(
        "keeping the record",
        f"""
insert into supabase_migrations.soundscape_deployed (policies, migrations, catalogue)
select {_json(values["policies"])}, d.known, (select jsonb_agg(to_jsonb(k)) from ({managed_query()}) k)
from (select coalesce(jsonb_object_agg(h.version, {_json(values["migrations"])} -> h.version), '{{}}')
      as known from supabase_migrations.schema_migrations h) d
on conflict (singleton) do update set policies = excluded.policies, migrations = excluded.migrations,
    catalogue = excluded.catalogue, deployed_at = now()
""",  # noqa: S608 - composed of our own files and quoted literals
    )


def _json(value: dict[str, str]) -> str:
    pairs = ", ".join(f"{literal(name)}, {literal(text)}" for name, text in value.items())
    return f"jsonb_build_object({pairs})"
