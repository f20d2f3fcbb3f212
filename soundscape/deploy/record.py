"""The record of the latest deploy, kept in the project. It tells drift from a new version."""

from __future__ import annotations

import json
from dataclasses import dataclass

from soundscape.deploy import sources
from soundscape.deploy.catalogue import FULL_NAMES, Catalogue, make_keeping_sql
from soundscape.deploy.connection import DatabaseConnection, Part, literal
from soundscape.deploy.drift import WantedState
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
    ours jsonb not null,
    theirs jsonb not null,
    deployed_at timestamptz not null default now()
)
""",
)


MIGRATION_CHANGED = "migration_changed"


@dataclass(frozen=True)
class Record:
    """The latest deploy: digests of its files by name, and what should be in the database since."""

    policies: dict[str, str]
    migrations: dict[str, str]
    wanted: WantedState


@dataclass(frozen=True)
class State:
    """A project's database before a deploy touches it."""

    version: str
    role: str
    missing_extensions: list[str]
    """Extensions that are needed and that this Postgres does not offer."""
    vault: bool
    history: list[str]
    """Versions of the migrations that were applied."""
    record: Record | None

    @property
    def pending(self) -> list[sources.Migration]:
        """Migrations that are still to be applied."""
        return [migration for migration in sources.migrations() if migration.version not in self.history]

    @property
    def wanted(self) -> WantedState | None:
        """What the last deploy wanted, if there was one."""
        return self.record.wanted if self.record else None

    @property
    def found(self) -> list[sources.Migration]:
        """Our migrations that somebody else applied, such as the official CLI."""
        deployed = self.record.migrations if self.record else {}
        return [
            migration
            for migration in sources.migrations()
            if migration.version in self.history and migration.version not in deployed
        ]

    @property
    def is_current(self) -> bool:
        """Whether the latest deploy was of these very files."""
        return not (self.record is None or self.pending or self.found or self.changed_policies)

    @property
    def changed_policies(self) -> list[str]:
        """Names of the policy files that are not the ones deployed last."""
        deployed = self.record.policies if self.record else {}
        now = {name: digest(text) for name, text in sources.policies()}
        return sorted(name for name in {*now, *deployed} if now.get(name) != deployed.get(name))

    @property
    def changed_migrations(self) -> list[str]:
        """Applied migrations whose files were edited or removed since."""
        deployed = self.record.migrations if self.record else {}
        now = {migration.version: migration for migration in sources.migrations()}
        return [
            now[version].title if version in now else version
            for version, was in sorted(deployed.items())
            if version not in now or digest(now[version].sql) != was
        ]


def _facts() -> str:
    return f"""
select current_setting('server_version') as version, current_user::text as role,
       to_regclass('supabase_migrations.schema_migrations') is not null as history,
       to_regclass('supabase_migrations.soundscape_deployed') is not null as record,
       to_regclass('vault.decrypted_secrets') is not null as vault,
       (select coalesce(jsonb_agg(wanted order by wanted), '[]')
        from unnest({literal(sources.extensions())}::text[]) as wanted
        where wanted not in (select name from pg_available_extensions)) as missing
"""  # noqa: S608 - a quoted literal


def read_state(database: DatabaseConnection) -> State:
    """Read the state of a database. Changes nothing."""
    facts = database.run(Part("looking at the project", _facts()))[0]
    history: list[str] = []
    record = None
    if facts["history"]:
        rows = database.run(
            Part("reading the history", "select version from supabase_migrations.schema_migrations")
        )
        history = [row["version"] for row in rows]
    if facts["record"]:
        reading = "select to_jsonb(d) as kept from supabase_migrations.soundscape_deployed d"
        for row in database.run(Part("reading the record", reading)):
            kept = row["kept"]
            # Data of the first versions holds neither: its migrations have changed since, which is told.
            wanted = WantedState(
                Catalogue.from_rows(kept.get("ours", ())), Catalogue.from_rows(kept.get("theirs", ()))
            )
            record = Record(kept["policies"], kept["migrations"], wanted)
    return State(
        version=facts["version"],
        role=facts["role"],
        missing_extensions=facts["missing"],
        vault=facts["vault"],
        history=history,
        record=record,
    )


def make_saving_script(wanted: WantedState) -> list[Part]:
    """Return what saves the record, at the end of a transaction that ran every file."""
    policies = {name: digest(text) for name, text in sources.policies()}
    migrations = {migration.version: digest(migration.sql) for migration in sources.migrations()}
    statement = f"""
insert into supabase_migrations.soundscape_deployed (policies, migrations, ours, theirs)
values ({_json(policies)}, {_json(migrations)},
        {make_keeping_sql(wanted.ours.entries.values())}, {make_keeping_sql(wanted.theirs.entries.values())})
on conflict (singleton) do update set policies = excluded.policies, migrations = excluded.migrations,
    ours = excluded.ours, theirs = excluded.theirs, deployed_at = now()
"""  # noqa: S608 - composed of our own files and quoted literals
    return [FULL_NAMES, Part("keeping the record", statement)]


def _json(value: dict[str, str]) -> str:
    return f"{literal(json.dumps(value))}::jsonb"
