"""One topic that one client has joined: what it may do, what it asked for, how it is reached."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from embedded_supabase.realtime.authorization import EVERYTHING, Permissions
from embedded_supabase.realtime.binding import Binding
from embedded_supabase.realtime.send_queue import SendQueue
from embedded_supabase.realtime.serializer import Message
from embedded_supabase.tokens import Caller


@dataclass(eq=False)
class Channel:
    """A joined topic. Two channels are never equal."""

    queue: SendQueue
    """Of the client's connection."""
    topic: str
    join_ref: str | None
    caller: Caller
    token: str
    """Channels of one token have one caller."""
    private: bool = False
    acknowledges: bool = False
    sends_to_itself: bool = False
    presence_enabled: bool = True
    presence_key: str = ""
    permissions: Permissions = EVERYTHING
    bindings: tuple[Binding, ...] = ()
    since_lsn: int = 0
    """The channel gets no changes that were committed before it."""
    expiry: asyncio.TimerHandle | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return self.topic.removeprefix("realtime:")

    @property
    def key(self) -> tuple[str, bool]:
        return self.name, self.private

    @property
    def gets_presence(self) -> bool:
        return self.presence_enabled and "presence" in self.permissions.read

    def push(self, event: str, payload: dict[str, Any], *, join_ref: str | None = None) -> None:
        """Send an event. Those that answer a join carry its `join_ref`; events for a whole topic do not."""
        self.queue.send(Message(self.topic, event, payload, None, join_ref))

    def push_system(self, extension: str, status: str, message: str) -> None:
        payload = {"extension": extension, "status": status, "message": message, "channel": self.name}
        self.push("system", payload, join_ref=self.join_ref)
