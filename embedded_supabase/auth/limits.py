"""Rate limits for addresses and for mail: `[auth.rate_limit]`."""

from __future__ import annotations

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from embedded_supabase.auth.errors import AuthError

WINDOW_S = {
    **dict.fromkeys(("sign_in_sign_ups", "token_refresh", "token_verifications"), 300),
    **dict.fromkeys(("anonymous_users", "email_sent"), 3600),
}


class RateLimits:
    """A sliding window for each (limit, key). A limit without a setting allows everything."""

    def __init__(self, maxima: dict[str, int]) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._stated: dict[str, RateLimitItem] = {
            name: RateLimitItemPerSecond(maxima[name], seconds)
            for name, seconds in WINDOW_S.items()
            if name in maxima
        }

    def consume(self, limit: str, key: str, *, code: str = "over_request_rate_limit") -> None:
        """Count one use. Raises `AuthError` 429 when there is none left."""
        stated = self._stated.get(limit)
        if stated is not None and not self._limiter.hit(stated, limit, key):
            raise AuthError(code)
