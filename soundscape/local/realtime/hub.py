"""Topics and the channels on them. A public and a private topic of one name are two topics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from soundscape.local.realtime.presence import Presence, State
from soundscape.local.realtime.serializer import Message, UserBroadcast

if TYPE_CHECKING:
    from soundscape.local.realtime.channel import Channel

BroadcastPayload = dict[str, Any] | UserBroadcast


@dataclass
class Topic:
    channels: dict[Channel, None] = field(default_factory=dict)
    presence: Presence = field(default_factory=Presence)


class Hub:
    """Everybody who has joined something."""

    def __init__(self) -> None:
        self._topics: dict[tuple[str, bool], Topic] = {}

    def __bool__(self) -> bool:
        return bool(self._topics)

    def channels(self) -> Iterator[Channel]:
        for topic in self._topics.values():
            yield from topic.channels

    def add(self, channel: Channel) -> None:
        self._topics.setdefault((channel.name, channel.private), Topic()).channels[channel] = None

    def remove(self, channel: Channel) -> None:
        topic = self._topics.get((channel.name, channel.private))
        if topic is None or channel not in topic.channels:
            return
        del topic.channels[channel]
        self._tell(topic, topic.presence.untrack(channel))
        if not topic.channels:
            del self._topics[channel.name, channel.private]

    def broadcast(
        self,
        name: str,
        private: bool,
        payload: BroadcastPayload,
        *,
        sender: Channel | None = None,
        commit_lsn: int | None = None,
    ) -> None:
        """Send to everybody on the topic who may read broadcasts, but not to `sender`.

        What was committed at `commit_lsn` is not for those who joined later.
        """
        topic = self._topics.get((name, private))
        if topic is None:
            return
        message = Message(f"realtime:{name}", "broadcast", payload)
        frames: dict[int, str | bytes | None] = {}
        for channel in list(topic.channels):
            if channel is sender or "broadcast" not in channel.permissions.read:
                continue
            if commit_lsn is not None and commit_lsn < channel.since_lsn:
                continue
            serializer = channel.connection.serializer
            if id(serializer) not in frames:
                frames[id(serializer)] = serializer.encode(message)
            channel.connection.send_frame(frames[id(serializer)])

    def presence(self, channel: Channel) -> Presence:
        return self._topics[channel.name, channel.private].presence

    def track(self, channel: Channel, payload: dict[str, Any]) -> None:
        topic = self._topics[channel.name, channel.private]
        self._tell(topic, topic.presence.track(channel, channel.presence_key, payload))

    def untrack(self, channel: Channel) -> None:
        topic = self._topics[channel.name, channel.private]
        self._tell(topic, topic.presence.untrack(channel))

    def _tell(self, topic: Topic, difference: dict[str, State] | None) -> None:
        if difference is None:
            return
        for channel in list(topic.channels):
            if channel.presence_enabled and "presence" in channel.permissions.read:
                channel.connection.send(Message(channel.topic, "presence_diff", difference))
