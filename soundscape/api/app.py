"""The worker's HTTP face, mounted at /api."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from soundscape import __version__
from soundscape.api import errors as problems
from soundscape.api import webhook
from soundscape.api.access import Access, SignedIn
from soundscape.api.identify import Identified, Identifier, most_content
from soundscape.settings import Settings
from soundscape.telemetry import logs, traces
from soundscape.telemetry.exposition import Exposition
from soundscape.worker.loop import Worker


def build(settings: Settings) -> FastAPI:
    """The app; its lifespan runs the claim loop. `app.state.worker` is the loop.

    Raises `SettingsError` when traces are wanted and the packages for them are missing.
    """
    logs.hide(settings.secrets)
    traces.configure(settings)
    worker, access = Worker(settings), Access(settings)
    identifier = Identifier(settings, worker)
    exposition = Exposition(worker.queue_stats, token=settings.metrics_token)

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
        responses={
            status: {"model": problems.Problem, "description": "Refused, and why."}
            for status in ("4XX", "5XX")
        },
    )
    app.state.worker = worker
    app.state.access = access
    app.state.exposition = exposition
    problems.install(app)
    app.router.routes.append(
        Route("/webhooks/storage", webhook.Doorbell(settings, worker.ring), methods=["POST"])
    )
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            # A token in a header, never a cookie: no credentials in the browser's sense.
            allow_headers=["authorization", "content-type"],
            expose_headers=["retry-after"],
            max_age=3600,
        )

    @app.get("/health/live", tags=["health"])
    async def live() -> dict[str, str]:
        """The process answers. Says nothing about what it depends on."""
        return {"status": "ok"}

    @app.get("/health/ready", tags=["health"])
    async def ready(request: Request) -> JSONResponse:
        """200 when nothing keeps work from this worker; else 503. Each check is named.

        Reasons may name hosts and folders: they are for whoever may read the metrics.
        """
        checks = await worker.checks()
        with_reasons = exposition.is_for(request)
        states = {check.state for check in checks.values()}
        healthy = "failed" not in states
        content = {
            "status": "unready" if not healthy else "degraded" if "degraded" in states else "ok",
            "checks": {name: check.as_dict(with_reason=with_reasons) for name, check in checks.items()},
        }
        return JSONResponse(content, status_code=200 if healthy else 503)

    @app.get("/metrics", tags=["operation"], response_class=PlainTextResponse)
    async def metrics(request: Request) -> Response:
        """What is counted, for Prometheus. For this machine, or whoever bears SOUNDSCAPE_METRICS_TOKEN."""
        return await exposition.answer(request)

    @app.post("/identify", tags=["recognition"], openapi_extra=most_content())
    async def identify(caller: SignedIn, request: Request) -> Identified:
        """Which of the recordings you see does this sound come from, and where in it?

        The body is the sound itself, or multipart/form-data with it as a file. At most 30 s of it are heard.
        """
        return await identifier.answer(caller, request)

    return app
