"""Connections that strangers may hold: so many, and none for longer than it takes to say what they want.

uvicorn waits for a request's head for ever, and takes connections until no descriptor is left. Here a head
that does not come whole in ten seconds ends its connection, and where all places are taken, whoever has kept
the server waiting longest makes room. Bodies are for the app, which knows how long one may take.
"""

from __future__ import annotations

import asyncio
import os
import resource

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_TIMEOUT_S = 10.0
HEAD_BYTES = 64 << 10
"""httptools itself knows no end of a head."""
MOST_CONNECTIONS = 512
FEW_CONNECTIONS = 16
DESCRIPTORS = "/proc/self/fd"
ACCEPTED_AT_ONCE = 8
"""asyncio takes that many off the queue before any of them can be turned away."""


def most_connections(serving: int) -> int:
    """How many are served at once: a third of the descriptors that are free but for those `serving` now.

    Work needs descriptors too.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    # Where the kernel does not list them, a server that starts has next to none.
    is_open = len(os.listdir(DESCRIPTORS)) if os.path.isdir(DESCRIPTORS) else serving
    return max(1, min(MOST_CONNECTIONS, (soft - is_open + serving) // 3))


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, with a deadline for heads and a place that can be lost."""

    _deadline: asyncio.TimerHandle | None = None
    _unfinished_bytes = 0
    _waiting_since_s = 0.0
    _is_in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, or nobody's: an aborted connection costs no memory and no answer."""
        serving = len(self.connections)
        # A few are no burden: only then is it worth counting what is left.
        if serving >= FEW_CONNECTIONS and serving >= most_connections(serving) and not self._make_room():
            transport.abort()
            return
        super().connection_made(transport)
        self._waiting_since_s = self.loop.time()
        self._set_deadline()

    def data_received(self, data: bytes) -> None:
        """Pass it on; the deadline runs from the first byte of a head to its last."""
        is_body = self._is_in_body
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._clear_deadline()
        elif self.transport.get_protocol() is not self:
            self._clear_deadline()  # a WebSocket, which has a protocol of its own
        else:
            # The rest of a body that was answered before it came is no head, however large: a client that
            # does not read before all is sent would never see the answer. It has as long as a head has.
            if not is_body:
                self._unfinished_bytes += len(data)
            elif not self._is_in_body:
                self._clear_deadline()
            if self._unfinished_bytes > HEAD_BYTES:
                self.transport.abort()
            elif self._deadline is None:
                self._set_deadline()

    def on_headers_complete(self) -> None:
        """What follows is the body."""
        self._is_in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What follows is a head."""
        self._is_in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The client's turn again."""
        self._waiting_since_s = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        self._clear_deadline()
        if self.transport is not None:  # it never had a place otherwise
            super().connection_lost(exc)

    def _make_room(self) -> bool:
        """End the connection that has kept us waiting longest; False when every one waits for us."""
        waiting = [
            other for other in self.connections if isinstance(other, Connection) and other._keeps_waiting
        ]
        if not waiting:
            return False
        longest = min(waiting, key=lambda other: other._waiting_since_s)
        # It counts no more, though its transport ends in the loop's next turn.
        self.connections.discard(longest)
        longest.transport.abort()
        return True

    @property
    def _keeps_waiting(self) -> bool:
        """Whether the next word is the client's: no request yet, or one whose body is not whole."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(HEAD_TIMEOUT_S, self._end)

    def _clear_deadline(self) -> None:
        self._unfinished_bytes = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self) -> None:
        self._deadline = None
        self.transport.abort()
