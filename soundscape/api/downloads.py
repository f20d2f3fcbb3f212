"""Downloads: requests for a recording's sound at its stable addresses are counted, after they are answered.

A caller counts once a day: a user by their id, a stranger by their network address. Neither is stored. The
database keeps a hash until the day is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import structlog
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from soundscape.api.rates import group_address
from soundscape.api.tokens import Caller
from soundscape.errors import ProjectError
from soundscape.project.client import connect
from soundscape.project.statistics import Statistics
from soundscape.settings import Settings

log = structlog.get_logger(__name__)

SOUNDS = frozenset({"preview", "original"})
MAX_AT_ONCE = 8
"""Counts that run at once."""
MAX_WAITING = 200
"""Counts under way beyond which downloads are not counted: the figures are not worth a longer line."""


class Downloads:
    """Counts downloads with the project's secret key.

    Parameters
    ----------
    settings
        The project.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._statistics: Statistics | None = None
        self._gate = asyncio.Semaphore(MAX_AT_ONCE)
        self._waiting = 0

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Be connected to the project. Nothing is counted outside of it."""
        async with connect(self._settings.supabase_url, self._settings.secret_key) as (client, _):
            self._statistics = Statistics(client)
            try:
                yield
            finally:
                self._statistics = None

    def count(self, request: Request, response: Response, caller: Caller | None, audio_id: UUID) -> Response:
        """Return the response, so that the download is counted once it is sent. HEAD downloads nothing."""
        if request.method == "GET" and self._statistics is not None and self._waiting < MAX_WAITING:
            address = request.client.host if request.client else None
            listener = caller.user_id if caller is not None else group_address(address)
            response.background = BackgroundTask(self._record, self._statistics, str(audio_id), listener)
        return response

    async def _record(self, statistics: Statistics, audio_id: str, listener: str) -> None:
        self._waiting += 1
        try:
            async with self._gate:
                await statistics.record_download(audio_id, listener)
        except ProjectError as error:
            log.warning("a download was not counted", error=str(error))
        finally:
            self._waiting -= 1
