"""The whole embedded Supabase on a free port, served by a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from soundscape.cli.embedded_project import Project, run_project
from tests import templates
from tests.waiting import LIMIT_S


@contextmanager
def served(data_dir: Path, *, with_worker: bool = True) -> Iterator[Project]:
    """The project in `data_dir`, a copy of the run's template, up until the block ends."""
    templates.copy_project(data_dir)
    started: Future[Project] = Future()
    loop = asyncio.new_event_loop()
    finished = asyncio.Event()

    async def serve() -> None:
        try:
            async with run_project(data_dir, port=0, durable=False, with_worker=with_worker) as project:
                started.set_result(project)
                await finished.wait()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="embedded Supabase")
    thread.start()
    try:
        yield started.result(timeout=LIMIT_S)
    finally:
        loop.call_soon_threadsafe(finished.set)
        thread.join(timeout=LIMIT_S)
        loop.close()
