"""Topics: their channels and who is present. A public and a private topic of one name are two topics."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from embedded_supabase.realtime.channel import Channel
from embedded_supabase.realtime.serializer import Message, Payload

Key = tuple[str, bool]
"""A topic's name, and whether it is private."""
State = dict[str, dict[str, list[dict[str, Any]]]]
"""`{key: {"metas": [{"phx_ref": …, …}]}}`, as Phoenix sends it."""


class Hub:
    """The channels of each topic."""

    def __init__(self) -> None:
        self._topics: defaultdict[Key, dict[Channel, None]] = defaultdict(dict)
        self._tracked: dict[Channel, dict[str, Any]] = {}
        """The presence of each tracked channel."""

    def __bool__(self) -> bool:
        return bool(self._topics)

    def __contains__(self, channel: Channel) -> bool:
        return channel in self._topics.get(channel.key, ())

    def channels(self) -> Iterator[Channel]:
        for topic in self._topics.values():
            yield from topic

    def add(self, channel: Channel) -> None:
        self._topics[channel.key][channel] = None

    def remove(self, channel: Channel) -> None:
        topic = self._topics.get(channel.key, {})
        if channel in topic:
            del topic[channel]
            self.untrack(channel)
            if not topic:
                del self._topics[channel.key]

    def broadcast(self, key: Key, payload: Payload, *, sender: Channel | None = None, lsn: int = 0) -> None:
        """Send to all channels of the topic that may read broadcasts, except `sender`.

        A channel that joined after `lsn` does not get what was committed there.
        """
        message = Message(f"realtime:{key[0]}", "broadcast", payload)
        frames: dict[int, str | bytes | None] = {}
        for channel in list(self._topics.get(key, ())):
            is_later = 0 < lsn < channel.since_lsn
            if channel is sender or is_later or "broadcast" not in channel.permissions.read:
                continue
            serializer = channel.queue.serializer
            if id(serializer) not in frames:
                frames[id(serializer)] = serializer.encode(message)
            channel.queue.send_frame(frames[id(serializer)])

    # -- presence -------------------------------------------------------------------------------

    def read_presence(self, key: Key) -> State:
        state: State = {}
        for channel in self._topics.get(key, ()):
            if channel in self._tracked:
                found = state.setdefault(channel.presence_key, {"metas": []})
                found["metas"].append(self._tracked[channel])
        return state

    def track(self, channel: Channel, payload: dict[str, Any]) -> None:
        """Track a channel, or change its presence. A change is pushed to the topic."""
        before = self._tracked.get(channel)
        # We make the references: a client must not choose the reference of another.
        own = _without_references(payload)
        if before is None or _without_references(before) != own:
            meta = {**own, "phx_ref": secrets.token_urlsafe(12)}
            if before is not None:
                meta["phx_ref_prev"] = before["phx_ref"]
            self._tracked[channel] = meta
            self._push_diff(channel, meta, before)

    def untrack(self, channel: Channel) -> None:
        before = self._tracked.pop(channel, None)
        if before is not None:
            self._push_diff(channel, None, before)

    def _push_diff(self, about: Channel, joins: dict[str, Any] | None, leaves: dict[str, Any] | None) -> None:
        difference = {
            name: {} if meta is None else {about.presence_key: {"metas": [meta]}}
            for name, meta in (("joins", joins), ("leaves", leaves))
        }
        for channel in list(self._topics[about.key]):
            if channel.gets_presence:
                channel.push("presence_diff", difference)


def _without_references(meta: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in meta.items() if name not in ("phx_ref", "phx_ref_prev")}
