"""Which connection has a session, and whether its client is there."""

from __future__ import annotations

import asyncio


class Presence:
    """The connection of one session. A later one takes the session over."""

    def __init__(self) -> None:
        self._last_seen_at = self._now()
        self._detached_at: float | None = None
        self._replaced: asyncio.Future[None] | None = None

    def attach(self) -> asyncio.Future[None]:
        """Give the session to a connection. The future is done when another connection takes it over."""
        if self._replaced is not None and not self._replaced.done():
            self._replaced.set_result(None)
        self._replaced = asyncio.get_running_loop().create_future()
        self._detached_at = None
        self.note()
        return self._replaced

    def detach(self, connection: asyncio.Future[None]) -> None:
        """Note that a connection broke."""
        if connection is self._replaced:
            self._detached_at = self._now()

    def note(self) -> None:
        """Note that the client is there."""
        self._last_seen_at = self._now()

    def belongs_to(self, connection: asyncio.Future[None] | None) -> bool:
        """Whether a connection, as from `attach`, still has the session. None is the worker itself."""
        return connection is None or connection is self._replaced

    @property
    def broken_s(self) -> float | None:
        """For how long there is no connection; None while there is one."""
        return None if self._detached_at is None else self._now() - self._detached_at

    @property
    def silent_s(self) -> float:
        """For how long the client has said nothing."""
        return self._now() - self._last_seen_at

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
