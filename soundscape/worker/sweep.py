"""The sweep: deletes objects whose recording is gone, and re-queues whatever was missed."""

from __future__ import annotations

import asyncio

import structlog

from soundscape.errors import ProjectError
from soundscape.project.fingerprint_index import FingerprintIndex
from soundscape.project.objects import Objects
from soundscape.project.queue import Queue
from soundscape.worker.duplicates import compare_simultaneous, index_older_recordings

log = structlog.get_logger(__name__)

RECONCILE_INTERVAL_S = 300.0
DELETIONS_PER_BATCH = 100
MAX_DELETING_S = 60.0
"""With one more request, well below `soundscape.deletion_grace()`: after it a name may be in use again."""


class Sweep:
    """Work that every worker does beside its jobs. Two workers may do it at the same time.

    Parameters
    ----------
    queue, objects, index
        The project.
    interval_s
        Pause between two runs.
    """

    def __init__(self, queue: Queue, objects: Objects, index: FingerprintIndex, *, interval_s: float) -> None:
        self._queue = queue
        self._objects = objects
        self._index = index
        self._interval_s = interval_s

    async def run(self) -> None:
        """Sweep again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        reconciled_at = -RECONCILE_INTERVAL_S
        while True:
            try:
                await self._delete_objects()
                await compare_simultaneous(self._index)
                if loop.time() - reconciled_at >= RECONCILE_INTERVAL_S:
                    await self._queue.reconcile()
                    reconciled_at = loop.time()
                    await index_older_recordings(self._index, self._objects)
            except ProjectError as error:
                log.warning("the sweep failed, it is run again", error=str(error))
            except Exception:
                log.exception("the sweep failed unexpectedly, it is run again")
            await asyncio.sleep(self._interval_s)

    async def _delete_objects(self) -> None:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        for bucket, names in await self._queue.list_deletions(DELETIONS_PER_BATCH):
            if loop.time() - started_s > MAX_DELETING_S:
                break
            try:
                await self._objects.remove(bucket, names)
            except ProjectError as error:
                # These are retried later and later; the batches behind them must not wait.
                log.warning("objects were not deleted", bucket=bucket, names=names[:5], error=str(error))
                continue
            await self._queue.confirm_deletions(bucket, names)
