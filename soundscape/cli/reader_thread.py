"""Pieces of sound from a source that blocks: a pipe, a device.

Such a read cannot be cancelled. A thread of the event loop's pool that waits in one would keep the command
from ending: the interpreter joins those threads. This one is a daemon.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress

STOP_TIMEOUT_S = 1.0
"""A file or a device that works has brought its next samples by then."""


async def read_in_thread(
    open_pieces: Callable[[], Generator[bytes, None, None]], *, stop_timeout_s: float = 0.0
) -> AsyncGenerator[bytes, None]:
    """Yield the pieces of a generator that runs in a thread of its own, from its first step to its `close`.

    Parameters
    ----------
    open_pieces
        Makes the generator. It is always closed by the thread that reads it, never while it reads.
    stop_timeout_s
        How long the end waits for a read under way. Then the thread is left alone: it ends with that read, or
        with the process.

    Raises
    ------
    Exception
        What the generator raises.
    """
    loop = asyncio.get_running_loop()
    read: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
    wanted = threading.Semaphore(0)
    is_stopped = threading.Event()
    has_ended = asyncio.Event()

    def report(call: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the event loop is closed: nobody waits any more
            loop.call_soon_threadsafe(call, *arguments)

    def work() -> None:
        last: Exception | None = None
        pieces = open_pieces()
        try:
            while wanted.acquire() and not is_stopped.is_set():
                piece = next(pieces, None)
                if piece is None:
                    break
                report(read.put_nowait, piece)
        except Exception as error:  # noqa: BLE001 - raised to the reader
            last = error
        finally:
            pieces.close()
            report(read.put_nowait, last)
            report(has_ended.set)

    threading.Thread(target=work, name="reader", daemon=True).start()
    try:
        while True:
            wanted.release()
            piece = await read.get()
            if isinstance(piece, Exception):
                raise piece
            if piece is None:
                return
            yield piece
    finally:
        is_stopped.set()
        wanted.release()
        with suppress(TimeoutError):
            async with asyncio.timeout(stop_timeout_s):
                await has_ended.wait()
