"""pg_net's worker: sends the requests in `net.http_request_queue`. Its SQL is an extension.

Like pg_net: after commit, once, never retried. The response stays in `net._http_response` for six hours.
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
MAX_AT_ONCE = 50
"""Requests under way at the same time. A slow peer occupies one of them until its timeout."""
POLL_S = 5.0
"""How often the queue is read without a notification: one can be missed while reconnecting."""
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
            while len(running) >= MAX_AT_ONCE:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            asked = await QUERIES.fetch(connection, "take_requests", limit=MAX_AT_ONCE - len(running))
            for each in asked:
                task = group.create_task(_send(embedded, client, each))
                running.add(task)
                task.add_done_callback(running.discard)
            if asked:
                continue
            await QUERIES.fetch(connection, "forget_responses")
            async for _ in connection.notifies(timeout=POLL_S, stop_after=1):
                pass


async def _send(embedded: EmbeddedSupabase, client: httpx.AsyncClient, asked: DictRow) -> None:
    row, timeout_ms = {"id": asked["id"]}, asked["timeout_milliseconds"]
    try:
        # pg_net sends every header value as text.
        headers = {name: _write_text(value) for name, value in (asked["headers"] or {}).items()}
        limit_s = timeout_ms / 1000
        async with asyncio.timeout(limit_s):  # httpx gives this time to each read; pg_net means the whole
            response = await client.request(
                asked["method"], asked["url"], headers=headers, content=asked["body"], timeout=limit_s
            )
        row |= {"status_code": response.status_code, "headers": dict(response.headers)}
        # As pg_net: the bytes, whatever charset the response names.
        row["content"] = response.content.decode(errors="replace").replace("\x00", "")
    except (TimeoutError, httpx.TimeoutException):
        row |= {"timed_out": True, "error_msg": f"Timeout of {timeout_ms} ms reached"}
    except Exception as error:
        # A failure of one request must not lose the others.
        if not isinstance(error, httpx.HTTPError):
            log.exception("a request failed", request_id=asked["id"])
        row["error_msg"] = str(error) or type(error).__name__
    async with embedded.admin.connection() as connection:
        await QUERIES.fetch(connection, "keep_response", response=Jsonb(row))


def _write_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
