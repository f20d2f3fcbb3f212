"""When a session is heard next: at the rate of its answers, and no faster than sound may come."""

from __future__ import annotations

import asyncio
import math

MAX_SPEED = 2.0
"""Sound that waited may catch up. A client that sends faster would do so at others' cost."""
MAX_AHEAD_S = 2.0
"""So much may be heard at once."""


class Pace:
    """The pace of one session.

    Sessions of one rate are heard at the same moments. A thread that is awake then hears one after the other,
    which costs less than to be woken for each.

    Parameters
    ----------
    rate_hz
        How many answers of a kind a second.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1 / rate_hz
        self._next_at = 0.0
        self._began_at = asyncio.get_running_loop().time()
        self._is_hurried = False
        self._resting: asyncio.Future[None] | None = None

    def hurry(self) -> None:
        """Let nobody wait for the next answer's time: once."""
        self._is_hurried = True
        self._wake()

    async def wait(self, heard_s: float, *, is_last: bool) -> None:
        """Wait until the next sound may be heard.

        Parameters
        ----------
        heard_s
            How many seconds of sound were heard so far.
        is_last
            Whether nothing more comes, so that no rate is kept to.
        """
        loop = asyncio.get_running_loop()
        earliest_at = self._began_at + heard_s / MAX_SPEED - MAX_AHEAD_S
        if self._next_at > loop.time() and not is_last and not self._is_hurried:
            # A future and a timer: a timeout that cancels what waits costs several times as much.
            self._resting = loop.create_future()
            timer = loop.call_at(self._next_at, self._wake)
            try:
                await self._resting
            finally:
                timer.cancel()
                self._resting = None
        self._is_hurried = False
        if earliest_at > loop.time():
            await asyncio.sleep(earliest_at - loop.time())
        now = loop.time()
        self._next_at = (math.floor(now / self._period_s) + 1) * self._period_s
        # Time without sound, or with sound at its own speed, is not saved up for a faster one later.
        self._began_at = max(self._began_at, now - heard_s / MAX_SPEED)

    def _wake(self) -> None:
        if self._resting is not None and not self._resting.done():
            self._resting.set_result(None)
