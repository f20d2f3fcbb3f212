"""The sending half of pg_net: takes requests off `net.http_request_queue` and performs them.

Like pg_net: after commit, once, never retried; the answer lands in `net._http_response` for six hours.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import psycopg

from soundscape.local.postgres import SUPERUSER
from soundscape.local.queries import read_queries
from soundscape.local.stack import Stack

USER_AGENT = "pg_net/0.19.5"
CHANNEL = "soundscape_net"
BATCH = 50
POLL_S = 5.0
"""A notification can be missed while reconnecting; the queue is looked at this often regardless."""
QUERIES = read_queries(Path(__file__).with_name("background.sql"))


async def run(stack: Stack) -> None:
    """Send until cancelled."""
    async with (
        httpx.AsyncClient(
            follow_redirects=True, trust_env=False, headers={"User-Agent": USER_AGENT}
        ) as client,
        await psycopg.AsyncConnection.connect(stack.postgres.dsn(SUPERUSER), autocommit=True) as connection,
    ):
        await connection.execute(f"listen {CHANNEL}")
        while True:
            rows = await (await connection.execute(QUERIES["take_requests"].encode(), (BATCH,))).fetchall()
            if rows:
                await asyncio.gather(*(_send(stack, client, row) for row in rows))
                continue
            await connection.execute(QUERIES["forget_answers"].encode())
            async for _ in connection.notifies(timeout=POLL_S, stop_after=1):
                pass


async def _send(stack: Stack, client: httpx.AsyncClient, row: Sequence[Any]) -> None:
    request_id, method, url, headers, body, timeout_ms = row
    answer: tuple[Any, ...]
    try:
        response = await client.request(
            method,
            url,
            # pg_net passes every value on as its text.
            headers={name: _text(value) for name, value in (headers or {}).items()},
            content=body,
            timeout=timeout_ms / 1000,
        )
        answer = (
            response.status_code,
            response.headers.get("content-type"),
            json.dumps(dict(response.headers)),
            response.text.replace("\x00", ""),
            False,
            None,
        )
    except httpx.TimeoutException:
        answer = (None, None, None, None, True, f"Timeout of {timeout_ms} ms reached")
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, AttributeError) as error:
        # The last two: headers that are no object or no ASCII. One bad request must not lose the others.
        answer = (None, None, None, None, False, str(error) or type(error).__name__)
    async with stack.admin.connection() as connection:
        await connection.execute(QUERIES["keep_answer"].encode(), (request_id, *answer))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
