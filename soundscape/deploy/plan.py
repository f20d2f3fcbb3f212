"""What a deploy would do, found without doing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from soundscape.deploy import catalogue, hooks, migrations, policies, record, secrets
from soundscape.deploy.catalogue import Catalogue, Difference
from soundscape.deploy.door import Door, ManagementApi, Part
from soundscape.deploy.record import State
from soundscape.deploy.target import Target


@dataclass(frozen=True)
class Plan:
    """The steps to take, in their order."""

    drift: list[Difference]
    """What was changed by hand since the latest deploy."""
    migrations: list[str]
    policy_files: list[str]
    """Files that are new, changed or gone since the latest deploy; all of them on the first."""
    changes: list[str]
    """Objects that will be added, changed or removed by migrations and policy files."""
    secrets: list[str]
    hooks: list[str]
    applies_policies: bool

    @property
    def is_empty(self) -> bool:
        return not (self.migrations or self.applies_policies or self.secrets or self.hooks)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "drift": [difference.as_dict() for difference in self.drift],
            "migrations": self.migrations,
            "policy_files": self.policy_files,
            "changes": self.changes,
            "secrets": self.secrets,
            "hooks": self.hooks,
        }


def make(
    target: Target, door: Door, api: ManagementApi | None, state: State, *, repair: bool = False
) -> Plan:
    """Compare the project with what it should be.

    Migrations and policy files are rehearsed in a transaction that is rolled back: a mistake in them
    shows here. With `repair` the rehearsal begins by putting drift back. Raises `SqlFailed`.
    """
    present = catalogue.present(door, cron=state.cron)
    applies_policies = bool(state.unfinished or state.pending or state.changed_policies)
    drift: list[Difference] = []
    # Between migrations and policies of one deploy nothing is drift.
    if state.record is not None and not state.unfinished:
        drift = state.record.catalogue.differences(present)
    changes: list[str] = []
    # Over drift the rehearsal would mix the two up; without --repair nothing will be applied anyway.
    if applies_policies and (repair or not drift):
        changes = _changes(present, _rehearsed(door, state, drift if repair else []))
    values = secrets.wanted(worker_url=target.worker_url, webhook_secret=target.webhook_secret)
    return Plan(
        drift=drift,
        migrations=[migration.title for migration in state.pending],
        policy_files=state.changed_policies,
        changes=changes,
        secrets=secrets.outdated(door, values, vault=state.vault),
        hooks=hooks.outdated(api) if api is not None else [],
        applies_policies=applies_policies,
    )


def _rehearsed(door: Door, state: State, drift: list[Difference]) -> Catalogue:
    parts = [*policies.mending(drift)]
    if not state.prepared:
        parts.append(record.TABLES)
    for migration in state.pending:
        parts += migrations.parts(migration)
    parts += [*policies.parts(), Part("reading the catalogue", catalogue.query())]
    return Catalogue(door.rehearse(*parts))


def _changes(before: Catalogue, after: Catalogue) -> list[str]:
    """`+` made, `~` changed, `-` removed; columns and privileges count as their table's."""
    lines = []
    for key in sorted(
        {*before.entries, *after.entries}, key=lambda key: (catalogue.KINDS.index(key[0]), key[1])
    ):
        was, becomes = before.entries.get(key), after.entries.get(key)
        if was is None:
            lines.append(f"+ {key[0]} {key[1]}")
        elif becomes is None:
            lines.append(f"- {key[0]} {key[1]}")
        elif was.state != becomes.state:
            lines.append(f"~ {key[0]} {key[1]}")
    return lines
