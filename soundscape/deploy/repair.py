"""Putting back what was changed by hand: each object by itself, so that none keeps another from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from soundscape.deploy.connection import PRELUDE, Door, Part, SqlFailed
from soundscape.deploy.drift import Difference

LOST = "SQL cannot bring it back. Restore a backup, or write a migration."


@dataclass(frozen=True)
class Repair:
    """What came of it."""

    mended: list[Difference]
    refused: dict[Difference, str]
    """Why the others are as they were."""


def repair(door: Door, drift: Iterable[Difference]) -> Repair:
    """Put back what can be put back. Raises `DeployError` when the database cannot be reached."""
    mended: list[Difference] = []
    refused = dict.fromkeys(drift, LOST)
    # What one object needs may come back after it: go round while anything does.
    while True:
        before = len(mended)
        for difference in [each for each in refused if each.mend is not None]:
            try:
                door.run(PRELUDE, part(difference))
            except SqlFailed as failed:
                refused[difference] = failed.message
            else:
                mended.append(difference)
                del refused[difference]
        if len(mended) == before:
            return Repair(mended, refused)


def part(difference: Difference) -> Part:
    """The script that mends this one, which must have a mend."""
    assert difference.mend is not None
    return Part(f"having {difference.mended}", difference.mend)
