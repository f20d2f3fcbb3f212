"""What works in a deployed project, tried as its users would: one line a capability."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import asdict, dataclass
from typing import Any, Literal

import httpx
import structlog
from postgrest.exceptions import APIError
from storage3.exceptions import StorageApiError
from supabase_auth.errors import AuthError

from soundscape.deploy.target import Target
from soundscape.errors import SettingsError, SoundScapeError

log = structlog.get_logger(__name__)

Result = Literal["works", "broken", "blocked", "unknown"]
"""`blocked`: what it needs is broken. `unknown`: the means to try it are not there; harms nothing."""


@dataclass(frozen=True)
class Line:
    """What came of one capability."""

    name: str
    result: Result
    seconds: float
    reason: str = ""
    mend: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}


class Broken(SoundScapeError):
    """A capability that does not do what it should; `remedy` is the mend."""

    code = "capability_broken"


class Unknown(SoundScapeError):
    """A capability that cannot be tried from here; `message` says what that would take."""

    code = "capability_unknown"


@dataclass(frozen=True)
class Capability:
    """Something a user can do. `tried` raises `Broken`, `Unknown`, or whatever the clients raise."""

    name: str
    needs: tuple[str, ...]
    tried: Callable[[], Awaitable[None]]
    mend: str = "Run soundscape deploy; with --repair when something was changed by hand."


async def check(
    target: Target,
    tell: Callable[[Line], None],
    *,
    wait_s: float = 60.0,
    only: Collection[str] = (),
    clock: Callable[[], float] = time.time,
) -> list[Line]:
    """Try every capability of the project; `tell` hears each line as it comes.

    `wait_s`: how long the worker may take. `only`: these capabilities and what they need; all when empty.
    `clock`: this machine's time in seconds since 1970.
    Raises `SettingsError` when the project's URL or public key is not set, or `only` names what there is not.
    """
    from soundscape.check.capabilities import capabilities, clean_up
    from soundscape.check.session import Visit

    visit = Visit(target, wait_s=wait_s, clock=clock)
    lines: dict[str, Line] = {}
    try:
        for capability in _wanted(capabilities(visit), only):
            lines[capability.name] = await _line(capability, lines)
            tell(lines[capability.name])
    finally:
        lines["clean-up"] = await _line(clean_up(visit), lines)
        tell(lines["clean-up"])
    return list(lines.values())


def _wanted(capabilities: list[Capability], only: Collection[str]) -> list[Capability]:
    """Those named and what they need, in their order. Raises `SettingsError` for a name there is not."""
    if unknown := set(only) - {capability.name for capability in capabilities}:
        raise SettingsError(
            f"There is no capability {', '.join(sorted(unknown))}.",
            code="capability_unknown",
            remedy=f"There are: {', '.join(capability.name for capability in capabilities)}.",
        )
    wanted = set(only) or {capability.name for capability in capabilities}
    for capability in reversed(capabilities):
        if capability.name in wanted:
            wanted.update(capability.needs)
    return [capability for capability in capabilities if capability.name in wanted]


async def _line(capability: Capability, lines: dict[str, Line]) -> Line:
    in_the_way = [
        name for name in capability.needs if name in lines and lines[name].result in ("broken", "blocked")
    ]
    if in_the_way:
        return Line(capability.name, "blocked", 0.0, f"needs: {', '.join(in_the_way)}")
    started = time.monotonic()

    def line(result: Result, reason: str = "", mend: str = "") -> Line:
        return Line(capability.name, result, time.monotonic() - started, reason, mend)

    try:
        await capability.tried()
    except Unknown as unknown:
        return line("unknown", unknown.message, unknown.remedy)
    except SoundScapeError as broken:
        return line("broken", broken.message, broken.remedy or capability.mend)
    except TimeoutError as late:
        return line("broken", str(late) or "no answer in time", capability.mend)
    except (APIError, StorageApiError, AuthError) as refused:
        return line("broken", f"{refused.message} ({refused.code})", capability.mend)
    except httpx.HTTPError as failed:
        return line("broken", f"{type(failed).__name__} {failed}".strip(), capability.mend)
    except Exception as failed:
        # An answer that no client of ours understands: this line is red, the others are still tried.
        log.debug("a capability ended unexpectedly", capability=capability.name, exc_info=failed)
        return line("broken", f"{type(failed).__name__}: {failed}", capability.mend)
    return line("works")
