"""Jobs and figures as tables."""

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


def jobs(rows: Iterable[dict[str, Any]], *, now: datetime | None = None) -> Table:
    """One line a job."""
    table = Table("job", "state", "queue", "attempt", "age", "recording", "title", "code")
    for row in rows:
        table.add_row(
            str(row["id"]),
            f"[{COLOURS[row['state']]}]{_stage(row)}[/]",
            row["queue"].removeprefix("soundscape_"),
            str(row["attempt"]),
            age(row["created_at"], now=now),
            row["audio_id"],
            _plain(row["title"]),
            row["error_code"] or "",
        )
    return table


def job(row: dict[str, Any]) -> Table:
    """All of one job, a line each."""
    table = Table("", "", show_header=False)
    for name, value in row.items():
        if name == "others":
            value = ", ".join(f"{other['id']} {other['state']}" for other in value)
        if value not in (None, ""):
            table.add_row(name, _plain(str(value)))
    return table


def stats(figures: dict[str, Any]) -> list[Table]:
    """The queue in figures: what is to be done, and how what was done ended."""
    queues = Table("queue", "running", "standing", "retrying", "waiting", "owners", "oldest")
    for name, figure in figures["queues"].items():
        oldest_s = figure["oldest_s"]
        queues.add_row(
            name.removeprefix("soundscape_"),
            *(str(figure[column]) for column in ("running", "standing", "retrying", "waiting", "owners")),
            "" if oldest_s is None else span(float(oldest_s)),
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


def age(moment: str, *, now: datetime | None = None) -> str:
    """How long ago that was."""
    return span(((now or datetime.now(UTC)) - datetime.fromisoformat(moment)).total_seconds())


def span(seconds: float) -> str:
    """90 → 1.5 min."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _stage(row: dict[str, Any]) -> str:
    """A queued job without its message waits for its owner's turn."""
    return "waiting" if row["state"] == "queued" and row["msg_id"] is None else str(row["state"])


def _plain(text: str) -> str:
    """A stranger's title: no markup, nothing that moves a terminal's cursor."""
    return "".join(sign if sign.isprintable() else "�" for sign in text).replace("[", r"\[")
