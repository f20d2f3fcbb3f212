"""A database brought to the wanted state without questions: what the embedded Supabase does at each start."""

from __future__ import annotations

from dataclasses import dataclass

from soundscape.deploy import catalogue, record, secrets, sources
from soundscape.deploy.catalogue import Catalogue
from soundscape.deploy.connection import PRELUDE, connected
from soundscape.deploy.plan import Rehearsal, script
from soundscape.deploy.repair import repair
from soundscape.errors import DeployError


@dataclass(frozen=True)
class Applied:
    """What one deploy did."""

    migrations: list[str]
    policies: list[str]
    """Names of the policy files, where they were applied."""
    repaired: list[str]
    secrets: list[str]


def apply(dsn: str, *, worker_url: str | None = None, webhook_secret: str | None = None) -> Applied:
    """Bring the database behind `dsn` to the wanted state.

    What was added by hand is somebody's experiment; what is gone or changed is put back.
    Raises `DeployError`; its code is `migration_changed` where the database was made by other migrations.
    """
    repaired = []
    with connected(dsn) as door:
        state = record.look(door)
        if state.changed_migrations:
            raise DeployError(
                "The data here was made by other migrations than this version has; these have changed: "
                f"{', '.join(state.changed_migrations)}.",
                code=record.MIGRATION_CHANGED,
                remedy="Start with --fresh, which forgets the data; or with the version that made it.",
            )
        if state.wanted is not None and not state.found:
            drift = state.wanted.differences(catalogue.read(door))
            came = repair(door, [difference for difference in drift if difference.what != "unknown"])
            for difference, reason in came.refused.items():
                raise DeployError(
                    f"{difference}: {reason}",
                    code="drift_remains",
                    remedy="Mend it by hand, or start with --fresh, which forgets the data.",
                )
            repaired = [str(difference) for difference in came.mended]
        if not state.is_current:
            # Not rehearsed: this database has no users yet to whom a mistake would matter.
            after = Catalogue.of(door.run(PRELUDE, *script(state), *catalogue.reading()))
            door.run(PRELUDE, *Rehearsal.of(state, after).ending())
        values = secrets.wanted(worker_url=worker_url, webhook_secret=webhook_secret)
        stored = secrets.outdated(door, values, vault=True)
        for name in stored:
            secrets.store(door, name, values[name])
    return Applied(
        [migration.title for migration in state.pending],
        [] if state.is_current else [name for name, _ in sources.policies()],
        repaired,
        stored,
    )
