"""Tables of mails and pushes, and of the outbox's figures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.table import Table

from soundscape.cli.job_tables import format_age, format_span

COLOURS = {"queued": "cyan", "running": "yellow", "sent": "green", "dropped": "dim", "dead": "red"}


def list_deliveries(rows: Iterable[dict[str, Any]]) -> Table:
    """Return a table with one line per delivery."""
    table = Table("delivery", "channel", "state", "age", "user", "kinds", "failures", "code")
    for row in rows:
        table.add_row(
            row["id"],
            row["channel"],
            f"[{COLOURS[row['state']]}]{row['state']}[/]",
            format_age(row["created_at"]),
            row["user_id"],
            ", ".join(row["kinds"]),
            str(row["failures"]),
            row["error_code"] or "",
        )
    return table


def show_delivery(row: dict[str, Any]) -> Table:
    """Return a table with one line per field of a delivery."""
    table = Table("", "", show_header=False)
    for name, value in row.items():
        if name == "content":
            value = ", ".join(f"{entry['kind']} {entry['count']}" for entry in value or ())
        if value not in (None, ""):
            table.add_row(name, _escape(str(value)))
    return table


def show_stats(figures: dict[str, Any]) -> list[Table]:
    """Return tables of what waits and runs, and of why deliveries failed."""
    channels = Table("channel", "is", "waiting", "queued", "running", "oldest", "sent in 24 h")
    failed = Table("channel", "failed, by code", "deliveries")
    for name, figure in sorted(figures.items()):
        oldest_s = figure["oldest_s"]
        state = "[green]on[/]" if figure["is_on"] else f"off: {figure['reason'] or 'no worker reported'}"
        channels.add_row(
            name,
            state,
            *(str(figure[column]) for column in ("waiting", "queued", "running")),
            "" if oldest_s is None else format_span(float(oldest_s)),
            str(figure["ended_in_a_day"].get("sent", 0)),
        )
        for code, count in sorted(figure["failed"].items()):
            failed.add_row(name, code, str(count))
    return [channels, failed]


def _escape(text: str) -> str:
    """Remove markup and control characters from a mail server's words."""
    return "".join(sign if sign.isprintable() else "�" for sign in text).replace("[", r"\[")
