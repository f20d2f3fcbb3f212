"""Bytes that no row names any more, found and removed: what a crash between two steps left behind."""

from __future__ import annotations

import asyncio
import time

import structlog

from soundscape.local.stack import Pool
from soundscape.local.storage.call import QUERIES
from soundscape.local.storage.files import Files

log = structlog.get_logger(__name__)
GRACE_S = 600.0
"""How long placed bytes may wait for their row: far longer than a transaction may last."""
SWEEP_INTERVAL_S = 300.0
IDLE_S = 3600.0
"""How long a body may lie half received without a further byte."""


async def sweep(
    pool: Pool, files: Files, *, grace_s: float = GRACE_S, idle_since: float | None = None
) -> int:
    """Remove placed versions older than `grace_s` that no row names, and abandoned bodies; how many.

    `idle_since` (Unix time) says since when a half-received body must have lain still: at start that is
    now, for its sender is gone with the process before. `pool` is of the tables' owner, who sees all.
    """
    before = time.time() - IDLE_S if idle_since is None else idle_since
    removed = await asyncio.to_thread(files.discard_incoming, before)
    candidates = await asyncio.to_thread(files.older_versions, grace_s)
    async with pool.connection() as connection:
        unused = await QUERIES.rows(connection, "versions_not_in_use", versions=candidates)
    for row in unused:
        await asyncio.to_thread(files.remove, row["version"])
    if removed + len(unused):
        log.info("storage.swept", removed=removed + len(unused))
    return removed + len(unused)
