"""Bytes that no row names any more, found and removed: what a crash between two steps left behind."""

from __future__ import annotations

import asyncio
import time
from itertools import islice

import structlog

from soundscape.local.storage.database import Session
from soundscape.local.storage.files import Files

log = structlog.get_logger(__name__)
GRACE_S = 600.0
"""How long placed bytes may wait for their row: far longer than a transaction may last."""
SWEEP_INTERVAL_S = 300.0
IDLE_S = 3600.0
"""How long a body may lie half received without a further byte."""
BATCH = 500


async def sweep(
    session: Session, files: Files, *, grace_s: float = GRACE_S, idle_since: float | None = None
) -> int:
    """Remove placed versions older than `grace_s` that no row names, and abandoned bodies; how many.

    `idle_since` (Unix time) says since when a half-received body must have lain still: at start that is
    now, for its sender is gone with the process before.
    """
    before = time.time() - IDLE_S if idle_since is None else idle_since
    removed = await asyncio.to_thread(files.discard_incoming, before)
    candidates = await asyncio.to_thread(lambda: list(files.older_versions(grace_s)))
    remaining = iter(candidates)
    while batch := list(islice(remaining, BATCH)):
        rows = await session.rows("versions_in_use", service=True, versions=batch)
        used = {row["version"] for row in rows}
        for version in batch:
            if version not in used:
                files.remove(version)
                removed += 1
    if removed:
        log.info("storage.swept", removed=removed)
    return removed
