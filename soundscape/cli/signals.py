"""Signals that end a command: the first one stops in order, the second one at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import typer

T = TypeVar("T")
EXIT_INTERRUPTED = 130


def run_until_signalled(work: Callable[[asyncio.Event], Awaitable[T]]) -> T:
    """Run `work(ended)` to its end.

    The first SIGINT or SIGTERM sets `ended`, so that everything stops in order. The second one cancels:
    whoever sends it does not want to wait for running jobs.
    """

    async def main() -> T:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None

        def end() -> None:
            if ended.is_set():
                task.cancel()
            ended.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, end)
        return await work(ended)

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise typer.Exit(EXIT_INTERRUPTED) from None
