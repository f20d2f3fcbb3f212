"""Realtime for one stack: everything that its routes and its background work share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from soundscape.local.realtime.delivery import Delivery
from soundscape.local.realtime.feed import Feed
from soundscape.local.realtime.hub import Hub
from soundscape.local.stack import Stack


@dataclass(frozen=True)
class Limits:
    """For one connection; where the smallest hosted plan is strict, so are these."""

    channels: int = 100
    payload_bytes: int = 256 * 1024
    frame_bytes: int = 1024 * 1024
    queue_bytes: int = 8 * 1024 * 1024
    """What may wait for a client that reads slowly before it is dropped."""
    idle_s: float = 60.0
    """Without any frame, heartbeats included, a client is gone."""


class Service:
    """Lives from the first request for it until the process ends."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.limits = Limits()
        self.hub = Hub()
        self.feed = Feed(stack, self.hub, Delivery(self.hub, stack.authenticator))


@cache
def service(stack: Stack) -> Service:
    """The one service of a stack, made when first asked for."""
    return Service(stack)
