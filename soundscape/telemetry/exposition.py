"""`GET /api/metrics`: who may read the metrics, and the figures that are asked for only then."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from fastapi import Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from soundscape.errors import ProjectError, RequestRefused
from soundscape.telemetry import metrics

log = structlog.get_logger(__name__)

STATS_GOOD_FOR_S = 5.0
STATS_TIMEOUT_S = 3.0
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
WAITING = ("standing", "retrying", "waiting")

Stats = Callable[[], Awaitable[dict[str, Any]]]


class Exposition:
    """The metrics as Prometheus reads them."""

    def __init__(self, stats: Stats, *, token: str | None) -> None:
        """`stats` asks the project about its queue; `token` lets in whoever bears it, None this machine."""
        self._stats = stats
        self._token = None if token is None else token.encode()
        self._asked_at: float | None = None
        self._asking = asyncio.Lock()

    async def answer(self, request: Request) -> Response:
        """The text format. Raises `RequestRefused`."""
        self._admit(request)
        await self._refresh()
        return Response(generate_latest(metrics.REGISTRY), media_type=CONTENT_TYPE_LATEST)

    def is_for(self, request: Request) -> bool:
        """Whether the caller may hear what operators hear: it is this machine, or bears the token."""
        return self._bears_token(request) or _is_from_here(request)

    def _bears_token(self, request: Request) -> bool:
        if self._token is None:
            return False
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = token.strip().encode("latin-1", "replace")
        return scheme.lower() == "bearer" and hmac.compare_digest(given, self._token)

    def _admit(self, request: Request) -> None:
        if self._token is not None:
            if not self._bears_token(request):
                raise RequestRefused(
                    "The metrics are for whoever bears their token.",
                    status=401,
                    code="metrics_token_wrong",
                    remedy="Send Authorization: Bearer with SOUNDSCAPE_METRICS_TOKEN.",
                    headers={"WWW-Authenticate": "Bearer"},
                )
        elif not _is_from_here(request):
            raise RequestRefused(
                "Without a token the metrics are for this machine only.",
                status=403,
                code="metrics_not_for_you",
                remedy="Set SOUNDSCAPE_METRICS_TOKEN and bear it.",
            )

    async def _refresh(self) -> None:
        """Ask the project about its queue, at most once in five seconds however many read."""
        async with self._asking:
            if self._asked_at is not None and time.monotonic() - self._asked_at < STATS_GOOD_FOR_S:
                return
            try:
                async with asyncio.timeout(STATS_TIMEOUT_S):
                    note_queue(await self._stats())
            except (ProjectError, TimeoutError, KeyError, TypeError, ValueError, AttributeError) as error:
                # Old figures would look like a queue that stands still.
                log.warning("the queue's figures cannot be read", error=f"{type(error).__name__} {error}")
                metrics.QUEUE_JOBS.clear()
                metrics.QUEUE_AGE_SECONDS.clear()
                metrics.QUEUE_READABLE.set(0)
            self._asked_at = time.monotonic()


def note_queue(stats: dict[str, Any]) -> None:
    """Set the gauges from what `queue_stats()` answers."""
    for queue, figures in stats["queues"].items():
        name = str(queue).removeprefix("soundscape_")
        for state in ("running", *WAITING):
            metrics.QUEUE_JOBS.labels(name, state).set(float(figures[state]))
        metrics.QUEUE_AGE_SECONDS.labels(name).set(float(figures["oldest_s"] or 0))
    metrics.QUEUE_READABLE.set(1)


def _is_from_here(request: Request) -> bool:
    """Whether the request began on this machine: no proxy in between, no page of another name (rebinding)."""
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    try:
        if not ipaddress.ip_address(request.client.host).is_loopback:
            return False
    except ValueError:
        return False
    host = request.headers.get("host", "")
    name = host[: host.rfind(":")] if host.rpartition(":")[2].isdecimal() else host
    return name.lower() in LOOPBACK_NAMES
