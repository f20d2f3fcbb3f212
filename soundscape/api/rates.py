"""Rate limits per caller, per address and per API key, over a sliding minute.

Each worker counts for itself: behind a load balancer, n workers allow up to n times as much.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from soundscape.errors import RequestRefused

KEY_EXCHANGES_PER_MINUTE = 10
"""Of one API key. A token lasts for an hour, so that a script needs one."""
KEY_EXCHANGES_PER_MINUTE_AND_ADDRESS = 30
"""From one address: guesses count too."""


class TooManyRequests(RequestRefused):
    """Over the rate limit. `Retry-After` says when to try again, in seconds."""

    code = "too_many_requests"
    status = 429


class Rates:
    """Counts requests by caller, by address and by API key."""

    def __init__(self, *, per_caller_per_minute: int, per_address_per_minute: int) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._limits = {
            "caller": RateLimitItemPerMinute(per_caller_per_minute),
            "address": RateLimitItemPerMinute(per_address_per_minute),
            "key": RateLimitItemPerMinute(KEY_EXCHANGES_PER_MINUTE),
            "key address": RateLimitItemPerMinute(
                min(per_address_per_minute, KEY_EXCHANGES_PER_MINUTE_AND_ADDRESS)
            ),
        }

    def count_caller(self, user_id: str) -> None:
        """Count a request of a user. Raises `TooManyRequests`."""
        self._count("caller", user_id)

    def count_address(self, address: str | None) -> None:
        """Count a request from a network address. Raises `TooManyRequests`."""
        self._count("address", group_address(address))

    def count_key(self, api_key: str) -> None:
        """Count an exchange of an API key, of which only the hash is kept. Raises `TooManyRequests`."""
        self._count("key", hashlib.sha256(api_key.encode()).hexdigest())

    def count_key_address(self, address: str | None) -> None:
        """Count an exchange from a network address. Raises `TooManyRequests`."""
        self._count("key address", group_address(address))

    def _count(self, kind: str, who: str) -> None:
        limit = self._limits[kind]
        if self._limiter.hit(limit, kind, who):
            return
        again_in_s = max(
            1, math.ceil(self._limiter.get_window_stats(limit, kind, who).reset_time - time.time())
        )
        raise TooManyRequests(
            f"Too many requests: the limit is {limit.amount} a minute.",
            remedy=f"Try again in {again_in_s} s.",
            headers={"Retry-After": str(again_in_s)},
        )


def group_address(address: str | None) -> str:
    """The addresses that count as one: for IPv6 the /64, which one customer has alone."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)
    return str(parsed)
