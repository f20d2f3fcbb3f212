"""The app that the worker serves at /api."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from starlette.routing import Route

from soundscape import __version__
from soundscape.api import data_docs, docs, errors, health, publishing, unsubscribe, webhook
from soundscape.api.access import Access, OperatorAccess, SignedIn
from soundscape.api.body import BodyReader
from soundscape.api.downloads import Downloads
from soundscape.api.identify import Identification, Identifier, describe_body
from soundscape.api.key_tokens import KeyTokens, Token
from soundscape.api.live import LiveSocket
from soundscape.api.visitor import VisitorRights
from soundscape.live.recordings import Recordings
from soundscape.live.sessions import LiveLimits, Sessions
from soundscape.settings import Settings
from soundscape.telemetry import logs, metrics, traces
from soundscape.worker.smtp import MailTransport
from soundscape.worker.worker import Worker


def build(settings: Settings, *, mail_transport: MailTransport | None = None) -> FastAPI:
    """Build the app. Its lifespan runs the claim loop, which is `app.state.worker`.

    Parameters
    ----------
    settings
        The worker's.
    mail_transport
        Where mails go, instead of the mail server of the settings.

    Raises
    ------
    SettingsError
        If traces are configured and their packages are not installed.
    """
    logs.hide(settings.secrets)
    traces.configure(settings)
    worker, access = Worker(settings, mail_transport=mail_transport), Access(settings)
    bodies, rights = BodyReader(), VisitorRights(settings)
    identifier = Identifier(settings, worker, bodies)
    key_tokens = KeyTokens(settings, access.rates)
    downloads = Downloads(settings)
    recordings = Recordings(
        settings.supabase_url,
        settings.public_key,
        parent=settings.scratch_dir or Path(tempfile.gettempdir()),
        scratch=lambda: worker.scratch_folder,
        add_prepared=worker.prepared.add,
    )
    sessions = Sessions(
        LiveLimits(
            max_sessions=settings.live_sessions,
            max_sessions_per_user=settings.live_sessions_per_user,
            max_duration_s=settings.live_max_duration_s,
        ),
        settings.limits,
        scratch=lambda: worker.scratch_folder,
        recordings=recordings,
    )

    async def offers_live(user_id: str) -> bool:
        return await worker.flags.is_on("live_listening", user_id, default=True)

    live_socket = LiveSocket(sessions, access, rights, identifier, offers_live)
    gauges = metrics.QueueGauges(worker.read_queue_stats)
    project_gauges = metrics.ProjectGauges(worker.read_project_stats)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await worker.start()
        identifier.start()
        uploading_left = asyncio.create_task(recordings.keep_uploading_left())
        try:
            async with key_tokens.connected(), downloads.connected():
                yield
        finally:
            await sessions.stop()
            uploading_left.cancel()
            await asyncio.gather(uploading_left, return_exceptions=True)
            await recordings.close()
            await identifier.stop()
            await worker.stop()
            await access.close()
            await rights.close()
            await traces.shut_down()

    app = FastAPI(
        title="SoundScape worker",
        version=__version__,
        description="Signal processing beside a Supabase project. Everything else is Supabase itself: "
        "[its tables and functions](docs/data).",
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
    app.state.sessions = sessions
    app.state.gauges = gauges
    app.state.project_gauges = project_gauges
    errors.install(app)
    data_docs.install(app)
    docs.install(app)
    app.router.routes.append(
        Route("/webhooks/storage", webhook.Doorbell(settings, bodies, worker.wake), methods=["POST"])
    )
    app.include_router(unsubscribe.make_router(settings, access))
    app.include_router(publishing.make_router(settings, rights, downloads))
    app.include_router(
        health.make_router(worker, OperatorAccess(settings.metrics_token), (gauges, project_gauges))
    )
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

    @app.post("/token", tags=["API keys"], openapi_extra={"security": [{"HTTPBearer": []}]})
    async def exchange(request: Request, response: Response) -> Token:
        """Exchange an API key for an access token of its owner.

        Send the key as `Authorization: Bearer soundscape_…`. The token is for the Data API, Storage and
        Realtime until it expires. There is no refresh token: exchange the key again.
        """
        response.headers["cache-control"] = "no-store"
        return await key_tokens.exchange(request)

    @app.post("/identify", tags=["identification"], openapi_extra=describe_body())
    async def identify(caller: SignedIn, request: Request) -> Identification:
        """Find the recordings, of those you may see, that a sound comes from, and the offset in each.

        The body is the sound itself, or multipart/form-data with one file. Only the first 30 s are used.
        """
        await rights.require_session(caller)
        return await identifier.identify(caller, request)

    @app.websocket("/live")
    async def live(websocket: WebSocket) -> None:
        await live_socket.serve(websocket)

    return app
