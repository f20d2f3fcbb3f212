"""Retries of requests that may succeed a moment later: no answer, 5xx, 408, 423 and 429."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx

from soundscape.errors import ProjectUnreachable

T = TypeVar("T")
ATTEMPTS = 6
MAX_PAUSE_S = 20.0
MAX_RETRY_AFTER_S = 60.0
"""Whoever asks for a longer pause is not asked again."""
sleep = asyncio.sleep


async def retry(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work`, several times if the project is unreachable. Raises what the last attempt raised.

    The pauses double, and differ by chance. If the answer says `Retry-After`, the pause is that.
    """
    for attempt in range(ATTEMPTS):
        try:
            return await work()
        except ProjectUnreachable as error:
            asked_s = error.retry_after_s
            if attempt == ATTEMPTS - 1 or (asked_s is not None and asked_s > MAX_RETRY_AFTER_S):
                raise
        pause_s = min(MAX_PAUSE_S, 2.0**attempt) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        await sleep(pause_s if asked_s is None else asked_s)
    raise AssertionError("unreachable")


def raise_if_passing(answer: httpx.Response, what: str) -> None:
    """Raise `ProjectUnreachable` for an answer that may be another one later. `what` begins the message."""
    if answer.status_code >= 500 or answer.status_code in (408, 423, 429):
        raise ProjectUnreachable(
            f"{what} answers HTTP {answer.status_code}.",
            remedy="Try again.",
            retry_after_s=read_retry_after(answer.headers.get("retry-after")),
        )


def read_retry_after(value: str | None) -> float | None:
    """Seconds of a `Retry-After` header (RFC 9110, 10.2.3: seconds or a date); None if it has neither."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
