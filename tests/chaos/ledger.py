"""What the database says while everything goes wrong: who holds a job, who takes it over."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from .watch import watching

POLL_S = 0.1


@dataclass
class Ledger:
    """The jobs as the database's owner sees them, watched by a thread."""

    dsn: str
    recoveries: dict[int, list[tuple[float, float]]] = field(default_factory=dict)
    """By job: when its lease ran out, and when another took it, in seconds of the clock."""
    looks: list[float] = field(default_factory=list)
    """When it looked, in seconds of the clock: every 0.1 s where the machine lets it."""
    outages: list[tuple[float, float]] = field(default_factory=list)
    """From when to when Postgres did not answer, in seconds of the clock, while `watched`."""

    def rows(self, query: LiteralString, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.dsn, autocommit=True, row_factory=dict_row) as connection:
            return connection.execute(query, values).fetchall()

    def value(self, query: LiteralString, *values: Any) -> Any:
        (row,) = self.rows(query, *values)
        return next(iter(row.values()))

    def slowdown(self, begin: float, end: float) -> float:
        """How much slower than on an idle machine it looked from one moment to another: 1 or more."""
        looks = sum(begin <= look <= end for look in self.looks)
        return max(1.0, (end - begin) / (POLL_S * (looks + 1)))

    def held_by(self, pid: int) -> list[int]:
        """Analyses that the worker with this process id holds."""
        return [
            row["id"]
            for row in self.rows(
                "select id from soundscape.jobs where state = 'running' and queue <> 'soundscape_previews'"
                " and worker like %s",
                f"%-{pid}-%",
            )
        ]

    def watched(self) -> AbstractContextManager[None]:
        """Note every recovery until the block ends."""
        return watching("ledger", self._watch)

    def _watch(self, finished: threading.Event) -> None:
        down_at: float | None = None
        while not finished.is_set():
            # The database goes down while we look: then we look again.
            with suppress(psycopg.OperationalError), psycopg.connect(self.dsn, autocommit=True) as connection:
                if down_at is not None:
                    self.outages.append((down_at, time.time()))
                    down_at = None
                self._watch_connected(connection, finished)
            down_at = down_at or time.time()
            time.sleep(POLL_S)

    def _watch_connected(self, connection: psycopg.Connection[Any], finished: threading.Event) -> None:
        running: dict[int, tuple[int, Any]] = {}
        while not finished.wait(POLL_S):
            self.looks.append(time.time())
            seen = connection.execute(
                "select id, attempt, lease_expires_at, clock_timestamp() from soundscape.jobs"
                # A preview has time: it is taken over when no analysis waits.
                " where state = 'running' and queue <> 'soundscape_previews'"
            ).fetchall()
            now_running = {}
            for job, attempt, expires_at, now in seen:
                earlier = running.get(job)
                if earlier and attempt > earlier[0] and earlier[1] <= now:
                    taken = (earlier[1].timestamp(), now.timestamp())
                    self.recoveries.setdefault(job, []).append(taken)
                now_running[job] = (attempt, expires_at)
            # A job that waits for its next attempt is remembered as it was.
            running = running | now_running
