"""The worker by itself, for a project that lives elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Mount

from soundscape.api.app import build
from soundscape.api.server import listen, serving
from soundscape.settings import Settings


async def serve(settings: Settings, *, host: str, port: int, ended: asyncio.Event) -> None:
    """Serve /api and run the claim loop until `ended` is set; then running jobs get their time of grace.

    Cancelled meanwhile, it gives them back at once. Raises `ServingError`.
    """
    worker = build(settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        # A mounted app's lifespan is not run by its parent: the parent takes it over.
        async with worker.router.lifespan_context(worker):
            yield

    app = Starlette(routes=[Mount("/api", worker)], lifespan=lifespan)
    with listen(host, port) as listener:
        async with serving(app, listener, trusted_proxies=settings.trusted_proxies):
            try:
                await ended.wait()
            finally:
                # While it still answers: whoever asks is told that it is not ready, and alive.
                await worker.state.worker.stop()
