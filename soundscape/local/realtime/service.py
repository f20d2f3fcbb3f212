"""Realtime for one stack: everything that its routes and its background work share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cache

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from soundscape.local.postgres import SUPERUSER
from soundscape.local.realtime.delivery import Delivery
from soundscape.local.realtime.feed import Feed
from soundscape.local.realtime.hub import Hub
from soundscape.local.stack import Stack

MESSAGE_RETENTION = "3 days"
SWEEP_S = 3600.0
_SWEEP = "delete from realtime.messages where inserted_at < now() - %s::interval"

log = structlog.get_logger("soundscape.local.realtime")


@dataclass(frozen=True)
class Limits:
    """For one connection; where the smallest hosted plan is strict, so are these."""

    channels: int = 100
    payload_bytes: int = 256 * 1024
    frame_bytes: int = 1024 * 1024
    queue_bytes: int = 8 * 1024 * 1024
    """What may wait for a client that reads slowly before it is dropped."""
    idle_s: float = 60.0
    """Without any frame, heartbeats included, a client is gone."""


class Service:
    """Lives from the first request for it until the process ends."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.limits = Limits()
        self.hub = Hub()
        delivery = Delivery(self.hub, stack.authenticator)
        self.feed = Feed(
            dsn=stack.postgres.dsn(SUPERUSER),
            admin=stack.admin,
            listening=lambda: bool(self.hub),
            wants=delivery.wants,
            deliver=delivery.deliver,
            interrupted=self._interrupted,
        )

    async def run(self) -> None:
        """The background work, until cancelled. May be started again if it fails."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.feed.run())
            tasks.create_task(self._sweep())

    def _interrupted(self) -> None:
        lost = "The stream of changes was interrupted; some may be missing"
        for channel in list(self.hub.channels()):
            if channel.bindings:
                channel.system("postgres_changes", "error", lost)

    async def _sweep(self) -> None:
        """Delete messages nobody will ask for again; the hosted service drops old partitions."""
        while True:
            try:
                async with self.stack.admin.connection() as connection:
                    await connection.execute(_SWEEP, [MESSAGE_RETENTION])
            except (psycopg.Error, PoolTimeout) as error:
                log.warning("realtime.sweep_failed", error=str(error).strip())
            await asyncio.sleep(SWEEP_S)


@cache
def service(stack: Stack) -> Service:
    """The one service of a stack, made when first asked for."""
    return Service(stack)
