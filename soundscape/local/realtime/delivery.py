"""Committed changes, taken to the channels that asked for them and may see them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from soundscape.local.realtime import json_text
from soundscape.local.realtime.binding import Binding
from soundscape.local.realtime.change import Change
from soundscape.local.realtime.channel import Channel
from soundscape.local.realtime.hub import BroadcastPayload, Hub
from soundscape.local.realtime.pgoutput import RowChange
from soundscape.local.realtime.serializer import Message, UserBroadcast
from soundscape.local.realtime.table import Table, as_json, load_tables
from soundscape.local.realtime.visibility import Conditions, Verdict, judge
from soundscape.local.stack import Connection, Pool

Records = dict[str, dict[str, Any]]
"""What a payload holds of a change, by `record` and `old_record`."""


@dataclass
class Delivery:
    hub: Hub
    admin: Pool
    callers: Pool

    def wants(self, row: RowChange) -> bool:
        return _is_message(row) or any(self._listeners(row))

    async def deliver(self, batch: list[Change]) -> None:
        """In the order of the commits. Channels see a change once, with all its matching bindings."""
        changes: dict[int, list[Change]] = {}
        for change in batch:
            if _is_message(change.row):
                self._broadcast(change)
            else:
                changes.setdefault(change.row.relation.oid, []).append(change)
        if not changes:
            return
        async with self.admin.connection() as connection:
            tables = await load_tables(connection, changes)
            known = {oid: changes[oid] for oid in tables}
            records = [await _records(connection, tables[oid], found) for oid, found in known.items()]
        shown = {id(change): record for found in records for change, record in found}
        verdicts = await self._judge(known, tables)
        for change in batch:
            if id(change) in shown:
                self._send(change, tables[change.row.relation.oid], verdicts, shown[id(change)])

    def _listeners(self, row: RowChange) -> Iterator[tuple[Channel, list[Binding]]]:
        for channel in list(self.hub.channels()):
            relation = row.relation
            wanted = [it for it in channel.bindings if it.wants(row.kind, relation.schema, relation.name)]
            if wanted:
                yield channel, wanted

    async def _judge(
        self, changes: dict[int, list[Change]], tables: dict[int, Table]
    ) -> dict[tuple[int, str], Verdict]:
        """Verdicts by change and caller, one question to the database a table and caller."""
        asked: dict[tuple[int, str], tuple[Channel, dict[int, Change], dict[Conditions, None]]] = {}
        for oid, found in changes.items():
            # Filters of other tables' bindings on the same channel may name columns that are not here.
            names = {column.name for column in tables[oid].columns}
            for change in found:
                for channel, _ in self._listeners(change.row):
                    if change.commit_lsn < channel.since_lsn:
                        continue
                    _, rows, filters = asked.setdefault((oid, channel.token), (channel, {}, {}))
                    rows[id(change)] = change
                    for conditions in (it.conditions for it in channel.bindings):
                        if conditions and names.issuperset(it.column for it in conditions):
                            filters[conditions] = None
        answers = await asyncio.gather(
            *(
                judge(self.callers, channel.caller, tables[oid], list(rows.values()), list(filters))
                for (oid, _), (channel, rows, filters) in asked.items()
            )
        )
        return {
            (change, token): verdict
            for ((_, token), (_, rows, _)), verdicts in zip(asked.items(), answers, strict=True)
            for change, verdict in zip(rows, verdicts, strict=True)
        }

    def _send(
        self, change: Change, table: Table, verdicts: dict[tuple[int, str], Verdict], records: Records
    ) -> None:
        payloads: dict[str, dict[str, Any]] = {}
        for channel, wanted in self._listeners(change.row):
            verdict = verdicts.get((id(change), channel.token))
            if verdict is None or change.commit_lsn < channel.since_lsn:
                continue
            if verdict.error is not None:
                self._push(channel, [it.id for it in wanted], change.refusal(table, verdict.error))
                continue
            ids = [
                it.id
                for it in wanted
                if verdict.visible and (not it.conditions or it.conditions in verdict.passes)
            ]
            if ids:
                role = channel.caller.role
                if role not in payloads:
                    payloads[role] = change.payload(table, role, records)
                self._push(channel, ids, payloads[role])

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
            sent = json_text.shown(row.get("payload"))
            payload = {"type": "broadcast", "event": event, "payload": sent, "meta": {"id": row["id"]}}
        self.hub.broadcast(topic, row.get("private") == "t", payload, commit_lsn=change.commit_lsn)


async def _records(
    connection: Connection, table: Table, changes: list[Change]
) -> list[tuple[Change, Records]]:
    rows = [row for change in changes for row in (change.current(table), change.previous(table))]
    shown = iter(await as_json(connection, table, rows))
    found = []
    for change in changes:
        records = {"record": next(shown), "old_record": next(shown)}
        unused = {"INSERT": "old_record", "DELETE": "record"}.get(change.kind)
        found.append((change, {name: record for name, record in records.items() if name != unused}))
    return found


def _is_message(row: RowChange) -> bool:
    return (row.relation.schema, row.relation.name) == ("realtime", "messages")
