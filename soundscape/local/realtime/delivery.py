"""Committed changes, taken to the channels that asked for them and may see them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import structlog

from soundscape.local.realtime.cell import json_value
from soundscape.local.realtime.change import Change
from soundscape.local.realtime.channel import Channel
from soundscape.local.realtime.hub import BroadcastPayload, Hub
from soundscape.local.realtime.pgoutput import RowChange
from soundscape.local.realtime.serializer import Message, UserBroadcast
from soundscape.local.realtime.table import Table, load_tables
from soundscape.local.realtime.visibility import Callers, Conditions, Verdict, judge
from soundscape.local.stack import Pool

log = structlog.get_logger("soundscape.local.realtime")


@dataclass
class Delivery:
    hub: Hub
    admin: Pool
    callers: Callers

    def wants(self, row: RowChange) -> bool:
        return _is_message(row) or any(self._listeners(row))

    async def deliver(self, batch: list[Change]) -> None:
        """In the order of the commits. Channels see a change once, with all its matching bindings."""
        for change in batch:
            if _is_message(change.row):
                self._broadcast(change)
        changes = [change for change in batch if not _is_message(change.row)]
        if not changes:
            return
        async with self.admin.connection() as connection:
            tables = await load_tables(connection, {change.row.relation.oid for change in changes})
        verdicts = await self._judge(changes, tables)
        for change in changes:
            table = tables.get(change.row.relation.oid)
            if table is not None:
                self._send(change, table, verdicts)

    def _listeners(self, row: RowChange) -> Iterator[Channel]:
        for channel in self.hub.channels():
            relation = row.relation
            if any(it.wants(row.kind, relation.schema, relation.name) for it in channel.bindings):
                yield channel

    async def _judge(self, changes: list[Change], tables: dict[int, Table]) -> dict[tuple[int, str], Verdict]:
        """Verdicts by change and caller, one question to the database a table and caller."""
        asked: dict[tuple[int, str], tuple[Channel, list[Change], dict[Conditions, None]]] = {}
        for change in changes:
            oid = change.row.relation.oid
            for channel in self._listeners(change.row):
                if oid not in tables or change.commit_lsn < channel.since_lsn:
                    continue
                _, rows, filters = asked.setdefault((oid, channel.token), (channel, [], {}))
                if not rows or rows[-1] is not change:
                    rows.append(change)
                filters.update({it.conditions: None for it in channel.bindings if it.conditions})
        answers = await asyncio.gather(
            *(
                judge(self.callers, channel.caller, tables[oid], rows, self._fitting(tables[oid], filters))
                for (oid, _), (channel, rows, filters) in asked.items()
            )
        )
        return {
            (id(change), token): verdict
            for ((_, token), (_, rows, _)), verdicts in zip(asked.items(), answers, strict=True)
            for change, verdict in zip(rows, verdicts, strict=True)
        }

    @staticmethod
    def _fitting(table: Table, filters: dict[Conditions, None]) -> list[Conditions]:
        """Filters of other tables' bindings on the same channel may name columns that are not here."""
        names = {column.name for column in table.columns}
        return [found for found in filters if names.issuperset(condition.column for condition in found)]

    def _send(self, change: Change, table: Table, verdicts: dict[tuple[int, str], Verdict]) -> None:
        payloads: dict[Any, dict[str, Any]] = {}
        for channel in list(self._listeners(change.row)):
            verdict = verdicts.get((id(change), channel.token))
            if verdict is None or change.commit_lsn < channel.since_lsn:
                continue
            relation = change.row.relation
            wanted = [it for it in channel.bindings if it.wants(change.kind, relation.schema, relation.name)]
            if verdict.error is not None:
                self._push(channel, [it.id for it in wanted], change.refusal(table, verdict.error))
                continue
            by_select: dict[Any, list[int]] = {}
            for binding in wanted:
                if verdict.visible and (not binding.conditions or binding.conditions in verdict.passes):
                    by_select.setdefault(binding.select, []).append(binding.id)
            for select, ids in by_select.items():
                key = (channel.caller.role, select)
                if key not in payloads:
                    payloads[key] = change.payload(table, channel.caller.role, select)
                self._push(channel, ids, payloads[key])

    @staticmethod
    def _push(channel: Channel, ids: list[int], data: dict[str, Any]) -> None:
        channel.connection.send(Message(channel.topic, "postgres_changes", {"ids": ids, "data": data}))

    def _broadcast(self, change: Change) -> None:
        """A row of `realtime.messages`: sent from SQL."""
        row = change.row.new
        topic, event = row.get("topic"), row.get("event")
        if not topic or event is None or row.get("extension") != "broadcast":
            return
        payload: BroadcastPayload
        if row.get("binary_payload") is not None:
            content = bytes.fromhex(str(row["binary_payload"]).removeprefix("\\x"))
            payload = UserBroadcast(event, content, is_json=False, meta={"id": row["id"]})
        else:
            sent = json_value(row.get("payload"), "jsonb")
            payload = {"type": "broadcast", "event": event, "payload": sent, "meta": {"id": row["id"]}}
        self.hub.broadcast(topic, row.get("private") == "t", payload, commit_lsn=change.commit_lsn)


def _is_message(row: RowChange) -> bool:
    return (row.relation.schema, row.relation.name) == ("realtime", "messages")
