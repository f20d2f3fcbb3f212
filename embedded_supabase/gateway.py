"""One ASGI app on one port: the four Supabase services, and whatever the caller mounts beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from embedded_supabase import cron, net
from embedded_supabase.auth import app as auth
from embedded_supabase.auth import mail
from embedded_supabase.embedded import EmbeddedSupabase
from embedded_supabase.realtime import app as realtime
from embedded_supabase.rest import app as rest
from embedded_supabase.storage import app as storage

log = structlog.get_logger(__name__)

ANYBODY: dict[str, Any] = {"allow_origins": ["*"], "allow_methods": ["*"], "allow_headers": ["*"]}
# The response headers that a script in a browser may read.
EXPOSE_HEADERS = [
    *("content-range", "content-location", "x-total-count", "link", "location", "etag", "accept-ranges"),
    *("upload-offset", "upload-length", "upload-expires", "tus-resumable", "tus-version", "tus-extension"),
    *("tus-max-size", "tus-complete", "upload-metadata", "upload-defer-length", "content-disposition"),
    *("expires", "x-supabase-api-version"),
]

BACKGROUND: Mapping[str, Callable[[EmbeddedSupabase], Awaitable[None]]] = {
    "net": net.run,
    "cron": cron.run,
    "rest": rest.run,
    "storage": storage.run,
    "realtime": realtime.run,
}
RESTART_DELAY_S = 1.0
ABSENT = {"/functions/v1/{path:path}": "Edge Functions are", "/graphql/v1{path:path}": "GraphQL is"}


def build(embedded: EmbeddedSupabase, *, beside: Mapping[str, ASGIApp] | None = None) -> Starlette:
    """Build the app that serves everything on one port.

    Background work of the services runs from start-up to shutdown.

    Parameters
    ----------
    embedded : EmbeddedSupabase
        Open until the app has shut down.
    beside : mapping of str to ASGI app, optional
        Further apps by path prefix. Their lifespans are entered here: Starlette does not run the lifespan
        of a mounted app.

    Returns
    -------
    Starlette
    """
    beside = beside or {}

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as entered, asyncio.TaskGroup() as group:
            tasks = [group.create_task(_run_forever(name, run, embedded)) for name, run in BACKGROUND.items()]
            for app in beside.values():
                if isinstance(app, Starlette):
                    await entered.enter_async_context(app.router.lifespan_context(app))
            try:
                yield
            finally:
                await entered.aclose()
                for task in tasks:
                    task.cancel()

    return Starlette(
        routes=[
            Mount("/auth/v1", auth.build(embedded)),
            Mount("/rest/v1", rest.build(embedded)),
            Mount("/storage/v1", storage.build(embedded)),
            Mount("/realtime/v1", realtime.build(embedded)),
            *mail.build_outbox_routes(embedded),
            *(Mount(prefix, app) for prefix, app in beside.items()),
            *(Route(path, _refuse_absent(what)) for path, what in ABSENT.items()),
        ],
        middleware=[Middleware(CORSMiddleware, **ANYBODY, expose_headers=EXPOSE_HEADERS, max_age=3600)],
        lifespan=lifespan,
    )


async def _run_forever(
    name: str, run: Callable[[EmbeddedSupabase], Awaitable[None]], embedded: EmbeddedSupabase
) -> None:
    """Run background work, and start it again when it fails: a lost connection must not end it."""
    while True:
        try:
            await run(embedded)
            return
        except Exception:
            log.exception("background work failed, starting it again", service=name)
            await asyncio.sleep(RESTART_DELAY_S)


def _refuse_absent(what: str) -> JSONResponse:
    """A response is an ASGI app, so it serves every method."""
    message = f"{what} not part of the embedded Supabase."
    return JSONResponse({"code": "NOT_FOUND", "message": message}, status_code=404)
