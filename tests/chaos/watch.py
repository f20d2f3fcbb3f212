"""A thread that looks on while a test goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.waiting import LIMIT_S


@contextmanager
def watching(name: str, look: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run `look(finished)` in a thread until the block ends: then `finished` is set, and waited for."""
    finished = threading.Event()
    thread = threading.Thread(target=look, args=(finished,), name=name)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join(timeout=LIMIT_S)
