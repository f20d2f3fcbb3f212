"""Metrics for Prometheus: one registry per process, printed by `GET /api/metrics`.

Names follow https://prometheus.io/docs/practices/naming/. The values of labels come from short lists of our
own, never from a stranger's input.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from soundscape.errors import ProjectError

log = structlog.get_logger(__name__)

STATS_CACHED_S = 5.0
STATS_TIMEOUT_S = 3.0
QUEUE_STATES = ("running", "standing", "retrying", "waiting")

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)

DOORBELLS = Counter(
    "soundscape_doorbells", "Calls of the doorbell by outcome.", ["outcome"], registry=REGISTRY
)
for _outcome in ("accepted", "unsigned", "replayed", "too_large"):
    DOORBELLS.labels(_outcome)

JOBS = Counter(
    "soundscape_jobs",
    "Attempts at jobs by how they ended (succeeded, refused, queued for another attempt, dead), and why.",
    ["outcome", "code"],
    registry=REGISTRY,
)
LEG_SECONDS = Histogram(
    "soundscape_job_leg_seconds",
    "Parts of an attempt: fetch, analyze, store, match, complete.",
    ["leg"],
    buckets=SECONDS,
    registry=REGISTRY,
)
STAGE_SECONDS = Histogram(
    "soundscape_stage_seconds", "Stages of the analysis.", ["stage"], buckets=SECONDS, registry=REGISTRY
)
LEASES_LOST = Counter("soundscape_leases_lost", "Jobs somebody else holds now.", registry=REGISTRY)
CHILDREN_KILLED = Counter(
    "soundscape_children_killed", "Analysis children that died or had to be killed.", registry=REGISTRY
)
FETCHED_BYTES = Counter("soundscape_fetched_bytes", "Bytes of recordings fetched.", registry=REGISTRY)
QUEUE_JOBS = Gauge(
    "soundscape_queue_jobs",
    "Jobs of the whole project by queue and state, as any worker sees them.",
    ["queue", "state"],
    registry=REGISTRY,
)
QUEUE_AGE_SECONDS = Gauge(
    "soundscape_queue_oldest_seconds", "Age of the oldest job that waits.", ["queue"], registry=REGISTRY
)
QUEUE_READABLE = Gauge(
    "soundscape_queue_readable", "Whether the project answered the question for its queue.", registry=REGISTRY
)

ReadStats = Callable[[], Awaitable[dict[str, Any]]]


class QueueGauges:
    """The gauges of the queue, refreshed from the project when somebody reads them.

    Parameters
    ----------
    read_stats
        Reads what `queue_stats()` of the project answers.
    """

    def __init__(self, read_stats: ReadStats) -> None:
        self._read_stats = read_stats
        self._refreshed_at: float | None = None
        self._lock = asyncio.Lock()

    async def refresh(self) -> None:
        """Read the figures, at most once in five seconds however many readers there are."""
        async with self._lock:
            if self._refreshed_at is not None and time.monotonic() - self._refreshed_at < STATS_CACHED_S:
                return
            try:
                async with asyncio.timeout(STATS_TIMEOUT_S):
                    set_queue_gauges(await self._read_stats())
            except (ProjectError, TimeoutError, KeyError, TypeError, ValueError, AttributeError) as error:
                log.warning(
                    "the figures of the queue cannot be read", error=f"{type(error).__name__} {error}"
                )
                # Old figures would look like a queue that stands still.
                QUEUE_JOBS.clear()
                QUEUE_AGE_SECONDS.clear()
                QUEUE_READABLE.set(0)
            self._refreshed_at = time.monotonic()


def set_queue_gauges(stats: dict[str, Any]) -> None:
    """Set the gauges from what `queue_stats()` answers."""
    for queue, figures in stats["queues"].items():
        name = str(queue).removeprefix("soundscape_")
        for state in QUEUE_STATES:
            QUEUE_JOBS.labels(name, state).set(float(figures[state]))
        QUEUE_AGE_SECONDS.labels(name).set(float(figures["oldest_s"] or 0))
    QUEUE_READABLE.set(1)


def render() -> bytes:
    """All metrics in Prometheus's text format."""
    return generate_latest(REGISTRY)
