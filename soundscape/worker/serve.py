"""The worker by itself, for a project that lives elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from soundscape.settings import Settings
from soundscape.worker.app import build


def serve(settings: Settings, *, host: str, port: int) -> None:
    """Serve /api and run the claim loop until SIGTERM or SIGINT."""
    worker = build(settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        # A mounted app's lifespan is not run by its parent: the parent takes it over.
        async with worker.router.lifespan_context(worker):
            yield

    app = Starlette(routes=[Mount("/api", worker)], lifespan=lifespan)
    uvicorn.run(app, host=host, port=port, log_config=None, access_log=False)
