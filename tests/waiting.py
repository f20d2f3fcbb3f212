"""Wait for conditions. A verdict must not depend on how busy the machine is."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

LIMIT_S = 120.0
"""When to give up. Nothing that works takes this long, even beside ten busy processes."""
LOOK_EVERY_S = 0.05

Found = TypeVar("Found")


def until(condition: Callable[[], Found], what: str = "it did not come about") -> Found:
    """Wait until `condition()` is true and return its value.

    Raises `AssertionError` with `what` after `LIMIT_S`.
    """
    deadline = time.monotonic() + LIMIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(LOOK_EVERY_S)
    return found


async def eventually(
    condition: Callable[[], Found | Awaitable[Found]], what: str = "it did not come about"
) -> Found:
    """Like `until`, on the event loop. `condition` may be a coroutine function."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        answer = condition()
        found: Found = await answer if inspect.isawaitable(answer) else answer
        if found:
            return found
        assert time.monotonic() < deadline, what
        await asyncio.sleep(LOOK_EVERY_S)
