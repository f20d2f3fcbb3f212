"""Workers as processes of their own, to be killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.waiting import LIMIT_S, until

from .watch import watching

WATCH_S = 0.25
ANSWER_S = 2.0
"""A worker that does not answer within this is not ready."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Member:
    """One worker process."""

    process: subprocess.Popen[bytes]
    port: int
    http: httpx.Client

    @property
    def pid(self) -> int:
        return self.process.pid

    def is_ready(self) -> bool:
        try:
            answer = self.http.get(f"http://127.0.0.1:{self.port}/api/health/ready")
        except httpx.HTTPError:
            return False
        return answer.status_code == 200


@dataclass
class Fleet:
    """Some `soundscape worker` processes against one project."""

    environment: Mapping[str, str]
    folder: Path
    """For their logs and scratch folders."""
    members: list[Member] = field(default_factory=list)
    killed: int = 0
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=ANSWER_S))
    """One for all: making one takes longer than asking."""
    absences: list[tuple[float, float]] = field(default_factory=list)
    """From when to when nobody was seen ready, in seconds of the clock, while `watched`."""

    def watched(self) -> AbstractContextManager[None]:
        """Note when nobody is ready, until the block ends."""
        return watching("fleet", self._watch)

    def _watch(self, finished: threading.Event) -> None:
        seen_at, absent = time.time(), False
        while not finished.wait(WATCH_S):
            looked_at = time.time()
            for member in list(self.members):
                asked_at = time.time()
                if member.is_ready():
                    if absent:
                        self.absences.append((seen_at, asked_at))
                    seen_at, absent = time.time(), False
            # The last one who was seen may have been killed a moment later.
            absent = absent or seen_at < looked_at
        if absent:
            self.absences.append((seen_at, time.time()))

    def start(self) -> Member:
        """One more worker, starting."""
        port = free_port()
        passed_on = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        with (self.folder / f"worker-{port}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "soundscape", "worker", "--port", str(port)],
                env={**passed_on, **self.environment},
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        member = Member(process, port, self.http)
        self.members.append(member)
        return member

    def await_ready(self, count: int) -> None:
        """Wait until `count` members claim jobs."""
        until(
            lambda: sum(member.is_ready() for member in self.members) >= count,
            f"{count} workers are not ready; their logs lie in {self.folder}",
        )

    def grow_to(self, count: int) -> None:
        """Start workers until there are `count`, and wait until all of them claim jobs."""
        while len(self.members) < count:
            self.start()
        self.await_ready(len(self.members))

    def ports(self) -> list[int]:
        return [member.port for member in list(self.members)]

    def kill(self, member: Member) -> None:
        """SIGKILL: no farewell, no clean-up."""
        self.members.remove(member)
        member.process.kill()
        member.process.wait()
        self.killed += 1

    def pause(self, member: Member) -> None:
        member.process.send_signal(signal.SIGSTOP)

    def resume(self, member: Member) -> None:
        member.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM to all; SIGKILL to whoever does not end."""
        for member in self.members:
            member.process.send_signal(signal.SIGCONT)
            member.process.terminate()
        for member in self.members:
            try:
                member.process.wait(timeout=LIMIT_S)
            except subprocess.TimeoutExpired:
                member.process.kill()
                member.process.wait()
        self.members.clear()
        self.http.close()
