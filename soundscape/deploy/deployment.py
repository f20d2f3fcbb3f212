"""A deploy from start to end: look, plan, act, verify. Each step may be the last before an interruption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from soundscape.deploy import catalogue, hooks, plan, preflight, record, secrets
from soundscape.deploy.connection import PRELUDE, Door, ManagementApi
from soundscape.deploy.drift import Difference
from soundscape.deploy.plan import Plan
from soundscape.deploy.preflight import Preflight
from soundscape.deploy.repair import part as repairing
from soundscape.deploy.repair import repair as repair_each
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
    """What is not as it should be, at the end."""
    refused: dict[str, str] = field(default_factory=dict)
    """Why what is not as it should be could not be put back."""

    @property
    def succeeded(self) -> bool:
        """Whether nothing stands in the way and nothing is otherwise than it should be."""
        return not self.preflight.stopped and not self.drift

    def did(self, what: str, tell: Tell) -> None:
        """Note and tell it."""
        self.done.append(what)
        tell(f"done: {what}")

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
    outcome.plan = steps = plan.make(target, door, api, state)
    _tell_plan(steps, tell, repair=repair)
    outcome.drift = steps.drift
    if plan_only or (steps.drift and not repair):
        return outcome
    if steps.drift:
        _repair(door, outcome, tell)
        # What hid behind the drift shows only now.
        outcome.plan = steps = plan.make(target, door, api, state)
        outcome.drift = steps.drift
        if not steps.can_go_on:
            _tell_refused(outcome, tell)
            return outcome
        _tell_plan(steps, tell, repair=repair)
    _act(target, door, api, state, outcome, tell)
    outcome.drift = _verified(door)
    _tell_refused(outcome, tell)
    if not outcome.done:
        tell("Nothing changed: the project is as it should be.")
    return outcome


def _repair(door: Door, outcome: Outcome, tell: Tell) -> None:
    came = repair_each(door, outcome.drift)
    for difference in came.mended:
        outcome.did(difference.mended, tell)
    outcome.refused = {str(difference): reason for difference, reason in came.refused.items()}


def _tell_refused(outcome: Outcome, tell: Tell) -> None:
    # Postgres only warns when a role takes back what it did not give.
    nothing = "The database took the statement and did nothing."
    outcome.refused = {name: outcome.refused.get(name, nothing) for name in map(str, outcome.drift)}
    for name, reason in outcome.refused.items():
        tell(f"not put back: {name}. {reason}")


def _act(
    target: Target,
    door: Door,
    api: ManagementApi | None,
    state: record.State,
    outcome: Outcome,
    tell: Tell,
) -> None:
    steps = outcome.plan
    assert steps is not None
    if steps.rehearsal is not None:
        strangers = [repairing(difference) for difference in steps.drift]
        door.run(PRELUDE, *plan.script(state), *strangers, *steps.rehearsal.ending())
        for title in steps.migrations:
            outcome.did(f"migration {title}", tell)
        outcome.did("policies, grants and buckets", tell)
        for what in [
            *(f"withdrew {entry}" for entry in steps.rehearsal.withdrawn),
            *(d.mended for d in steps.drift),
        ]:
            outcome.did(what, tell)
    values = secrets.wanted(worker_url=target.worker_url, webhook_secret=target.webhook_secret)
    for name in steps.secrets:
        secrets.store(door, name, values[name])
        outcome.did(f"{name} in Vault", tell)
    if api is not None:
        # A hook names a function, which a first deploy has only just made.
        for name in hooks.outdated(api):
            hooks.enable(api, name)
            outcome.did(f"Auth hook {name}", tell)


def _verified(door: Door) -> list[Difference]:
    """Read back what is there, and compare it with what was meant."""
    state = record.look(door)
    if state.wanted is None or not state.is_current:
        raise DeployError(
            "The project does not hold what was just deployed.",
            code="not_verified",
            remedy="Somebody else deploys at the same time, or the files changed meanwhile: deploy again.",
        )
    return state.wanted.differences(catalogue.read(door))


def _tell_preflight(found: Preflight, tell: Tell) -> None:
    tell(f"Project: {found.project}")
    tell(f"Database: {found.database}")
    tell("Known: " + ", ".join(f"{name} {'yes' if known else 'no'}" for name, known in found.keys.items()))
    for finding in found.findings:
        tell(f"{'STOP' if finding.stops else 'Note'}: {finding.message} {finding.remedy}".rstrip())


def _tell_plan(steps: Plan, tell: Tell, *, repair: bool) -> None:
    for difference in steps.drift:
        tell(f"drift: {difference}")
    for warning in steps.warnings:
        tell(f"Note: {warning}")
    if steps.drift and not repair:
        tell("Changed by hand; nothing was done. --repair puts it back, and removes what is unknown.")
    for title in steps.migrations:
        tell(f"plan: migration {title}")
    if not steps.is_current:
        tell(f"plan: policies, grants and buckets ({len(steps.policy_files)} files are new or changed)")
    for line in steps.changes:
        tell(f"  {line}")
    for name in steps.secrets:
        tell(f"plan: {name} in Vault")
    for name in steps.hooks:
        tell(f"plan: Auth hook {name}")
    if steps.is_empty:
        tell("Nothing to do.")
