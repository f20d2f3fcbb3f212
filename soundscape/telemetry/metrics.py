"""Metrics for Prometheus: one registry per process, printed by `GET /api/metrics`.

Names follow https://prometheus.io/docs/practices/naming/. The values of labels come from short lists of our
own, never from a stranger's input.
"""

from __future__ import annotations

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
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
PROJECT_STATS_CACHED_S = 600.0
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
DELIVERIES = Counter(
    "soundscape_deliveries",
    "Attempts at mails and pushes by how they ended: sent, queued for another attempt, dropped, dead.",
    ["channel", "outcome"],
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

PROJECT_RECORDINGS = Gauge(
    "soundscape_project_recordings", "Recordings of the project by status.", ["status"], registry=REGISTRY
)
PROJECT_BYTES = Gauge(
    "soundscape_project_stored_bytes", "Bytes in Storage by bucket.", ["bucket"], registry=REGISTRY
)
PROJECT_TOTALS = ("users", "listed", "likes", "plays", "downloads")
PROJECT_TOTAL = Gauge(
    "soundscape_project_figure",
    "Figures of the project: users, listed recordings, likes, and plays and downloads so far.",
    ["figure"],
    registry=REGISTRY,
)
STATS_PENDING = Gauge(
    "soundscape_stats_pending", "Plays, likes and downloads that are not rolled up yet.", registry=REGISTRY
)
STATS_PENDING_SECONDS = Gauge(
    "soundscape_stats_pending_seconds", "Age of the oldest that is not rolled up yet.", registry=REGISTRY
)
PROJECT_READABLE = Gauge(
    "soundscape_project_readable",
    "Whether the project answered the question for its figures.",
    registry=REGISTRY,
)

CHECK_STATE = Gauge(
    "soundscape_check_state", "Readiness by check: 2 ok, 1 degraded, 0 failed.", ["check"], registry=REGISTRY
)
_STATE_NUMBERS = {"ok": 2, "degraded": 1, "failed": 0}

ReadStats = Callable[[], Awaitable[dict[str, Any]]]


class RefreshedGauges(ABC):
    """Gauges that are refreshed from the project when somebody reads them.

    Parameters
    ----------
    read_stats
        Reads what a function of the project answers.
    """

    def __init__(self, read_stats: ReadStats) -> None:
        self._read_stats = read_stats
        self._refreshed_at: float | None = None
        self._lock = asyncio.Lock()

    @abstractmethod
    def cached_s(self) -> float:
        """For how long figures are not read again, however many readers there are."""

    @abstractmethod
    def set(self, stats: dict[str, Any]) -> None:
        """Set the gauges."""

    @abstractmethod
    def clear(self) -> None:
        """Remove the figures: old ones would look as if nothing changed."""

    async def refresh(self) -> None:
        """Read the figures, unless they are recent."""
        async with self._lock:
            if self._refreshed_at is not None and time.monotonic() - self._refreshed_at < self.cached_s():
                return
            try:
                async with asyncio.timeout(STATS_TIMEOUT_S):
                    self.set(await self._read_stats())
            except (ProjectError, TimeoutError, KeyError, TypeError, ValueError, AttributeError) as error:
                log.warning(
                    "figures of the project cannot be read",
                    gauges=type(self).__name__,
                    error=f"{type(error).__name__} {error}",
                )
                self.clear()
            self._refreshed_at = time.monotonic()


class QueueGauges(RefreshedGauges):
    """The gauges of the queue, from `queue_stats()`."""

    def cached_s(self) -> float:
        """As `RefreshedGauges.cached_s`."""
        return STATS_CACHED_S

    def set(self, stats: dict[str, Any]) -> None:
        """As `RefreshedGauges.set`."""
        set_queue_gauges(stats)

    def clear(self) -> None:
        """As `RefreshedGauges.clear`."""
        QUEUE_JOBS.clear()
        QUEUE_AGE_SECONDS.clear()
        for gauge in (STATS_PENDING, STATS_PENDING_SECONDS):
            gauge.set(math.nan)
        QUEUE_READABLE.set(0)


class ProjectGauges(RefreshedGauges):
    """The gauges of the project, from `project_stats()`. It counts rows, so it is asked rarely."""

    def cached_s(self) -> float:
        """As `RefreshedGauges.cached_s`."""
        return PROJECT_STATS_CACHED_S

    def set(self, stats: dict[str, Any]) -> None:
        """As `RefreshedGauges.set`."""
        PROJECT_RECORDINGS.clear()
        for status, recordings in stats["recordings"].items():
            PROJECT_RECORDINGS.labels(status).set(float(recordings))
        for bucket, stored in stats["storage"].items():
            PROJECT_BYTES.labels(bucket).set(float(stored["bytes"]))
        for name in PROJECT_TOTALS:
            PROJECT_TOTAL.labels(name).set(float(stats[name]))
        PROJECT_READABLE.set(1)

    def clear(self) -> None:
        """As `RefreshedGauges.clear`."""
        for gauge in (PROJECT_RECORDINGS, PROJECT_BYTES, PROJECT_TOTAL):
            gauge.clear()
        PROJECT_READABLE.set(0)


def set_queue_gauges(stats: dict[str, Any]) -> None:
    """Set the gauges from what `queue_stats()` answers."""
    for queue, figures in stats["queues"].items():
        name = str(queue).removeprefix("soundscape_")
        for state in QUEUE_STATES:
            QUEUE_JOBS.labels(name, state).set(float(figures[state]))
        QUEUE_AGE_SECONDS.labels(name).set(float(figures["oldest_s"] or 0))
    STATS_PENDING.set(float(stats["statistics"]["pending"]))
    STATS_PENDING_SECONDS.set(float(stats["statistics"]["oldest_s"] or 0))
    QUEUE_READABLE.set(1)


def set_check_gauges(states: Mapping[str, str]) -> None:
    """Set the gauges of readiness from the state of each check: ok, degraded or failed."""
    for check, state in states.items():
        CHECK_STATE.labels(check).set(_STATE_NUMBERS[state])


def render() -> bytes:
    """All metrics in Prometheus's text format."""
    return generate_latest(REGISTRY)
