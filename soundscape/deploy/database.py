"""A database brought to the wanted state without questions: what the embedded project does at each start."""

from __future__ import annotations

from dataclasses import dataclass

from soundscape.deploy import catalogue, migrations, policies, record, secrets, sources
from soundscape.deploy.door import connected
from soundscape.errors import DeployError


@dataclass(frozen=True)
class Applied:
    """What one deploy did."""

    migrations: list[str]
    policies: list[str]
    secrets: list[str]


def apply(dsn: str, *, worker_url: str | None = None, webhook_secret: str | None = None) -> Applied:
    """Bring the database behind `dsn` to the wanted state.

    Policy files are applied when they changed or when anything is no longer as they left it.
    Raises `DeployError`; its code is `migration_changed` where the database was made by other migrations.
    """
    with connected(dsn) as door:
        state = record.look(door)
        if state.changed_migrations:
            raise DeployError(
                "The data here was made by other migrations than this version has; these have changed: "
                f"{', '.join(state.changed_migrations)}.",
                code=record.MIGRATION_CHANGED,
                remedy="Start with --fresh, which forgets the data; or with the version that made it.",
            )
        if not state.prepared:
            record.prepare(door)
        pending = state.pending
        for migration in pending:
            migrations.apply(door, migration)
        outdated = state.unfinished or bool(pending or state.changed_policies)
        drift = []
        if not outdated and state.record is not None:
            drift = state.record.catalogue.differences(catalogue.present(door, cron=state.cron))
            # What was added by hand is somebody's experiment; what is gone is put back.
            policies.repair(door, [difference for difference in drift if difference.what != "unknown"])
        put_in_force = outdated or bool(drift)
        if put_in_force:
            policies.apply(door)
        values = secrets.wanted(worker_url=worker_url, webhook_secret=webhook_secret)
        stored = secrets.outdated(door, values, vault=True)
        for name in stored:
            secrets.store(door, name, values[name])
    return Applied(
        [migration.title for migration in pending],
        [name for name, _ in sources.policies()] if put_in_force else [],
        stored,
    )
