"""Queue, storage, index and sandbox with metrics and spans.

Each class overrides the methods that are observed. The code of a job stays free of telemetry: the claim loop
passes it these classes instead of their plain forms.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog

from soundscape.errors import LeaseLost, Refusal
from soundscape.project.fingerprint_index import FingerprintIndex, UncomparedRecording
from soundscape.project.objects import Objects
from soundscape.project.queue import Ending, Fault, Job, Queue
from soundscape.sandbox.parent import Sandbox
from soundscape.sandbox.protocol import Analysis
from soundscape.telemetry import metrics, traces

if TYPE_CHECKING:
    from soundscape.audio.fingerprint import Candidate, Fingerprint

log = structlog.get_logger(__name__)

MAX_LABELS = 100
_LABEL = re.compile(r"[a-z][a-z0-9_]{0,63}")
_codes: set[str] = set()
_stages: set[str] = set()


def make_label(name: Any, known: set[str]) -> str:
    """Make a label of an error's code or a stage's name.

    A child that a stranger's file has taken over may invent names. Those that look like none, and all beyond
    the first hundred, become "other".
    """
    if not isinstance(name, str) or not _LABEL.fullmatch(name):
        return "other"
    if name not in known and len(known) >= MAX_LABELS:
        return "other"
    known.add(name)
    return name


@contextmanager
def leg(name: str) -> Iterator[traces.Span]:
    """Time and trace a part of an attempt."""
    started_s = time.perf_counter()
    with traces.span(name) as span:
        try:
            yield span
        finally:
            metrics.LEG_SECONDS.labels(name).observe(time.perf_counter() - started_s)


@contextmanager
def count_lost_lease() -> Iterator[None]:
    """Count a lease that turns out to be lost."""
    try:
        yield
    except LeaseLost:
        metrics.LEASES_LOST.inc()
        raise


class ObservedQueue(Queue):
    """Counts how jobs end, and lost leases."""

    async def extend(self, job: Job, *, lease_s: int) -> None:
        """As `Queue.extend`."""
        with count_lost_lease():
            await super().extend(job, lease_s=lease_s)

    async def complete(self, job: Job, result: dict[str, Any]) -> None:
        """As `Queue.complete`."""
        with leg("complete"), count_lost_lease():
            await super().complete(job, result)
        metrics.JOBS.labels("succeeded", "").inc()

    async def refuse(self, job: Job, refusal: Refusal) -> Ending:
        """As `Queue.refuse`."""
        with count_lost_lease():
            ending = await super().refuse(job, refusal)
        metrics.JOBS.labels(str(ending), make_label(refusal.code, _codes)).inc()
        return ending

    async def put_back(self, job: Job, *, fault: Fault, code: str, message: str) -> Ending:
        """As `Queue.put_back`."""
        with count_lost_lease():
            ending = await super().put_back(job, fault=fault, code=code, message=message)
        metrics.JOBS.labels(str(ending), make_label(code, _codes)).inc()
        return ending


class ObservedObjects(Objects):
    """Times transfers and counts bytes."""

    async def fetch(self, *arguments: Any, **named: Any) -> int:
        """As `Objects.fetch`."""
        with leg("fetch") as span:
            size_bytes = await super().fetch(*arguments, **named)
            metrics.FETCHED_BYTES.inc(size_bytes)
            span.set_attribute("file.size", size_bytes)
            return size_bytes

    async def store(self, *arguments: Any, **named: Any) -> None:
        """As `Objects.store`."""
        with leg("store"):
            await super().store(*arguments, **named)


class ObservedFingerprintIndex(FingerprintIndex):
    """Times the queries of the index."""

    async def read_snapshot(self) -> str:
        """As `FingerprintIndex.read_snapshot`."""
        with leg("match"):
            return await super().read_snapshot()

    async def find_candidates(self, *arguments: Any, **named: Any) -> list[Candidate]:
        """As `FingerprintIndex.find_candidates`."""
        with leg("match"):
            return await super().find_candidates(*arguments, **named)

    async def read_fingerprints(self, recordings: list[str]) -> dict[str, Fingerprint]:
        """As `FingerprintIndex.read_fingerprints`."""
        with leg("match"):
            return await super().read_fingerprints(recordings)

    async def list_uncompared(self, limit: int) -> list[UncomparedRecording]:
        """As `FingerprintIndex.list_uncompared`."""
        with leg("match"):
            return await super().list_uncompared(limit)


class ObservedSandbox(Sandbox):
    """Times the stages, and counts children that ended before they answered."""

    async def analyze(self, *arguments: Any, **named: Any) -> Analysis:
        """As `Sandbox.analyze`."""
        with leg("analyze") as span:
            try:
                analysis = await super().analyze(*arguments, **named)
            except Refusal:
                raise
            except BaseException:
                # Everything else ends the child too: a crash, the time limit, a lost lease.
                metrics.CHILDREN_KILLED.inc()
                raise
            stages = read_stage_seconds(analysis.record)
            log.info("analysed", **{"soundscape.stages": stages, "process.max_rss": analysis.max_rss_bytes})
            for stage, seconds in stages.items():
                metrics.STAGE_SECONDS.labels(stage).observe(seconds)
                span.set_attribute(f"soundscape.stage.{stage}.seconds", seconds)
            return analysis


def read_stage_seconds(record: dict[str, Any]) -> dict[str, float]:
    """Read the seconds of each stage. Skips what is not a stage: the record comes from the child."""
    found: dict[str, float] = {}
    stages = record.get("stages")
    for stage in stages if isinstance(stages, list) else ():
        match stage:
            case {"name": str(name), "seconds": float() | int() as seconds} if 0 <= seconds < 1e6:
                found[make_label(name, _stages)] = float(seconds)
    return found
