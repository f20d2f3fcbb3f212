"""How often an address may try, and how often mail may leave: `[auth.rate_limit]`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from soundscape.local.auth.errors import AuthError

WINDOW_S = {
    "sign_in_sign_ups": 300.0,
    "token_refresh": 300.0,
    "token_verifications": 300.0,
    "anonymous_users": 3600.0,
    "email_sent": 3600.0,
}
_MOST_KEYS = 10_000


class RateLimits:
    """A sliding window for each (limit, key). A limit nobody stated lets everything through."""

    def __init__(self, limits: dict[str, int], clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._seen: dict[tuple[str, str], deque[float]] = {}

    def spend(self, limit: str, key: str) -> None:
        """Count one use. Raises `AuthError` 429 `over_request_rate_limit` when there is none left."""
        if not self.allows(limit, key):
            raise AuthError(429, "over_request_rate_limit", "Request rate limit reached")

    def allows(self, limit: str, key: str) -> bool:
        """Count one use if there is one left; whether there was."""
        most = self._limits.get(limit)
        if most is None:
            return True
        now = self._clock()
        if len(self._seen) > _MOST_KEYS:
            self._forget(now)
        uses = self._seen.setdefault((limit, key), deque())
        while uses and now - uses[0] >= WINDOW_S[limit]:
            uses.popleft()
        if len(uses) >= most:
            return False
        uses.append(now)
        return True

    def _forget(self, now: float) -> None:
        for (limit, key), uses in list(self._seen.items()):
            if not uses or now - uses[-1] >= WINDOW_S[limit]:
                del self._seen[limit, key]
