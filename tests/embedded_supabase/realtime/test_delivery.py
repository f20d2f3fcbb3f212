"""What becomes of a change whose channel does not stay as it was while the database is asked."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from embedded_supabase.realtime import delivery, visibility
from tests.waiting import LIMIT_S

if TYPE_CHECKING:
    from tests.embedded_supabase.realtime.conftest import Server

NOTES = {"event": "INSERT", "schema": "heard", "table": "notes"}


@pytest.mark.parametrize("event", ["access_token", "phx_leave"])
async def test_a_channel_changes_while_the_database_is_asked(
    server: Server, alice: str, topic: str, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    is_asked, answer = threading.Event(), threading.Event()

    async def check_visibility(*asked: Any) -> list[visibility.Verdict]:
        is_asked.set()
        await asyncio.to_thread(answer.wait, LIMIT_S)
        return await visibility.check_visibility(*asked)

    async with server.connect() as client:
        await client.join(topic, token=server.token(alice), changes=[NOTES])
        monkeypatch.setattr(delivery, "check_visibility", check_visibility)
        server.sql("insert into heard.notes (owner, title) values (%s, 'meanwhile')", alice)
        assert await asyncio.to_thread(is_asked.wait, LIMIT_S)
        await client.send(f"realtime:{topic}", event, {"access_token": server.token(alice)})
        heartbeat = await client.send("phoenix", "heartbeat", {})
        while (await client.until("phx_reply"))["ref"] != heartbeat:
            pass  # what was sent before the heartbeat is done when that is answered
        answer.set()
        if event == "access_token":
            record = (await client.until("postgres_changes"))["payload"]["data"]["record"]
            assert record["title"] == "meanwhile"
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await client.until("postgres_changes")
