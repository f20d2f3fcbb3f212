"""A capability of a deployed project: something a user can do, and the line that says whether it works."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import httpx
import structlog
from postgrest.exceptions import APIError
from storage3.exceptions import StorageApiError
from supabase_auth.errors import AuthError

from soundscape.errors import SoundScapeError

log = structlog.get_logger(__name__)

Result = Literal["works", "broken", "blocked", "unknown"]
"""`blocked`: something it needs is broken. `unknown`: it cannot be tested with the settings given."""


@dataclass(frozen=True)
class Line:
    """The result of one capability."""

    name: str
    result: Result
    seconds: float
    reason: str = ""
    fix: str = ""
    """How to fix it."""

    def as_dict(self) -> dict[str, Any]:
        """Return the line for `--json`."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}


class CapabilityBroken(SoundScapeError):
    """A capability does not do what it should; `remedy` says how to fix it."""

    code = "capability_broken"


class CapabilityUnknown(SoundScapeError):
    """A capability cannot be tested from here; `message` says what is missing."""

    code = "capability_unknown"


@dataclass(frozen=True)
class Capability:
    """Something a user can do."""

    name: str
    needs: tuple[str, ...]
    """Capabilities without which it cannot be tested."""
    test: Callable[[], Awaitable[None]]
    """Raises `CapabilityBroken`, `CapabilityUnknown`, or whatever the clients raise."""
    fix: str = "Run soundscape deploy; with --repair if something was changed by hand."

    async def run(self, lines: Mapping[str, Line]) -> Line:
        """Test it and return its line. `lines` are those of the capabilities before it."""
        in_the_way = [
            name for name in self.needs if name in lines and lines[name].result in ("broken", "blocked")
        ]
        if in_the_way:
            return Line(self.name, "blocked", 0.0, f"needs: {', '.join(in_the_way)}")
        started = time.monotonic()

        def line(result: Result, reason: str = "", fix: str = "") -> Line:
            return Line(self.name, result, time.monotonic() - started, reason, fix)

        try:
            await self.test()
        except CapabilityUnknown as unknown:
            return line("unknown", unknown.message, unknown.remedy)
        except SoundScapeError as broken:
            return line("broken", broken.message, broken.remedy or self.fix)
        except TimeoutError as error:
            return line("broken", str(error) or "no answer in time", self.fix)
        except (APIError, StorageApiError, AuthError) as error:
            return line("broken", f"{error.message} ({error.code})", self.fix)
        except httpx.HTTPError as error:
            return line("broken", f"{type(error).__name__} {error}".strip(), self.fix)
        except Exception as error:
            # An answer that no client understands: this line is red, the other capabilities are still tested.
            log.debug("a capability ended unexpectedly", capability=self.name, exc_info=error)
            return line("broken", f"{type(error).__name__}: {error}", self.fix)
        return line("works")
