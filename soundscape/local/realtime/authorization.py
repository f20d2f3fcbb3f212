"""What the policies on `realtime.messages` let a caller do on a private topic.

As the real service does: two rows are inserted, then read back as the caller, and the caller tries
to insert two of its own; everything is rolled back. Policies see `realtime.topic()` and the row's
`extension`, which is `broadcast` or `presence`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog

from soundscape.local.stack import Pool
from soundscape.local.tokens import Caller

EXTENSIONS = ("broadcast", "presence")
STATEMENT_TIMEOUT_MS = "3000"

log = structlog.get_logger("soundscape.local.realtime")

_PLANT = """
insert into realtime.messages (topic, extension)
select %s, extension from unnest(%s::text[]) extension
returning id
"""
_BECOME = """
select set_config('role', %(role)s, true),
       set_config('realtime.topic', %(topic)s, true),
       set_config('request.jwt.claims', %(claims)s, true),
       set_config('request.jwt.claim.sub', %(sub)s, true),
       set_config('request.jwt.claim.role', %(role)s, true),
       set_config('request.headers', %(headers)s, true),
       set_config('statement_timeout', %(timeout)s, true)
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


async def permissions(
    admin: Pool, caller: Caller, topic: str, headers: Mapping[str, str] | None = None
) -> Permissions:
    """Ask the policies. A policy that fails allows nothing."""
    try:
        async with admin.connection() as connection, connection.transaction(force_rollback=True):
            planted = await connection.execute(_PLANT, [topic, list(EXTENSIONS)])
            ids = [id_ async for (id_,) in planted]
            await connection.execute(
                _BECOME,
                {
                    "role": caller.role,
                    "topic": topic,
                    "claims": json.dumps(caller.claims),
                    "sub": caller.user_id or "",
                    "headers": json.dumps(dict(headers or {})),
                    "timeout": STATEMENT_TIMEOUT_MS,
                },
            )
            return Permissions(
                read=await _readable(connection, topic, ids),
                write=frozenset([it for it in EXTENSIONS if await _writable(connection, topic, it)]),
            )
    except psycopg.Error as error:
        log.warning("realtime.policy_failed", topic=topic, error=str(error).strip())
        return Permissions(frozenset(), frozenset())


async def _readable(connection: psycopg.AsyncConnection[Any], topic: str, ids: list[Any]) -> frozenset[str]:
    try:
        async with connection.transaction():
            found = await connection.execute(_READ, [topic, ids])
            return frozenset([extension async for (extension,) in found])
    except psycopg.errors.InsufficientPrivilege:
        return frozenset()


async def _writable(connection: psycopg.AsyncConnection[Any], topic: str, extension: str) -> bool:
    try:
        async with connection.transaction():
            await connection.execute(_WRITE, [topic, extension])
            return True
    except psycopg.errors.InsufficientPrivilege:
        return False
