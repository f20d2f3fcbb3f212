"""Servers of tests end, whatever their clients do."""

from __future__ import annotations

import asyncio
import socket
import threading

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.servers import find_port, make_server
from tests.waiting import LIMIT_S, until


def test_a_request_that_is_never_answered_does_not_keep_a_server() -> None:
    asked = threading.Event()

    async def wait_for_ever(_: Request) -> Response:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError("nothing sets the event")

    server = make_server(Starlette(routes=[Route("/", wait_for_ever)]), timeout_graceful_shutdown=1)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started, "the server did not start")
    with socket.create_connection(("127.0.0.1", find_port(server))) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        assert asked.wait(LIMIT_S)
        server.should_exit = True
        thread.join(LIMIT_S)
        assert not thread.is_alive()
