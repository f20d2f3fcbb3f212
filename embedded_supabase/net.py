"""The sending half of pg_net: takes requests off `net.http_request_queue` and performs them.

Like pg_net: after commit, once, never retried; the answer lands in `net._http_response` for six hours.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import psycopg
import structlog
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from embedded_supabase.database import Queries
from embedded_supabase.embedded import EmbeddedSupabase
from embedded_supabase.postgres import SUPERUSER

log = structlog.get_logger(__name__)

USER_AGENT = "pg_net/0.19.5"
CHANNEL = "soundscape_net"
MOST_AT_ONCE = 50
"""Requests under way. One whose peer is slow has a place until its time is over; the others go on."""
POLL_S = 5.0
"""A notification can be missed while reconnecting; the queue is looked at this often regardless."""
QUERIES = Queries(Path(__file__).with_name("background.sql"))


async def run(embedded: EmbeddedSupabase) -> None:
    """Send until cancelled."""
    dsn, headers = embedded.postgres.dsn(SUPERUSER), {"User-Agent": USER_AGENT}
    running: set[asyncio.Task[None]] = set()
    async with (
        httpx.AsyncClient(follow_redirects=True, trust_env=False, headers=headers) as client,
        await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection,
        asyncio.TaskGroup() as group,
    ):
        await connection.execute(f"listen {CHANNEL}")
        while True:
            if len(running) == MOST_AT_ONCE:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            asked = await QUERIES.rows(connection, "take_requests", most=MOST_AT_ONCE - len(running))
            for each in asked:
                task = group.create_task(_send(embedded, client, each))
                running.add(task)
                task.add_done_callback(running.discard)
            if asked:
                continue
            await QUERIES.rows(connection, "forget_answers")
            async for _ in connection.notifies(timeout=POLL_S, stop_after=1):
                pass


async def _send(embedded: EmbeddedSupabase, client: httpx.AsyncClient, asked: DictRow) -> None:
    answer, timeout_ms = {"id": asked["id"]}, asked["timeout_milliseconds"]
    try:
        # pg_net passes every value of a header on as its text.
        headers = {name: _text(value) for name, value in (asked["headers"] or {}).items()}
        limit_s = timeout_ms / 1000
        async with asyncio.timeout(limit_s):  # httpx gives that time to each read; it is meant for the whole
            response = await client.request(
                asked["method"], asked["url"], headers=headers, content=asked["body"], timeout=limit_s
            )
        answer |= {"status_code": response.status_code, "headers": dict(response.headers)}
        # As pg_net: the bytes, whatever charset they are said to be in.
        answer["content"] = response.content.decode(errors="replace").replace("\x00", "")
    except (TimeoutError, httpx.TimeoutException):
        answer |= {"timed_out": True, "error_msg": f"Timeout of {timeout_ms} ms reached"}
    except Exception as error:
        # Whatever is wrong with one request or its answer, it must not lose the others.
        if not isinstance(error, httpx.HTTPError):
            log.exception("a request could not be sent or its answer not be read", request_id=asked["id"])
        answer["error_msg"] = str(error) or type(error).__name__
    async with embedded.admin.connection() as connection:
        await QUERIES.rows(connection, "keep_answer", answer=Jsonb(answer))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
