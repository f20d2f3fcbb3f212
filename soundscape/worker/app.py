"""The worker's HTTP face, mounted at /api."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from soundscape import __version__
from soundscape.settings import Settings
from soundscape.worker import webhook
from soundscape.worker.loop import Worker


def build(settings: Settings) -> FastAPI:
    """The app; its lifespan runs the claim loop. `app.state.worker` is the loop."""
    worker = Worker(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await worker.start()
        try:
            yield
        finally:
            await worker.stop()

    app = FastAPI(
        title="SoundScape worker",
        version=__version__,
        description="Signal processing beside a Supabase project. Everything else is Supabase itself.",
        lifespan=lifespan,
    )
    app.state.worker = worker

    @app.get("/health/live", tags=["health"])
    async def live() -> dict[str, str]:
        """The process answers. Says nothing about what it depends on."""
        return {"status": "ok"}

    @app.get("/health/ready", tags=["health"])
    async def ready() -> JSONResponse:
        """200 when the analysis children are warm and the queue answered the latest claim; else 503."""
        checks = {"analysis": worker.warm, "queue": worker.reachable}
        healthy = all(checks.values())
        return JSONResponse(
            {"status": "ok" if healthy else "unready", "checks": checks}, status_code=200 if healthy else 503
        )

    @app.post("/webhooks/storage", tags=["webhooks"], status_code=202)
    async def storage_webhook(request: Request) -> JSONResponse:
        """The doorbell: an authentic call makes the worker look at its queue. Its payload is ignored."""
        body = await _body(request)
        if body is None:
            return _problem(413, "webhook_too_large", f"At most {webhook.MAX_BODY_BYTES} bytes are read.")
        try:
            webhook.verify(
                body,
                request.headers,
                secrets=settings.webhook_secrets,
                database_webhook_secret=settings.database_webhook_secret,
            )
        except webhook.Unsigned as error:
            return _problem(401, error.code, error.message, error.remedy)
        worker.ring()
        return JSONResponse({"status": "accepted"}, status_code=202)

    return app


async def _body(request: Request) -> bytes | None:
    """The body, or None as soon as it is known to be too large: nothing is hashed before that."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 9 or int(declared) > webhook.MAX_BODY_BYTES):
        return None
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > webhook.MAX_BODY_BYTES:
                return None
    except ClientDisconnect:
        return b""  # Half a body proves nothing, and nobody reads the answer.
    return bytes(body)


def _problem(status: int, code: str, message: str, remedy: str = "") -> JSONResponse:
    content: dict[str, Any] = {"code": code, "message": message, "remedy": remedy}
    return JSONResponse(content, status_code=status)
