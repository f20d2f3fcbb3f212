"""The doors to queue, storage and analysis, with what passes through them counted and timed.

The code of a job stays free of it: the loop hands these to an attempt instead of their plain forms.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from soundscape.errors import LeaseLost, Refusal
from soundscape.project.fingerprints import Fingerprints
from soundscape.project.objects import Objects
from soundscape.project.queue import Queue
from soundscape.sandbox.parent import Sandbox
from soundscape.sandbox.protocol import Analysis
from soundscape.telemetry import metrics, traces

log = structlog.get_logger(__name__)

MOST_LABELS = 100
_LABEL = re.compile(r"[a-z][a-z0-9_]{0,63}")
_codes: set[str] = set()
_stages: set[str] = set()


def label(name: Any, known: set[str]) -> str:
    """An error's code or a stage's name as a label; "other" for what is none, or the hundred-and-first: a
    child that strangers' bytes have taken over may invent any.
    """
    if not isinstance(name, str) or not _LABEL.fullmatch(name):
        return "other"
    if name not in known and len(known) >= MOST_LABELS:
        return "other"
    known.add(name)
    return name


@contextmanager
def leg(name: str) -> Iterator[traces.Span]:
    """Time a part of an attempt, and trace it."""
    begin = time.perf_counter()
    with traces.span(name) as span:
        try:
            yield span
        finally:
            metrics.LEG_SECONDS.labels(name).observe(time.perf_counter() - begin)


class ObservedQueue(Queue):
    """Counts how jobs end, and leases that are lost."""

    async def _call(self, function: str, /, **arguments: Any) -> Any:
        try:
            if function == "complete_job":
                with leg("complete"):
                    answer = await super()._call(function, **arguments)
            else:
                answer = await super()._call(function, **arguments)
        except LeaseLost:
            metrics.LEASES_LOST.inc()
            raise
        if function == "complete_job":
            metrics.JOBS.labels("succeeded", "").inc()
        elif function == "fail_job":
            metrics.JOBS.labels(str(answer), label(arguments.get("code"), _codes)).inc()
        return answer


class ObservedObjects(Objects):
    """Counts bytes."""

    async def fetch(self, *arguments: Any, **named: Any) -> int:
        with leg("fetch") as span:
            size_bytes = await super().fetch(*arguments, **named)
            metrics.FETCHED_BYTES.inc(size_bytes)
            span.set_attribute("file.size", size_bytes)
            return size_bytes

    async def store(self, *arguments: Any, **named: Any) -> None:
        with leg("store"):
            await super().store(*arguments, **named)


class ObservedFingerprints(Fingerprints):
    """Times what the index takes to answer."""

    async def _call(self, function: str, /, **arguments: Any) -> Any:
        with leg("recognise"):
            return await super()._call(function, **arguments)


class ObservedSandbox(Sandbox):
    """Times the stages, and counts children that did not live to their answer."""

    async def analyze(self, *arguments: Any, **named: Any) -> Analysis:
        with leg("analyze") as span:
            try:
                analysis = await super().analyze(*arguments, **named)
            except Refusal:
                raise
            except BaseException:
                # Whatever else ends an analysis ends its child: a crash, the clock, a lease that was lost.
                metrics.CHILDREN_KILLED.inc()
                raise
            stages = stage_seconds(analysis.record)
            log.info("analysed", **{"soundscape.stages": stages, "process.max_rss": analysis.max_rss_bytes})
            for stage, seconds in stages.items():
                metrics.STAGE_SECONDS.labels(stage).observe(seconds)
                span.set_attribute(f"soundscape.stage.{stage}.seconds", seconds)
            return analysis


def stage_seconds(record: dict[str, Any]) -> dict[str, float]:
    """Seconds by stage; what is no stage is left out, since the record comes from the child."""
    found: dict[str, float] = {}
    stages = record.get("stages")
    for stage in stages if isinstance(stages, list) else ():
        match stage:
            case {"name": str(name), "seconds": float() | int() as seconds} if 0 <= seconds < 1e6:
                found[label(name, _stages)] = float(seconds)
    return found
