"""The deploy of the embedded Supabase at each start. It asks no questions."""

from __future__ import annotations

from dataclasses import dataclass

from soundscape.deploy import catalogue, pre_request, record, secrets, sources
from soundscape.deploy.catalogue import Catalogue
from soundscape.deploy.connection import PRELUDE, connect_postgres
from soundscape.deploy.plan import DryRun, make_script
from soundscape.deploy.repair import repair
from soundscape.errors import DeployError


@dataclass(frozen=True)
class DeployResult:
    """The result of one deploy."""

    migrations: list[str]
    policies: list[str]
    """Names of the policy files, where they were applied."""
    repaired: list[str]
    secrets: list[str]


def apply(dsn: str, *, worker_url: str | None = None, webhook_secret: str | None = None) -> DeployResult:
    """Deploy to the database behind `dsn`.

    What was added by hand is left alone as somebody's experiment. What is missing or changed is restored.

    Parameters
    ----------
    dsn
        Connection string.
    worker_url, webhook_secret
        The doorbell's address and secret, which go to Vault.

    Raises
    ------
    DeployError
        `migration_changed` if other migrations made the database, `drift_remains` if something cannot be
        restored.
    """
    repaired = []
    with connect_postgres(dsn) as database:
        state = record.read_state(database)
        if state.changed_migrations:
            raise DeployError(
                "The data here was made by other migrations than this version has; these have changed: "
                f"{', '.join(state.changed_migrations)}.",
                code=record.MIGRATION_CHANGED,
                remedy="Start with --fresh, which deletes the data, or with the version that made it.",
            )
        if state.wanted is not None and not state.found:
            drift = state.wanted.find_differences(catalogue.read_catalogue(database))
            came = repair(database, [difference for difference in drift if difference.what != "unknown"])
            for difference, reason in came.refused.items():
                raise DeployError(
                    f"{difference}: {reason}",
                    code="drift_remains",
                    remedy="Fix it by hand, or start with --fresh, which deletes the data.",
                )
            repaired = [str(difference) for difference in came.fixed]
        if not state.is_current:
            # Not rehearsed: this database has no users yet to whom a mistake would matter.
            after = Catalogue.from_rows(
                database.run(PRELUDE, *make_script(state), *catalogue.make_reading_script())
            )
            database.run(PRELUDE, *DryRun.from_catalogue(state, after).make_ending())
        if pre_request.read_function(database) != pre_request.FUNCTION:
            pre_request.set_function(database)
        values = secrets.collect_secrets(worker_url=worker_url, webhook_secret=webhook_secret)
        stored = secrets.find_outdated(database, values, vault=True)
        for name in stored:
            secrets.store_secret(database, name, values[name])
    return DeployResult(
        [migration.title for migration in state.pending],
        [] if state.is_current else [name for name, _ in sources.policies()],
        repaired,
        stored,
    )
