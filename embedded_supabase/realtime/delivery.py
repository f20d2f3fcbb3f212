"""Delivers committed changes to the channels that asked for them and may see them."""

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
from embedded_supabase.realtime.visibility import Conditions, Verdict, check_visibility, parse_text
from embedded_supabase.tokens import Caller


@dataclass
class Question:
    """The changes of one table that one caller may or may not see."""

    caller: Caller
    changes: dict[int, Change] = field(default_factory=dict)
    filters: dict[Conditions, None] = field(default_factory=dict)
    verdicts: dict[int, Verdict] = field(default_factory=dict)

    async def resolve(self, callers: Pool) -> None:
        found = await check_visibility(callers, self.caller, [*self.changes.values()], [*self.filters])
        self.verdicts = dict(zip(self.changes, found, strict=True))


@dataclass
class Delivery:
    hub: Hub
    callers: Pool

    def is_wanted(self, change: Change) -> bool:
        return _is_message(change) or any(self._find_listeners(change))

    async def deliver(self, batch: list[Change]) -> None:
        """Push changes in commit order. A channel gets a change once, with all matching bindings."""
        questions: dict[tuple[int, str], Question] = {}
        # A channel's token may be refreshed while the database decides; the first one counts.
        listeners: list[tuple[int, Channel, list[Binding], Question]] = []
        for number, change in enumerate(batch):
            if _is_message(change):
                self._broadcast(change)
                continue
            for channel, wanted in self._find_listeners(change):
                # Channels with the same token have the same caller: one query for all of them.
                asked = (change.relation.oid, channel.token)
                question = questions.setdefault(asked, Question(channel.caller))
                question.changes[number] = change
                question.filters |= dict.fromkeys(it.conditions for it in wanted)
                listeners.append((number, channel, wanted, question))
        await asyncio.gather(*(question.resolve(self.callers) for question in questions.values()))
        for number, channel, wanted, question in listeners:
            if channel not in self.hub:
                continue
            verdict = question.verdicts[number]
            passes = [it.id for it in wanted if verdict.visible and it.conditions in verdict.passes]
            ids = [it.id for it in wanted] if verdict.error is not None else passes
            if ids:
                data = verdict.data(batch[number])
                channel.push("postgres_changes", {"ids": ids, "data": data})

    def _find_listeners(self, change: Change) -> Iterator[tuple[Channel, list[Binding]]]:
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
            sent = parse_text(row.get("payload"))
            payload = {"type": "broadcast", "event": event, "payload": sent, "meta": {"id": row["id"]}}
        self.hub.broadcast((topic, row.get("private") == "t"), payload, lsn=change.commit_lsn)


def _is_message(change: Change) -> bool:
    return (change.relation.schema, change.relation.name) == ("realtime", "messages")
