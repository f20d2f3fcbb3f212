"""What all connections and the background work of Realtime share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from embedded_supabase.embedded import EmbeddedSupabase
from embedded_supabase.realtime.delivery import Delivery
from embedded_supabase.realtime.feed import Feed
from embedded_supabase.realtime.hub import Hub


@dataclass(frozen=True)
class Limits:
    """For one connection; where the smallest hosted plan is strict, so are these."""

    channels: int = 100
    payload_bytes: int = 256 * 1024
    frame_bytes: int = 1024 * 1024
    queue_bytes: int = 8 * 1024 * 1024
    """How much may wait for a slow client before it is dropped."""
    idle_s: float = 60.0
    """A client that sends no frame for this long, not even a heartbeat, is gone."""


class Service:
    """Lives from the first call of `open_service` until the process ends."""

    def __init__(self, embedded: EmbeddedSupabase) -> None:
        self.embedded = embedded
        self.limits = Limits()
        self.hub = Hub()
        self.feed = Feed(embedded, self.hub, Delivery(self.hub, embedded.authenticator))


@cache
def open_service(embedded: EmbeddedSupabase) -> Service:
    """The one service of an embedded Supabase, made at the first call."""
    return Service(embedded)
