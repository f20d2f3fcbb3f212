"""A service of the test's own on a free port: real sockets, answers as the test wants them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Request:
    """What came in: its first line's two words, its headers in lower case, its body."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Service:
    """Where it listens, and every request it had."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)


Answer = tuple[int, dict[str, str], bytes]


@asynccontextmanager
async def serving(answer: Callable[[Request], Answer]) -> AsyncIterator[Service]:
    """Answer every request with what `answer` says, one a connection, until the block ends."""
    service = Service()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (ln.partition(":") for ln in lines if ln)
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            method, path, _ = first.split(" ")
            request = Request(method, path, headers, body)
            service.requests.append(request)
            status, extra, content = answer(request)
            head = [f"HTTP/1.1 {status} X", f"content-length: {len(content)}", "connection: close"]
            head += [f"{name}: {value}" for name, value in extra.items()]
            writer.write("\r\n".join([*head, "", ""]).encode() + content)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client went away
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield service
