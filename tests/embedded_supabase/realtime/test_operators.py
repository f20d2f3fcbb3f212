"""A filter has the operators that the registry says it has, and hands their SQL to the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from embedded_supabase.operators import OPERATORS, Operator

if TYPE_CHECKING:
    from tests.embedded_supabase.realtime.conftest import Server


async def test_a_made_up_operator_filters(
    server: Server, alice: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OPERATORS, "starts", Operator("^@", "simple", in_realtime=True))
    notes = {"event": "INSERT", "schema": "heard", "table": "notes", "filter": "title=starts.made"}
    async with server.connect() as client:
        await client.join(topic, token=server.token(alice), changes=[notes])
        for title in ("not made up", "made up"):
            server.sql("insert into heard.notes (owner, title) values (%s, %s)", alice, title)
        record = (await client.until("postgres_changes"))["payload"]["data"]["record"]
        assert record["title"] == "made up"
