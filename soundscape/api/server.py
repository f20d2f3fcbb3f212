"""An app served from inside a running program, which keeps its own signals."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

from soundscape.api.connections import ACCEPTED_AT_ONCE, Connection
from soundscape.errors import ServingError

BACKLOG = 128


class _Server(uvicorn.Server):
    """A server that leaves the process's signals to whoever runs the program."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises `ServingError` (`port_taken`)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Now, not when everything is up: until somebody listens, a second start may bind the port as well.
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
    """Serve `app` on `listener` from start-up complete until the block ends. Raises `ServingError`.

    Of `trusted_proxies` (addresses, networks) it is believed for whom they ask.
    """
    server = _Server(
        uvicorn.Config(
            app,
            http=Connection,
            backlog=ACCEPTED_AT_ONCE,
            log_config=None,
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=5,
            # From anybody else a forwarding header would only be a way around the rate limits.
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=list(trusted_proxies),
            # Longer than clients leave a connection idle, or their next request meets a closed one.
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
        # asyncio has made the kernel's queue as short as its own turns are.
        listener.listen(BACKLOG)
        yield
    finally:
        server.should_exit = True
        await task
