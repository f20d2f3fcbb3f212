"""The app that the worker serves at /api."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from starlette.routing import Route

from soundscape import __version__
from soundscape.api import docs, errors, health, webhook
from soundscape.api.access import Access, OperatorAccess, SignedIn
from soundscape.api.body import BodyReader
from soundscape.api.identify import Identification, Identifier, describe_body
from soundscape.settings import Settings
from soundscape.telemetry import logs, metrics, traces
from soundscape.worker.loop import Worker


def build(settings: Settings) -> FastAPI:
    """Build the app. Its lifespan runs the claim loop, which is `app.state.worker`.

    Raises
    ------
    SettingsError
        If traces are configured and their packages are not installed.
    """
    logs.hide(settings.secrets)
    traces.configure(settings)
    worker, access = Worker(settings), Access(settings)
    bodies = BodyReader()
    identifier = Identifier(settings, worker, bodies)
    gauges = metrics.QueueGauges(worker.read_queue_stats)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await worker.start()
        identifier.start()
        try:
            yield
        finally:
            await identifier.stop()
            await worker.stop()
            await access.close()
            await traces.shut_down()

    app = FastAPI(
        title="SoundScape worker",
        version=__version__,
        description="Signal processing beside a Supabase project. Everything else is Supabase itself.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        responses={
            status: {"model": errors.Problem, "description": "An error, and what to do."}
            for status in ("4XX", "5XX")
        },
    )
    app.state.worker = worker
    app.state.access = access
    app.state.gauges = gauges
    errors.install(app)
    docs.install(app)
    app.router.routes.append(
        Route("/webhooks/storage", webhook.Doorbell(settings, bodies, worker.ring), methods=["POST"])
    )
    app.include_router(health.make_router(worker, OperatorAccess(settings.metrics_token), gauges))
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            # The token is in a header, never in a cookie: for a browser these are not credentials.
            allow_headers=["authorization", "content-type"],
            expose_headers=["retry-after"],
            max_age=3600,
        )

    @app.post("/identify", tags=["identification"], openapi_extra=describe_body())
    async def identify(caller: SignedIn, request: Request) -> Identification:
        """Find the recordings, of those you may see, that a sound comes from, and the offset in each.

        The body is the sound itself, or multipart/form-data with one file. Only the first 30 s are used.
        """
        return await identifier.identify(caller, request)

    return app
