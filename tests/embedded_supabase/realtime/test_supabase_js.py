"""The real JavaScript client: supabase-js in Node, unmodified, over protocol 2.0.0."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import TYPE_CHECKING

import pytest

from tests import node
from tests.waiting import LIMIT_S

if TYPE_CHECKING:
    from tests.embedded_supabase.realtime.conftest import Server


@pytest.mark.row("realtime.private", "realtime.expiry", by="js")
async def test_supabase_js(server: Server, alice: str) -> None:
    team = f"team-{uuid.uuid4().hex[:8]}"
    given = {
        "url": server.url,
        "key": server.keys.publishable_key,
        "token": server.token(alice, team=team, writer="yes"),
        "team": team,
        "brief": server.token(alice, lives_s=5),
        "schema": "heard",
    }
    running = await asyncio.create_subprocess_exec(
        *node.program("realtime.mjs"),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert running.stdin
    assert running.stdout
    assert running.stderr
    running.stdin.write(json.dumps(given).encode())
    running.stdin.close()
    try:
        async with asyncio.timeout(LIMIT_S):
            await _line(running, "ready")
            server.sql("insert into heard.notes (owner, title) values (%s, 'from another')", uuid.uuid4())
            insert = (
                "insert into heard.notes (owner, title, tags, score) values (%s, 'from js', '{a,b}', 1.5)"
            )
            server.sql(insert, alice)
            await _line(running, "inserted")
            server.sql("delete from heard.notes where title = 'from js'")
            await _line(running, "private")
            server.sql("select realtime.send('{\"a\": 1}', 'e', %s)", team)
            await _line(running, "seen")
            seen = json.loads(await running.stdout.readline())
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()
    assert seen["changes_status"] == ["SUBSCRIBED", None]
    assert (seen["ready"], seen["back"]) == ("ok", "ok")
    assert seen["inserted"]["eventType"] == "INSERT"
    assert (seen["inserted"]["new"]["tags"], seen["inserted"]["new"]["score"]) == (["a", "b"], 1.5)
    assert seen["deleted"]["old"] == {"id": seen["inserted"]["new"]["id"]}
    assert seen["sent"] == "ok"
    assert seen["shout"]["payload"] == {"words": "é😀"}
    assert seen["bytes"] == [0, 255]
    assert (seen["http_sent"], seen["http"]) == ({"success": True}, {"a": [1, None]})
    assert (seen["track"], seen["untrack"]) == ("ok", "ok")
    assert (seen["arrived"], seen["gone"]) == (["alice", "calm"], "alice")
    assert seen["member"] == ["SUBSCRIBED", None]
    assert seen["outsider"][0] == "CHANNEL_ERROR"
    assert "You do not have permissions to read" in seen["outsider"][1]
    assert seen["private_message"] == 1
    assert seen["left"] == "ok"
    assert seen["expired"] == ["Token has expired", "CLOSED"]


async def _line(running: asyncio.subprocess.Process, expected: str) -> None:
    assert running.stdout
    assert running.stderr
    line = (await running.stdout.readline()).decode().strip()
    if line != expected:
        pytest.fail(f"{line!r} instead of {expected!r}: {(await running.stderr.read()).decode()[-2000:]}")
