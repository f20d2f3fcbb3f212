"""A push service for the journeys: the worker sends to it, and a Firefox gets its pushes from it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import push_service
from tests.autopush import PREFERENCES, Autopush
from tests.certificates import make_certificate
from tests.waiting import until


@dataclass(frozen=True)
class Pushes:
    """How it is reached, and what it has seen."""

    preferences: dict[str, str | bool | int]
    """For Firefox, by their names in about:config."""
    settings: dict[str, str]
    """For the worker."""
    _autopush: Autopush

    def state(self) -> dict[str, int]:
        """What a journey waits for. The counts are of all journeys so far."""
        return {
            "greetings": self._autopush.greetings,
            "subscriptions": len(self._autopush.channels),
            "acknowledged": len(self._autopush.acknowledged),
        }


@contextmanager
def serve_pushes(folder: Path) -> Iterator[Pushes]:
    """Serve on this machine until the block ends. The certificate lies in `folder`."""
    certificate = make_certificate(folder)
    urls: list[str] = []
    with push_service.serving(certificate) as service:
        autopush = Autopush(service, threading.Event())
        loop = asyncio.new_event_loop()
        ended = asyncio.Event()

        async def serve() -> None:
            async with autopush.serving() as url:
                urls.append(url)
                await ended.wait()

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
        thread.start()
        try:
            until(lambda: urls, "the push service of Firefox did not start")
            settings = {
                "SOUNDSCAPE_PUSH_HOSTS": service.origin,
                "SSL_CERT_FILE": str(certificate.certificate),
            }
            yield Pushes(PREFERENCES | {"dom.push.serverURL": urls[0]}, settings, autopush)
        finally:
            loop.call_soon_threadsafe(ended.set)
            thread.join()
            loop.close()
