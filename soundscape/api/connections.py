"""Limits on connections: their number, the time for a request's head, and for the end of a WebSocket.

uvicorn waits for a request's head for ever, and accepts connections until no descriptor is left. Here a
connection ends if the head is not complete after ten seconds. When all connections are taken, the client that
has kept the server waiting longest loses its own. The app limits bodies: it knows how long one may take.
"""

from __future__ import annotations

import asyncio
import os
import resource

from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

HEAD_TIMEOUT_S = 10.0
MAX_HEAD_BYTES = 64 << 10
"""httptools itself has no limit."""
MAX_CONNECTIONS = 512
ALWAYS_ALLOWED_CONNECTIONS = 16
DESCRIPTORS_FOLDER = "/proc/self/fd"
MAX_MESSAGE_BYTES = 4 << 20
"""Of a WebSocket message. A larger one ends the connection with code 1009 before it is read whole."""
MAX_QUEUED_MESSAGES, MAX_SMALL_BYTES = 8, 64 << 10
"""So many small messages may wait for the app before no more are read."""
MAX_UNSENT_FRAMES = 32
CLOSE_TIMEOUT_S = 10.0
ACCEPT_BATCH = 8
"""asyncio accepts this many at once before any of them can be refused."""


def count_allowed_connections(open_count: int) -> int:
    """How many connections may be open: a third of the descriptors that other work leaves.

    Parameters
    ----------
    open_count
        How many connections are open now.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    # Where the kernel does not list descriptors, connections are counted alone.
    used = len(os.listdir(DESCRIPTORS_FOLDER)) if os.path.isdir(DESCRIPTORS_FOLDER) else open_count
    return max(1, min(MAX_CONNECTIONS, (soft - used + open_count) // 3))


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a deadline for heads and a limited number of connections."""

    _deadline: asyncio.TimerHandle | None = None
    _unfinished_bytes = 0
    _waiting_since_s = 0.0
    _is_in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, or abort it, which costs neither memory nor a response."""
        count = len(self.connections)
        # Counting descriptors is slow, so that it is done only beyond a few connections.
        if (
            count >= ALWAYS_ALLOWED_CONNECTIONS
            and count >= count_allowed_connections(count)
            and not self._make_room()
        ):
            transport.abort()
            return
        super().connection_made(transport)
        self._waiting_since_s = self.loop.time()
        self._set_deadline()

    def data_received(self, data: bytes) -> None:
        """Handle data; the deadline runs from the first byte of a head to its last."""
        is_body = self._is_in_body
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._clear_deadline()
        elif self.transport.get_protocol() is not self:
            self._clear_deadline()  # a WebSocket, which has a protocol of its own
        else:
            # The rest of a body that was answered early is no head, however large: many clients read the
            # response only after they have sent everything. It has as long as a head has.
            if not is_body:
                self._unfinished_bytes += len(data)
            elif not self._is_in_body:
                self._clear_deadline()
            if self._unfinished_bytes > MAX_HEAD_BYTES:
                self.transport.abort()
            elif self._deadline is None:
                self._set_deadline()

    def on_headers_complete(self) -> None:
        """Note that the body follows."""
        self._is_in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that a head follows."""
        self._is_in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Note since when the server waits for the client."""
        self._waiting_since_s = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up."""
        self._clear_deadline()
        if self.transport is not None:  # otherwise it was never accepted
            super().connection_lost(exc)

    def _make_room(self) -> bool:
        """End the connection that has kept the server waiting longest. False if all wait for the server."""
        waiting = [
            other for other in self.connections if isinstance(other, LimitedProtocol) and other._keeps_waiting
        ]
        if not waiting:
            return False
        longest = min(waiting, key=lambda other: other._waiting_since_s)
        # Not counted from now on, though its transport ends only at the loop's next turn.
        self.connections.discard(longest)
        longest.transport.abort()
        return True

    @property
    def _keeps_waiting(self) -> bool:
        """Whether the server waits for the client: for a request, or for the rest of a body."""
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


class LimitedWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, for many small messages.

    Its end does not wait for a client that reads nothing.
    """

    async def run_asgi(self) -> None:
        """Run the app, then give the client some seconds to read the rest."""
        self._unsent: list[bytes] = []
        app = self.app

        async def run(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            try:
                await app(scope, receive, send)
            finally:
                # The connection ends with the app, if not before.
                self._write_unsent()

        self.app = run
        try:
            await super().run_asgi()
        finally:
            self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)

    def send_receive_event_to_app(self) -> None:
        """Bring a message to the app, and read no more once enough of them wait.

        uvicorn stops reading at each message. That costs two calls of the kernel, and more of the event loop.
        """
        is_paused = self.read_paused
        is_small = sum(map(len, self.frames)) <= MAX_SMALL_BYTES
        # Then the base class does not.
        self.read_paused = True
        super().send_receive_event_to_app()
        self.read_paused = is_paused
        if not is_paused and not (is_small and self.queue.qsize() < MAX_QUEUED_MESSAGES):
            self.read_paused = True
            self.transport.pause_reading()

    async def send(self, message: ASGISendEvent) -> None:
        """Send a message. Those that come before the event loop goes on are written together."""
        is_open = self.handshake_complete and not self.close_sent and not self.disconnected
        text = message.get("text") if message["type"] == "websocket.send" else None
        if not is_open or not isinstance(text, str) or not self.writable.is_set():
            self._write_unsent()
            await super().send(message)
            return
        try:
            self.conn.send_text(text.encode())
        except InvalidState:
            raise ClientDisconnected from None
        if not self._unsent:
            self.loop.call_soon(self._write_unsent)
        self._unsent += self.conn.data_to_send()
        if len(self._unsent) >= MAX_UNSENT_FRAMES:
            # From then on the transport says when to wait.
            self._write_unsent()

    def _write_unsent(self) -> None:
        # Nothing may follow a close frame (RFC 6455, section 5.5.1).
        if self._unsent and not self.close_sent and not self.transport.is_closing():
            self.transport.write(b"".join(self._unsent))
        self._unsent = []
