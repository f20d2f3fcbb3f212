"""Serving an app from inside a running program, and the worker by itself."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from soundscape.api.app import build
from soundscape.api.connections import ACCEPT_BATCH, MAX_MESSAGE_BYTES, LimitedProtocol, LimitedWebSocket
from soundscape.errors import ServingError
from soundscape.settings import Settings

BACKLOG = 128


class _Server(uvicorn.Server):
    """A server that leaves signals to the program that runs it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket; port 0 takes any free one. Raises `ServingError` (`port_taken`)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Connections inherit it. Otherwise the kernel keeps a response's body back until the client has
    # acknowledged its head, which takes 40 ms. asyncio sets it only where the protocol's number was given.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((host, port))
        # Now, not when everything has started: until then a second process could bind the port as well.
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ServingError(
            f"Port {port} on {host} is taken.",
            code="port_taken",
            remedy="Stop what listens there, or pass --port.",
        ) from error
    return listener


@asynccontextmanager
async def serving(
    app: ASGIApp, listener: socket.socket, *, trusted_proxies: Sequence[str] = ()
) -> AsyncIterator[None]:
    """Serve `app` on `listener` until the block ends. The block begins when the app has started.

    Parameters
    ----------
    app
        The app. Its lifespan is run.
    listener
        As from `listen`.
    trusted_proxies
        Addresses and networks whose forwarding headers are believed.

    Raises
    ------
    ServingError
        If the app does not start.
    """
    server = _Server(
        uvicorn.Config(
            app,
            http=LimitedProtocol,
            ws=LimitedWebSocket,
            ws_max_size=MAX_MESSAGE_BYTES,
            # Sound is not text: it costs processor time, and becomes no smaller.
            ws_per_message_deflate=False,
            # While the app reads no more, a client's pong waits behind its own sound. Live sessions have time
            # limits of their own for clients that are gone.
            ws_ping_interval=None,
            backlog=ACCEPT_BATCH,
            log_config=None,
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=5,
            # A forwarding header of anybody else would only get around the rate limits.
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=list(trusted_proxies),
            # Longer than clients keep an idle connection: their next request must not meet a closed one.
            timeout_keep_alive=75,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            if task.done():
                task.result()
                raise ServingError("The app did not start.", remedy="The log above says why.")
            await asyncio.sleep(0.01)
        # asyncio has shortened the kernel's queue to its own batch.
        listener.listen(BACKLOG)
        yield
    finally:
        server.should_exit = True
        await task


async def stop(worker: FastAPI) -> None:
    """Stop what the worker's app does beside requests: jobs and live sessions, side by side.

    The worker claims no more from now on. Its folder goes when the sessions have left their recordings.
    """
    await worker.state.worker.stop(after=asyncio.create_task(worker.state.sessions.stop()))


async def serve(settings: Settings, *, host: str, port: int, ended: asyncio.Event) -> None:
    """Serve the worker of a project that lives elsewhere, until `ended` is set.

    Then running jobs get their grace time. If it is cancelled, it re-queues them at once.

    Parameters
    ----------
    settings
        The project.
    host, port
        Where to listen.
    ended
        Set to stop.

    Raises
    ------
    ServingError
        If the port is taken, the app does not start, or the analysis cannot be started.
    """
    worker = build(settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        # Starlette does not run the lifespan of a mounted app.
        async with worker.router.lifespan_context(worker):
            yield

    app = Starlette(routes=[Mount("/api", worker)], lifespan=lifespan)
    with listen(host, port) as listener:
        async with serving(app, listener, trusted_proxies=settings.trusted_proxies):
            try:
                await worker.state.worker.watch(ended)
            finally:
                # While it still answers requests: health checks then say alive, but not ready.
                await stop(worker)
