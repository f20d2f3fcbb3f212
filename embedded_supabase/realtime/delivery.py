"""Committed changes, taken to the channels that asked for them and may see them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from embedded_supabase.database import Pool
from embedded_supabase.realtime.binding import Binding
from embedded_supabase.realtime.channel import Channel
from embedded_supabase.realtime.hub import Hub
from embedded_supabase.realtime.pgoutput import Change
from embedded_supabase.realtime.serializer import Payload, UserBroadcast
from embedded_supabase.realtime.visibility import Conditions, Verdict, judge, shown
from embedded_supabase.tokens import Caller


@dataclass
class Question:
    """What is asked of the database for one table and one caller."""

    caller: Caller
    changes: dict[int, Change] = field(default_factory=dict)
    filters: dict[Conditions, None] = field(default_factory=dict)
    verdicts: dict[int, Verdict] = field(default_factory=dict)

    async def ask(self, callers: Pool) -> None:
        found = await judge(callers, self.caller, [*self.changes.values()], [*self.filters])
        self.verdicts = dict(zip(self.changes, found, strict=True))


@dataclass
class Delivery:
    hub: Hub
    callers: Pool

    def wants(self, change: Change) -> bool:
        return _is_message(change) or any(self._listeners(change))

    async def deliver(self, batch: list[Change]) -> None:
        """In the order of the commits. Channels see a change once, with all its matching bindings."""
        questions: dict[tuple[int, str], Question] = {}
        # Who was asked for stays so: a channel's token may be refreshed while the database is asked.
        listeners: list[tuple[int, Channel, list[Binding], Question]] = []
        for number, change in enumerate(batch):
            if _is_message(change):
                self._broadcast(change)
                continue
            for channel, wanted in self._listeners(change):
                # Channels of one token have one caller: the database is asked once for all of them.
                asked = (change.relation.oid, channel.token)
                question = questions.setdefault(asked, Question(channel.caller))
                question.changes[number] = change
                question.filters |= dict.fromkeys(it.conditions for it in wanted)
                listeners.append((number, channel, wanted, question))
        await asyncio.gather(*(question.ask(self.callers) for question in questions.values()))
        for number, channel, wanted, question in listeners:
            if channel not in self.hub:
                continue
            verdict = question.verdicts[number]
            passes = [it.id for it in wanted if verdict.visible and it.conditions in verdict.passes]
            ids = [it.id for it in wanted] if verdict.error is not None else passes
            if ids:
                data = verdict.data(batch[number])
                channel.push("postgres_changes", {"ids": ids, "data": data})

    def _listeners(self, change: Change) -> Iterator[tuple[Channel, list[Binding]]]:
        for channel in list(self.hub.channels()):
            wanted = [it for it in channel.bindings if it.wants(change)]
            if wanted and change.commit_lsn >= channel.since_lsn:
                yield channel, wanted

    def _broadcast(self, change: Change) -> None:
        """A row of `realtime.messages`: sent from SQL."""
        row = change.new
        topic, event = row.get("topic"), row.get("event")
        if not topic or event is None or row.get("extension") != "broadcast":
            return
        payload: Payload
        if row.get("binary_payload") is not None:
            content = bytes.fromhex(str(row["binary_payload"]).removeprefix("\\x"))
            payload = UserBroadcast(event, content, is_json=False, meta={"id": row["id"]})
        else:
            sent = shown(row.get("payload"))
            payload = {"type": "broadcast", "event": event, "payload": sent, "meta": {"id": row["id"]}}
        self.hub.broadcast((topic, row.get("private") == "t"), payload, lsn=change.commit_lsn)


def _is_message(change: Change) -> bool:
    return (change.relation.schema, change.relation.name) == ("realtime", "messages")
