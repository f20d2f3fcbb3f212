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
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from soundscape.local.postgres import SUPERUSER
from soundscape.local.stack import Queries, Stack

USER_AGENT = "pg_net/0.19.5"
CHANNEL = "soundscape_net"
BATCH = 50
POLL_S = 5.0
"""A notification can be missed while reconnecting; the queue is looked at this often regardless."""
QUERIES = Queries(Path(__file__).with_name("background.sql"))


async def run(stack: Stack) -> None:
    """Send until cancelled."""
    dsn, headers = stack.postgres.dsn(SUPERUSER), {"User-Agent": USER_AGENT}
    async with (
        httpx.AsyncClient(follow_redirects=True, trust_env=False, headers=headers) as client,
        await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection,
    ):
        await connection.execute(f"listen {CHANNEL}")
        while True:
            if asked := await QUERIES.rows(connection, "take_requests", most=BATCH):
                await asyncio.gather(*(_send(stack, client, each) for each in asked))
                continue
            await QUERIES.rows(connection, "forget_answers")
            async for _ in connection.notifies(timeout=POLL_S, stop_after=1):
                pass


async def _send(stack: Stack, client: httpx.AsyncClient, asked: DictRow) -> None:
    answer, timeout_ms = {"id": asked["id"]}, asked["timeout_milliseconds"]
    try:
        # pg_net passes every value of a header on as its text.
        headers = {name: _text(value) for name, value in (asked["headers"] or {}).items()}
        response = await client.request(
            asked["method"], asked["url"], headers=headers, content=asked["body"], timeout=timeout_ms / 1000
        )
        answer |= {"status_code": response.status_code, "headers": dict(response.headers)}
        answer["content"] = response.text.replace("\x00", "")
    except httpx.TimeoutException:
        answer |= {"timed_out": True, "error_msg": f"Timeout of {timeout_ms} ms reached"}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, AttributeError) as error:
        # The last two: headers that are no object or no ASCII. One bad request must not lose the others.
        answer["error_msg"] = str(error) or type(error).__name__
    async with stack.admin.connection() as connection:
        await QUERIES.rows(connection, "keep_answer", answer=Jsonb(answer))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
