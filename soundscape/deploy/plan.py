"""The plan of a deploy, made without changing anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from soundscape.deploy import catalogue, hooks, migrations, policies, pre_request, record, secrets
from soundscape.deploy.catalogue import Catalogue, Entry
from soundscape.deploy.connection import DatabaseConnection, ManagementApi, Part
from soundscape.deploy.drift import Difference, WantedState, derive_wanted
from soundscape.deploy.record import State
from soundscape.deploy.target import Target


@dataclass(frozen=True)
class DryRun:
    """The effect of the migrations and policy files."""

    wanted: WantedState
    withdrawn: list[Entry]
    """What an earlier version made and this one does not."""
    present: Catalogue
    """What will be there."""

    @classmethod
    def from_catalogue(cls, state: State, after: Catalogue) -> DryRun:
        """Make it from the catalogue at the end of `make_script`."""
        wanted = derive_wanted(state.wanted, after, state.found)
        withdrawn = wanted.find_withdrawn(state.wanted, after)
        return cls(wanted, withdrawn, after.without(withdrawn))

    def make_ending(self) -> list[Part]:
        """Return what follows `make_script`: withdraw, save the record, reload PostgREST's schema cache."""
        return [
            *(Part(f"withdrawing {entry}", entry.unmake) for entry in self.withdrawn if entry.unmake),
            *record.make_saving_script(self.wanted),
            Part("telling the Data API", "notify pgrst, 'reload schema'"),
        ]


@dataclass(frozen=True)
class Plan:
    """The steps to take, in their order."""

    drift: list[Difference]
    """What is neither as the latest deploy left it nor as this one will make it."""
    warnings: list[str]
    """What gives access to ours and is left alone."""
    migrations: list[str]
    policy_files: list[str]
    """Files that are new, changed or gone since the latest deploy; all of them on the first."""
    changes: list[str]
    """Objects that will be added, changed or removed by migrations and policy files."""
    secrets: list[str]
    hooks: list[str]
    pre_request: str | None
    """The function that the Data API is to call before each request; None where it does."""
    is_current: bool
    """Whether migrations and policy files are those of the latest deploy."""
    dry_run: DryRun | None
    """None if they are, and while there is drift: the dry run would mix the two."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return self.is_current and not (self.drift or self.secrets or self.hooks or self.pre_request)

    @property
    def can_proceed(self) -> bool:
        """Whether the only drift left is what the migrations bring and the deploy removes with them."""
        return all(self.dry_run and difference.what == "unknown" for difference in self.drift)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "drift": [difference.as_dict() for difference in self.drift],
            "warnings": self.warnings,
            "migrations": self.migrations,
            "policy_files": self.policy_files,
            "changes": self.changes,
            "secrets": self.secrets,
            "hooks": self.hooks,
            "pre_request": self.pre_request,
        }


def make_script(state: State) -> list[Part]:
    """Return every pending migration and every policy file, for one transaction."""
    pending = [part for migration in state.pending for part in migrations.make_parts(migration)]
    return [record.TABLES, *pending, *policies.make_parts()]


def make_plan(target: Target, database: DatabaseConnection, api: ManagementApi | None, state: State) -> Plan:
    """Compare the project with what it should be.

    Migrations and policy files are rehearsed in a transaction that is rolled back. This shows mistakes in
    them, and what somebody else put on our tables. Raises `SqlFailed`.
    """
    present = catalogue.read_catalogue(database)
    wanted, drift, dry_run = state.wanted, [], None
    # Over migrations that somebody else applied, the latest deploy says nothing of what there should be.
    if wanted is not None and not state.found:
        drift = wanted.find_differences(present)
    if not state.is_current and not drift:
        after = Catalogue.from_rows(database.rehearse(*make_script(state), *catalogue.make_reading_script()))
        dry_run = DryRun.from_catalogue(state, after)
        wanted = dry_run.wanted
        drift = wanted.find_differences(dry_run.present)
    values = secrets.collect_secrets(worker_url=target.worker_url, webhook_secret=target.webhook_secret)
    return Plan(
        drift=drift,
        warnings=wanted.list_warnings(present) if wanted else [],
        migrations=[migration.title for migration in state.pending],
        policy_files=state.changed_policies,
        changes=_changes(present, dry_run.present) if dry_run else [],
        secrets=secrets.find_outdated(database, values, vault=state.vault),
        hooks=hooks.find_outdated(api) if api is not None else [],
        pre_request=pre_request.describe_change(database),
        is_current=state.is_current,
        dry_run=dry_run,
    )


def _changes(before: Catalogue, after: Catalogue) -> list[str]:
    """Return a line per object: `+` made, `~` changed, `-` removed."""
    lines = []
    for key in sorted(
        {*before.entries, *after.entries}, key=lambda key: (catalogue.KINDS.index(key[0]), key[1])
    ):
        was, becomes = before.entries.get(key), after.entries.get(key)
        # A column brings its settings along.
        if was is None and key[0] != "column settings":
            lines.append(f"+ {key[0]} {key[1]}")
        elif becomes is None and key[0] != "column settings":
            lines.append(f"- {key[0]} {key[1]}")
        elif was and becomes and was.state != becomes.state:
            lines.append(f"~ {key[0]} {key[1]}")
    return lines
