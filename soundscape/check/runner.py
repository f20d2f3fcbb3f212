"""A check from start to end: every capability in order, then the clean-up."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from soundscape.check.capabilities import list_capabilities, make_clean_up
from soundscape.check.capability import Capability, Line
from soundscape.check.session import CheckSession
from soundscape.deploy.target import Target
from soundscape.errors import SettingsError


async def check(
    target: Target,
    report: Callable[[Line], None],
    *,
    wait_s: float = 60.0,
    only: Collection[str] = (),
    clock: Callable[[], float] = time.time,
) -> list[Line]:
    """Test every capability of a project.

    Parameters
    ----------
    target
        The project.
    report
        Called with each line as soon as it is known.
    wait_s
        How long the worker may take, in seconds.
    only
        Names of capabilities: these are tested, and those they need. All of them when empty.
    clock
        This machine's time in seconds since 1970.

    Returns
    -------
    list of Line
        One line per capability that was tested.

    Raises
    ------
    SettingsError
        The project's URL or public key is not set, or `only` names an unknown capability.
    """
    session = CheckSession(target, wait_s=wait_s, clock=clock)
    lines: dict[str, Line] = {}
    try:
        for capability in select_capabilities(list_capabilities(session), only):
            lines[capability.name] = await capability.run(lines)
            report(lines[capability.name])
    finally:
        lines["clean-up"] = await make_clean_up(session).run(lines)
        report(lines["clean-up"])
    return list(lines.values())


def select_capabilities(capabilities: list[Capability], only: Collection[str]) -> list[Capability]:
    """Return the capabilities named, and those they need. Raises `SettingsError` for unknown names."""
    if unknown := set(only) - {capability.name for capability in capabilities}:
        raise SettingsError(
            f"There is no capability {', '.join(sorted(unknown))}.",
            code="capability_unknown",
            remedy=f"The capabilities are: {', '.join(capability.name for capability in capabilities)}.",
        )
    wanted = set(only) or {capability.name for capability in capabilities}
    for capability in reversed(capabilities):
        if capability.name in wanted:
            wanted.update(capability.needs)
    return [capability for capability in capabilities if capability.name in wanted]
