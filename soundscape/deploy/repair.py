"""Putting back what was changed by hand: each object by itself, so that none keeps another from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from soundscape.deploy.connection import PRELUDE, DatabaseConnection, Part, SqlFailed
from soundscape.deploy.drift import Difference

LOST = "SQL cannot bring it back. Restore a backup, or write a migration."


@dataclass(frozen=True)
class Repair:
    """What came of it."""

    fixed: list[Difference]
    refused: dict[Difference, str]
    """Why the others are as they were."""


def repair(database: DatabaseConnection, drift: Iterable[Difference]) -> Repair:
    """Put back what can be put back. Raises `DeployError` when the database cannot be reached."""
    fixed: list[Difference] = []
    refused = dict.fromkeys(drift, LOST)
    # What one object needs may come back after it: go round while anything does.
    while True:
        before = len(fixed)
        for difference in [each for each in refused if each.fix is not None]:
            try:
                database.run(PRELUDE, make_part(difference))
            except SqlFailed as failed:
                refused[difference] = failed.message
            else:
                fixed.append(difference)
                del refused[difference]
        if len(fixed) == before:
            return Repair(fixed, refused)


def make_part(difference: Difference) -> Part:
    """The script that mends this one, which must have a fix."""
    assert difference.fix is not None
    return Part(f"having {difference.fixed}", difference.fix)
