"""What the policies on `realtime.messages` let a caller do on a private topic.

As the real service does: two rows are inserted, then read back as the caller, and the caller tries
to insert two of its own; everything is rolled back. Policies see `realtime.topic()` and the row's
`extension`, which is `broadcast` or `presence`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
import structlog

from soundscape.local.stack import Connection, Pool, become
from soundscape.local.tokens import Caller

EXTENSIONS = ("broadcast", "presence")

log = structlog.get_logger("soundscape.local.realtime")

_PLANT = """
insert into realtime.messages (topic, extension)
select %s, extension from unnest(%s::text[]) extension
returning id
"""
_READ = "select extension from realtime.messages where topic = %s and id = any (%s)"
_WRITE = "insert into realtime.messages (topic, extension) values (%s, %s)"


@dataclass(frozen=True)
class Permissions:
    """What a channel may do with each of the two extensions."""

    read: frozenset[str]
    write: frozenset[str]


EVERYTHING = Permissions(frozenset(EXTENSIONS), frozenset(EXTENSIONS))
"""A public topic's."""


async def permissions(admin: Pool, caller: Caller, topic: str, headers: str = "{}") -> Permissions:
    """Ask the policies. A policy that fails allows nothing. `headers` is a JSON object."""
    try:
        async with admin.connection() as connection, connection.transaction(force_rollback=True):
            planted = await connection.execute(_PLANT, [topic, list(EXTENSIONS)])
            ids = [id_ async for (id_,) in planted]
            settings = {"realtime.topic": topic, "request.headers": headers, "statement_timeout": "3s"}
            await become(connection, caller, settings)
            read = await _attempt(connection, _READ, [topic, ids])
            write = [it for it in EXTENSIONS if await _attempt(connection, _WRITE, [topic, it]) is not None]
            return Permissions(frozenset(it for (it,) in read or ()), frozenset(write))
    except psycopg.Error as error:
        log.warning("realtime.policy_failed", topic=topic, error=str(error).strip())
        return Permissions(frozenset(), frozenset())


async def _attempt(
    connection: Connection, statement: LiteralString, parameters: list[Any]
) -> list[tuple[Any, ...]] | None:
    """The rows, if any come back; None where the caller may not."""
    try:
        async with connection.transaction():
            cursor = await connection.execute(statement, parameters)
            return await cursor.fetchall() if cursor.description else []
    except psycopg.errors.InsufficientPrivilege:
        return None
