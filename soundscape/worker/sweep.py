"""The sweep: deletes objects and accounts that are to go, and re-queues whatever was missed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from soundscape.errors import ProjectError
from soundscape.project.closed_accounts import ClosedAccounts
from soundscape.project.fingerprint_index import FingerprintIndex
from soundscape.project.objects import Objects
from soundscape.project.queue import Queue
from soundscape.project.statistics import Statistics
from soundscape.worker.duplicates import compare_simultaneous, index_older_recordings
from soundscape.worker.renames import rename_objects

log = structlog.get_logger(__name__)

RECONCILE_INTERVAL_S = 300.0
ROLL_UP_INTERVAL_S = 600.0
MIN_PAUSE_S = 0.5
DELETIONS_PER_BATCH = 100
MAX_EMPTYING_S = 30.0
MAX_ROLLING_UP_S = 30.0
MAX_DELETING_S = 60.0
"""With one more request, well below `soundscape.deletion_grace()`: after it a name may be in use again."""


class Sweep:
    """Work that every worker does beside its jobs. Two workers may do it at the same time.

    Parameters
    ----------
    queue, objects, index, accounts, statistics
        The project.
    interval_s
        Pause between two runs, unless it is woken.
    """

    def __init__(
        self,
        queue: Queue,
        objects: Objects,
        index: FingerprintIndex,
        accounts: ClosedAccounts,
        statistics: Statistics,
        *,
        interval_s: float,
    ) -> None:
        self._queue = queue
        self._objects = objects
        self._index = index
        self._accounts = accounts
        self._statistics = statistics
        self._interval_s = interval_s
        self._wake = asyncio.Event()
        self._reconciled_at = -RECONCILE_INTERVAL_S
        self._rolled_up_at = -ROLL_UP_INTERVAL_S

    def wake(self) -> None:
        """Run soon."""
        self._wake.set()

    async def run(self) -> None:
        """Sweep again and again, until cancelled."""
        # Renames first, because they leave objects to delete.
        steps = (
            self._delete_accounts,
            self._rename_objects,
            self._delete_objects,
            self._compare_simultaneous,
            self._reconcile,
            self._roll_up_stats,
        )
        while True:
            self._wake.clear()
            for step in steps:
                await self._try(step)
            # Many doorbells make one run.
            await asyncio.sleep(min(MIN_PAUSE_S, self._interval_s))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s - MIN_PAUSE_S):
                    await self._wake.wait()

    async def _try(self, step: Callable[[], Awaitable[None]]) -> None:
        """Run a step. If it fails, it is run again in the next sweep, and the others are run all the same."""
        try:
            await step()
        except ProjectError as error:
            # For example a project that was not deployed again.
            log.warning("a step of the sweep failed", step=step.__name__, error=str(error))
        except Exception:
            log.exception("a step of the sweep failed unexpectedly", step=step.__name__)

    async def _rename_objects(self) -> None:
        await rename_objects(self._queue, self._objects)

    async def _compare_simultaneous(self) -> None:
        await compare_simultaneous(self._index)

    async def _reconcile(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._reconciled_at < RECONCILE_INTERVAL_S:
            return
        await self._queue.reconcile()
        self._reconciled_at = loop.time()
        await index_older_recordings(self._index, self._objects)

    async def _roll_up_stats(self) -> None:
        """As pg_cron does, where that is missing."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._rolled_up_at < ROLL_UP_INTERVAL_S:
            return
        started_s = loop.time()
        while await self._statistics.roll_up() and loop.time() - started_s < MAX_ROLLING_UP_S:
            pass
        self._rolled_up_at = loop.time()

    async def _delete_accounts(self) -> None:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        # The rest waits for the next run, so that objects are deleted meanwhile.
        while await self._accounts.empty() and loop.time() - started_s < MAX_EMPTYING_S:
            pass
        for user_id in await self._accounts.list_emptied():
            try:
                await self._accounts.delete_user(user_id)
            except ProjectError as error:
                log.warning("a user was not deleted", error=str(error))

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
