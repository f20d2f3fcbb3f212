"""The repair of drift: each object by itself, so that one which fails stops no other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from soundscape.deploy.connection import PRELUDE, DatabaseConnection, Part, SqlFailed
from soundscape.deploy.drift import Difference

LOST = "SQL cannot bring it back. Restore a backup, or write a migration."


@dataclass(frozen=True)
class Repair:
    """The result of a repair."""

    fixed: list[Difference]
    refused: dict[Difference, str]
    """Why the others could not be fixed."""


def repair(database: DatabaseConnection, drift: Iterable[Difference]) -> Repair:
    """Fix what can be fixed. Raises `DeployError` when the database cannot be reached."""
    fixed: list[Difference] = []
    refused = dict.fromkeys(drift, LOST)
    # One object may need another that is restored after it: repeat while anything is fixed.
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
    """Return the script that fixes this difference, which must have a fix."""
    assert difference.fix is not None
    return Part(f"having {difference.fixed}", difference.fix)
