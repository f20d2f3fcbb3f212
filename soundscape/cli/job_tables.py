"""Tables of jobs and of the queue's figures."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

COLOURS = {
    "queued": "cyan",
    "running": "yellow",
    "succeeded": "green",
    "refused": "magenta",
    "dead": "red",
    "superseded": "dim",
    "cancelled": "dim",
}


def list_jobs(rows: Iterable[dict[str, Any]], *, now: datetime | None = None) -> Table:
    """Return a table with one line per job."""
    table = Table("job", "state", "queue", "attempt", "age", "recording", "title", "code")
    for row in rows:
        table.add_row(
            str(row["id"]),
            f"[{COLOURS[row['state']]}]{_format_state(row)}[/]",
            row["queue"].removeprefix("soundscape_"),
            str(row["attempt"]),
            format_age(row["created_at"], now=now),
            row["audio_id"],
            _escape(row["title"]),
            row["error_code"] or "",
        )
    return table


def show_job(row: dict[str, Any]) -> Table:
    """Return a table with one line per field of a job."""
    table = Table("", "", show_header=False)
    for name, value in row.items():
        if name == "others":
            value = ", ".join(f"{other['id']} {other['state']}" for other in value)
        if value not in (None, ""):
            table.add_row(name, _escape(str(value)))
    return table


def show_stats(figures: dict[str, Any]) -> list[Table]:
    """Return tables of what waits and runs, how jobs ended, dead letters by code, and the settings."""
    queues = Table("queue", "running", "standing", "retrying", "waiting", "owners", "oldest")
    for name, figure in figures["queues"].items():
        oldest_s = figure["oldest_s"]
        queues.add_row(
            name.removeprefix("soundscape_"),
            *(str(figure[column]) for column in ("running", "standing", "retrying", "waiting", "owners")),
            "" if oldest_s is None else format_span(float(oldest_s)),
        )
    ended = Table("ended in 24 h", "jobs")
    for state, count in sorted(figures["ended_in_a_day"].items()):
        ended.add_row(f"[{COLOURS[state]}]{state}[/]", str(count))
    dead = Table("dead, by code", "jobs")
    for code, count in sorted(figures["dead"].items()):
        dead.add_row(code, str(count))
    settings = Table("setting", "value")
    for name, value in figures["settings"].items():
        settings.add_row(name, "" if value is None else str(value))
    return [queues, ended, dead, settings]


def format_age(moment: str, *, now: datetime | None = None) -> str:
    """Return how long ago a moment was."""
    return format_span(((now or datetime.now(UTC)) - datetime.fromisoformat(moment)).total_seconds())


def format_span(seconds: float) -> str:
    """Return a length of time for people: 90 s is `1.5 min`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _format_state(row: dict[str, Any]) -> str:
    """A queued job without a message waits: its owner has enough jobs in flight."""
    return "waiting" if row["state"] == "queued" and row["msg_id"] is None else str(row["state"])


def _escape(text: str) -> str:
    """Remove markup and control characters from a user's title: they could move the terminal's cursor."""
    return "".join(sign if sign.isprintable() else "�" for sign in text).replace("[", r"\[")
