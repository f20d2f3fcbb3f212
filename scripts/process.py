"""A process that can be stopped with everything it has started."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

MAX_STOP_S = 10.0
"""How long a process has to end after SIGTERM."""


class Process:
    """A command in a session of its own, so that stopping it reaches what it has started too.

    Node ends the test's process on SIGTERM, and that one its browser. What is blocked gets SIGKILL.
    """

    def __init__(self, command: Sequence[str], *, cwd: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._has_ended = threading.Event()

    def lines(self) -> Iterator[str]:
        """What it and its children print, until all of them have closed their output."""
        assert self._process.stdout is not None
        yield from self._process.stdout

    def wait(self) -> int:
        """Its exit status, when it has ended."""
        status = self._process.wait()
        self._has_ended.set()
        return status

    def stop(self, max_stop_s: float = MAX_STOP_S) -> None:
        """End it and its children, unless `wait` has returned. Another thread may be reading `lines`."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._has_ended.is_set():
                return
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            deadline = time.monotonic() + max_stop_s
            while self._runs() and time.monotonic() < deadline:
                time.sleep(0.05)

    def _runs(self) -> bool:
        """Whether it or one of its children is left."""
        # Reaps it: until then it counts as left.
        self._process.poll()
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    @contextmanager
    def limited(self, max_s: float) -> Iterator[None]:
        """Stop it after this time, or when the block raises, as it does on Ctrl-C."""
        limit = threading.Timer(max_s, self.stop)
        limit.daemon = True
        limit.start()
        try:
            yield
        finally:
            limit.cancel()
            self.stop()
