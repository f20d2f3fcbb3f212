"""The replication slot: passes committed changes on within milliseconds.

The slot is temporary and lives on one connection, so nothing stays when the process is killed. Reading it
costs about a millisecond even when it is empty. The position of the log tells whether there is anything to
read, for a tenth of that. While no channel is joined, it is read every few seconds, so that the log does not
grow.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import LiteralString

import psycopg
import structlog

from embedded_supabase.database import Connection
from embedded_supabase.embedded import EmbeddedSupabase
from embedded_supabase.postgres import SUPERUSER
from embedded_supabase.realtime.delivery import Delivery
from embedded_supabase.realtime.hub import Hub
from embedded_supabase.realtime.pgoutput import Change, Decoder, MalformedStream

PUBLICATIONS = "supabase_realtime,supabase_realtime_messages_publication"
POLL_S = 0.01
IDLE_POLL_S = 5.0
RETRY_S = 0.5
READY_TIMEOUT_S = 5.0
BATCH_CHANGES = 500
LOST = "The stream of changes was interrupted; some may be missing"
# These settle the text form of values in the stream.
SESSION = (
    "-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c bytea_output=hex -c extra_float_digits=1"
)

log = structlog.get_logger("embedded_supabase.realtime")

_CREATE = "select pg_create_logical_replication_slot(%s, 'pgoutput', temporary => true)"
_READ = """
select data from pg_logical_slot_get_binary_changes(
    %s, null, null, 'proto_version', '1', 'publication_names', %s
)
"""
_END = "select pg_current_wal_insert_lsn() - '0/0'"
# The hosted service drops old partitions.
_SWEEP = "delete from realtime.messages where inserted_at < now() - interval '3 days'"
_POSITION = "select pg_current_wal_flush_lsn() - '0/0'"


@dataclass
class Feed:
    """Reads the stream, and gives the changes that somebody asked for to `delivery` in batches."""

    embedded: EmbeddedSupabase
    hub: Hub
    delivery: Delivery

    def __post_init__(self) -> None:
        self._wake = asyncio.Event()
        self.ready = asyncio.Event()

    async def read_position(self) -> int:
        """The end of the log: later commits have higher positions. Raises `TimeoutError` while down."""
        async with asyncio.timeout(READY_TIMEOUT_S):
            await self.ready.wait()
        async with self.embedded.admin.connection() as connection:
            return await _read_number(connection, _END)

    def wake(self) -> None:
        """A channel has joined."""
        self._wake.set()

    async def run(self) -> None:
        """Read until cancelled. After a lost connection it starts again with a new slot."""
        while True:
            try:
                # As superuser: the stream has every published row.
                dsn = self.embedded.postgres.dsn(SUPERUSER)
                async with await psycopg.AsyncConnection.connect(
                    dsn, autocommit=True, options=SESSION, application_name="realtime"
                ) as connection:
                    await self._follow(connection)
            except (psycopg.Error, MalformedStream) as error:
                log.warning("realtime.stream_lost", error=str(error).strip())
            self.ready.clear()
            for channel in list(self.hub.channels()):
                if channel.bindings:
                    channel.push_system("postgres_changes", "error", LOST)
            await asyncio.sleep(RETRY_S)

    async def _follow(self, connection: Connection) -> None:
        slot = f"soundscape_realtime_{os.getpid()}_{secrets.token_hex(4)}"
        await connection.execute(_CREATE, [slot])
        await connection.execute(_SWEEP)
        self.ready.set()
        read_to = 0
        while True:
            position = await _read_number(connection, _POSITION)
            if position > read_to:
                async for batch in self._read(connection, slot):
                    await self.delivery.deliver(batch)
                read_to = position
            await self._pause()

    async def _pause(self) -> None:
        if self.hub:
            await asyncio.sleep(POLL_S)
            return
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IDLE_POLL_S):
                await self._wake.wait()

    async def _read(self, connection: Connection, slot: str) -> AsyncIterator[list[Change]]:
        """Everything committed since the last read, in batches: a transaction can be larger than memory."""
        decoder, batch = Decoder(), list[Change]()
        async with connection.cursor(binary=True) as cursor:
            async for (data,) in cursor.stream(_READ, [slot, PUBLICATIONS]):
                change = decoder.decode(data)
                if change is not None and self.delivery.is_wanted(change):
                    batch.append(change)
                if len(batch) >= BATCH_CHANGES:
                    yield batch
                    batch = []
        if batch:
            yield batch


async def _read_number(connection: Connection, query: LiteralString) -> int:
    row = await (await connection.execute(query)).fetchone()
    assert row is not None
    return int(row[0])
