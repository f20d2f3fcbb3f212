"""What operators count, in Prometheus's words. One registry a process; `GET /api/metrics` prints it.

Names follow https://prometheus.io/docs/practices/naming/. Labels take their values from short lists of
ours, never from what a stranger sent.
"""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

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
    "Parts of an attempt: fetch, analyze, store, complete.",
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
