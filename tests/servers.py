"""Servers in the tests' own process, whose ends do not hang on a client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

GRACE_S = 10
"""A test that was cut off may leave a request open. uvicorn would wait for ever until it is answered."""


class _Server(uvicorn.Server):
    """One that runs in a thread, and leaves the process's signals alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def make_server(app: ASGIApp, **options: Any) -> uvicorn.Server:
    """A server of `app` on a free port of 127.0.0.1, which is yet to be started; `options` are uvicorn's."""
    options = {"log_config": None, "lifespan": "off", "timeout_graceful_shutdown": GRACE_S} | options
    return _Server(uvicorn.Config(app, host="127.0.0.1", port=0, **options))


def find_port(server: uvicorn.Server) -> int:
    """The port of a server that has started."""
    return int(server.servers[0].sockets[0].getsockname()[1])
