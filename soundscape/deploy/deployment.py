"""A deploy from start to end: preflight, plan, apply, verify. It may be interrupted after any step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from soundscape.deploy import catalogue, hooks, plan, pre_request, preflight, record, secrets
from soundscape.deploy.connection import PRELUDE, DatabaseConnection, ManagementApi, SqlFailed
from soundscape.deploy.drift import Difference
from soundscape.deploy.plan import Plan
from soundscape.deploy.preflight import Preflight
from soundscape.deploy.repair import make_part
from soundscape.deploy.repair import repair as repair_each
from soundscape.deploy.target import Target
from soundscape.errors import DeployError

Report = Callable[[str], None]


@dataclass
class Outcome:
    """What was found and what was done."""

    preflight: Preflight
    plan: Plan | None = None
    done: list[str] = field(default_factory=list)
    drift: list[Difference] = field(default_factory=list)
    """Differences that are left at the end."""
    refused: dict[str, str] = field(default_factory=dict)
    """Why differences could not be removed, by object."""

    @property
    def succeeded(self) -> bool:
        """Whether the deploy could start and no difference is left."""
        return not self.preflight.stopped and not self.drift

    def did(self, what: str, report: Report) -> None:
        """Note and report what was done."""
        self.done.append(what)
        report(f"done: {what}")

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "project": self.preflight.project,
            "database": self.preflight.database,
            "keys": self.preflight.keys,
            "findings": [vars(finding) for finding in self.preflight.findings],
            "plan": self.plan.as_dict() if self.plan else None,
            "done": self.done,
            "drift": [difference.as_dict() for difference in self.drift],
            "refused": self.refused,
            "succeeded": self.succeeded,
        }


def deploy(target: Target, report: Report, *, plan_only: bool = False, repair: bool = False) -> Outcome:
    """Deploy to a project.

    Parameters
    ----------
    target
        The project.
    report
        Called with a line for each thing found or done.
    plan_only
        Change nothing.
    repair
        Remove drift first. Without it, nothing is done while there is drift.

    Raises
    ------
    SettingsError, DeployError
        What was done until then stays done; the next deploy continues from there.
    """
    with target.open() as (database, api):
        return deploy_to(target, database, api, report, plan_only=plan_only, repair=repair)


def deploy_to(
    target: Target,
    database: DatabaseConnection,
    api: ManagementApi | None,
    report: Report,
    *,
    plan_only: bool = False,
    repair: bool = False,
) -> Outcome:
    """Deploy to an open database. See `deploy`."""
    state = record.read_state(database)
    outcome = Outcome(preflight.inspect_project(target, database, api, state))
    _report_preflight(outcome.preflight, report)
    if outcome.preflight.stopped:
        return outcome
    outcome.plan = steps = plan.make_plan(target, database, api, state)
    _report_plan(steps, report, repair=repair)
    outcome.drift = steps.drift
    if plan_only or (steps.drift and not repair):
        return outcome
    if steps.drift:
        _repair(database, outcome, report)
        # What hid behind the drift shows only now.
        outcome.plan = steps = plan.make_plan(target, database, api, state)
        outcome.drift = steps.drift
        if not steps.can_proceed:
            _report_refused(outcome, report)
            return outcome
        _report_plan(steps, report, repair=repair)
    _apply_plan(target, database, api, state, outcome, report)
    outcome.drift = _verify(database)
    _report_refused(outcome, report)
    if not outcome.done:
        report("Nothing changed: the project is as it should be.")
    return outcome


def _repair(database: DatabaseConnection, outcome: Outcome, report: Report) -> None:
    came = repair_each(database, outcome.drift)
    for difference in came.fixed:
        outcome.did(difference.fixed, report)
    outcome.refused = {str(difference): reason for difference, reason in came.refused.items()}


def _report_refused(outcome: Outcome, report: Report) -> None:
    # Postgres only warns when a role takes back what it did not give.
    nothing = "The database took the statement and did nothing."
    outcome.refused = {name: outcome.refused.get(name, nothing) for name in map(str, outcome.drift)}
    for name, reason in outcome.refused.items():
        report(f"not put back: {name}. {reason}")


def _apply_plan(
    target: Target,
    database: DatabaseConnection,
    api: ManagementApi | None,
    state: record.State,
    outcome: Outcome,
    report: Report,
) -> None:
    steps = outcome.plan
    assert steps is not None
    if steps.dry_run is not None:
        strangers = [make_part(difference) for difference in steps.drift]
        database.run(PRELUDE, *plan.make_script(state), *strangers, *steps.dry_run.make_ending())
        for title in steps.migrations:
            outcome.did(f"migration {title}", report)
        outcome.did("policies, grants and buckets", report)
        for what in [
            *(f"withdrew {entry}" for entry in steps.dry_run.withdrawn),
            *(d.fixed for d in steps.drift),
        ]:
            outcome.did(what, report)
    values = secrets.collect_secrets(worker_url=target.worker_url, webhook_secret=target.webhook_secret)
    for name in steps.secrets:
        secrets.store_secret(database, name, values[name])
        outcome.did(f"{name} in Vault", report)
    if steps.pre_request is not None:
        # Like a hook, it names a function that the script above has only just made.
        try:
            pre_request.set_function(database)
        except SqlFailed as error:
            report(f"Note: {error.message}. Run as an owner of the role: {pre_request.STATEMENT}")
        else:
            outcome.did(f"Data API pre-request {steps.pre_request}", report)
    if api is not None:
        # A hook names a function, which a first deploy has only just made.
        for name in hooks.find_outdated(api):
            hooks.enable_hook(api, name)
            outcome.did(f"Auth hook {name}", report)


def _verify(database: DatabaseConnection) -> list[Difference]:
    """Read the catalogue again, and compare it with the record."""
    state = record.read_state(database)
    if state.wanted is None or not state.is_current:
        raise DeployError(
            "The project does not hold what was just deployed.",
            code="not_verified",
            remedy="Somebody else deploys at the same time, or the files changed meanwhile: deploy again.",
        )
    return state.wanted.find_differences(catalogue.read_catalogue(database))


def _report_preflight(found: Preflight, report: Report) -> None:
    report(f"Project: {found.project}")
    report(f"Database: {found.database}")
    report("Known: " + ", ".join(f"{name} {'yes' if known else 'no'}" for name, known in found.keys.items()))
    for finding in found.findings:
        report(f"{'STOP' if finding.stops else 'Note'}: {finding.message} {finding.remedy}".rstrip())


def _report_plan(steps: Plan, report: Report, *, repair: bool) -> None:
    for difference in steps.drift:
        report(f"drift: {difference}")
    for warning in steps.warnings:
        report(f"Note: {warning}")
    if steps.drift and not repair:
        report("Changed by hand; nothing was done. --repair puts it back, and removes what is unknown.")
    for title in steps.migrations:
        report(f"plan: migration {title}")
    if not steps.is_current:
        report(f"plan: policies, grants and buckets ({len(steps.policy_files)} files are new or changed)")
    for line in steps.changes:
        report(f"  {line}")
    for name in steps.secrets:
        report(f"plan: {name} in Vault")
    if steps.pre_request is not None:
        report(f"plan: Data API pre-request {steps.pre_request}")
    for name in steps.hooks:
        report(f"plan: Auth hook {name}")
    if steps.is_empty:
        report("Nothing to do.")
