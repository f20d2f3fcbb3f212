"""A deploy from start to end: look, plan, act, verify. Each step may be the last before an interruption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from soundscape.deploy import catalogue, hooks, migrations, plan, policies, preflight, record, secrets
from soundscape.deploy.catalogue import Difference
from soundscape.deploy.door import Door, ManagementApi
from soundscape.deploy.plan import Plan
from soundscape.deploy.preflight import Preflight
from soundscape.deploy.target import Target
from soundscape.errors import DeployError

Tell = Callable[[str], None]


@dataclass
class Outcome:
    """What was found and what was done."""

    preflight: Preflight
    plan: Plan | None = None
    done: list[str] = field(default_factory=list)
    drift: list[Difference] = field(default_factory=list)
    """What is not as it was deployed, at the end."""

    @property
    def succeeded(self) -> bool:
        return not self.preflight.stopped and not self.drift

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
            "succeeded": self.succeeded,
        }


def deploy(target: Target, tell: Tell, *, plan_only: bool = False, repair: bool = False) -> Outcome:
    """Bring the project to the wanted state; `tell` hears a line for each thing found or done.

    Over drift nothing is done without `repair`. Raises `SettingsError` or `DeployError`; what was done
    until then stays done, and a deploy takes up from there.
    """
    with target.open() as (door, api):
        return through(target, door, api, tell, plan_only=plan_only, repair=repair)


def through(
    target: Target,
    door: Door,
    api: ManagementApi | None,
    tell: Tell,
    *,
    plan_only: bool = False,
    repair: bool = False,
) -> Outcome:
    """The same, through an open door."""
    state = record.look(door)
    outcome = Outcome(preflight.inspect(target, door, api, state))
    _tell_preflight(outcome.preflight, tell)
    if outcome.preflight.stopped:
        return outcome
    outcome.plan = plan.make(target, door, api, state, repair=repair)
    _tell_plan(outcome.plan, tell, repair=repair)
    if plan_only or (outcome.plan.drift and not repair):
        outcome.drift = outcome.plan.drift
        return outcome
    _refuse([difference for difference in outcome.plan.drift if difference.mend is None])
    _act(target, door, api, state, outcome, tell)
    outcome.drift = _verify(door)
    _refuse(outcome.drift)
    if not outcome.done:
        tell("Nothing changed: the project is as it should be.")
    return outcome


def _act(
    target: Target,
    door: Door,
    api: ManagementApi | None,
    state: record.State,
    outcome: Outcome,
    tell: Tell,
) -> None:
    def did(what: str) -> None:
        outcome.done.append(what)
        tell(f"done: {what}")

    steps = outcome.plan
    assert steps is not None
    if not state.prepared:
        record.prepare(door)
    if steps.drift:
        policies.repair(door, steps.drift)
        for difference in steps.drift:
            if difference.mend is not None:
                did(f"put back {difference.kind} {difference.name}")
    for migration in state.pending:
        migrations.apply(door, migration)
        did(f"migration {migration.title}")
    if steps.applies_policies:
        policies.apply(door)
        did("policies, grants and buckets")
    values = secrets.wanted(worker_url=target.worker_url, webhook_secret=target.webhook_secret)
    for name in steps.secrets:
        secrets.store(door, name, values[name])
        did(f"{name} in Vault")
    if api is not None:
        # A hook names a function, which a first deploy has only just made.
        for name in hooks.outdated(api):
            hooks.enable(api, name)
            did(f"Auth hook {name}")


def _refuse(drift: list[Difference]) -> None:
    if drift:
        names = ", ".join(f"{difference.kind} {difference.name}" for difference in drift)
        raise DeployError(
            f"SQL cannot put these back: {names}.",
            code="drift_remains",
            remedy="What is missing there may have held data: restore a backup, or write a migration.",
        )


def _verify(door: Door) -> list[Difference]:
    """Read back what is there, and compare it with what was meant."""
    state = record.look(door)
    if state.record is None or state.pending or state.changed_policies:
        raise DeployError(
            "The project does not hold what was just deployed.",
            code="not_verified",
            remedy="Somebody else deploys at the same time, or the files changed meanwhile: deploy again.",
        )
    return state.record.catalogue.differences(catalogue.present(door, cron=state.cron))


def _tell_preflight(found: Preflight, tell: Tell) -> None:
    tell(f"Project: {found.project}")
    tell(f"Database: {found.database}")
    tell("Known: " + ", ".join(f"{name} {'yes' if known else 'no'}" for name, known in found.keys.items()))
    for finding in found.findings:
        tell(f"{'STOP' if finding.stops else 'Note'}: {finding.message} {finding.remedy}".rstrip())


def _tell_plan(steps: Plan, tell: Tell, *, repair: bool) -> None:
    for difference in steps.drift:
        tell(f"drift: {difference}")
    if steps.drift and not repair:
        tell("Changed by hand since the latest deploy; nothing was done. --repair puts it back.")
    for title in steps.migrations:
        tell(f"plan: migration {title}")
    if steps.applies_policies:
        tell(f"plan: policies, grants and buckets ({len(steps.policy_files)} files are new or changed)")
    for line in steps.changes:
        tell(f"  {line}")
    for name in steps.secrets:
        tell(f"plan: {name} in Vault")
    for name in steps.hooks:
        tell(f"plan: Auth hook {name}")
    if steps.is_empty and not steps.drift:
        tell("Nothing to do.")
