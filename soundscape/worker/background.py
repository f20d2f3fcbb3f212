"""Background work: one piece at a time beside the analyses, until it is cancelled."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress

import structlog

from soundscape.errors import AnalysisCrashed, ProjectError

log = structlog.get_logger(__name__)


class BackgroundWork(ABC):
    """A loop that looks for work when it is woken, and at intervals.

    Parameters
    ----------
    interval_s
        Pause between two looks, unless it is woken.
    """

    name = "background work"
    """For the log."""

    def __init__(self, *, interval_s: float) -> None:
        self._interval_s = interval_s
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look for work now."""
        self._wake.set()

    async def run(self) -> None:
        """Work. What is cut short is done again later, by this worker or another."""
        try:
            while True:
                self._wake.clear()
                if await self._try_next():
                    continue
                await self.rest()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._interval_s):
                        await self._wake.wait()
        finally:
            await self.rest()

    @abstractmethod
    async def run_next(self) -> bool:
        """Do one piece of work. False if there is none. An error is logged, and it is tried again later."""

    async def rest(self) -> None:
        """Give back what is only needed while there is work. Called at each pause, and at the end."""
        return

    async def _try_next(self) -> bool:
        try:
            return await self.run_next()
        except (ProjectError, AnalysisCrashed, OSError) as error:
            log.warning("background work cannot be done at the moment", work=self.name, error=str(error))
        except Exception:
            # A strange response must not end the loop: a deploy may be half done.
            log.exception("background work failed unexpectedly, it is tried again", work=self.name)
        return False
