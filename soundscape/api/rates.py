"""How often one caller, and one address, may ask: counted in this process, over a sliding minute.

Behind a load balancer each worker counts for itself, so that n workers allow up to n times as much.
"""

from __future__ import annotations

import ipaddress
import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from soundscape.errors import RequestRefused


class TooManyRequests(RequestRefused):
    """More often than is allowed; `Retry-After` says when again, in seconds."""

    code = "too_many_requests"
    status = 429


class Rates:
    """Counts requests by who asks."""

    def __init__(self, *, per_caller_per_minute: int, per_address_per_minute: int) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._limits = {
            "caller": RateLimitItemPerMinute(per_caller_per_minute),
            "address": RateLimitItemPerMinute(per_address_per_minute),
        }

    def count_caller(self, user_id: str) -> None:
        """One more request of a user. Raises `TooManyRequests`."""
        self._count("caller", user_id)

    def count_address(self, address: str | None) -> None:
        """One more request from a network address. Raises `TooManyRequests`."""
        self._count("address", neighbourhood(address))

    def _count(self, kind: str, who: str) -> None:
        limit = self._limits[kind]
        if self._limiter.hit(limit, kind, who):
            return
        again_in_s = max(
            1, math.ceil(self._limiter.get_window_stats(limit, kind, who).reset_time - time.time())
        )
        raise TooManyRequests(
            f"More than {limit.amount} requests a minute.",
            remedy=f"Ask again in {again_in_s} s.",
            headers={"Retry-After": str(again_in_s)},
        )


def neighbourhood(address: str | None) -> str:
    """What is counted as one address: of IPv6 the /64, which one customer has all to himself."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)
    return str(parsed)
