"""Many recordings at once, written without triggers, and the work that a statement does on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from .conftest import Database

FILL = Path(__file__).with_suffix(".sql").read_text()
ANALYZED = "audio_files", "audio_features"


def fill(db: Database, owner: str, *, first: int = 1, last: int) -> None:
    """Add the recordings `first` to `last`: ready, with objects, pictures, features and ended jobs."""
    with psycopg.connect(db.dsn("supabase_admin"), autocommit=True) as admin:
        values = psycopg.ClientCursor(admin)
        values.execute(FILL.encode(), {"owner": owner, "first": first, "last": last})
        admin.execute("analyze storage.objects, public.audio_files, public.audio_features, soundscape.jobs")


def count_buffers(db: Database, statement: str, *values: Any, by_index: bool = False) -> int:
    """Pages of 8 kB that a statement reads, by all that it calls. Its writes are rolled back.

    The planner rightly reads a small table whole, and changes its mind as the table grows. `by_index` holds
    it to indexes, so that only work that truly grows with the table counts as growth.
    """
    with db.connect("supabase_admin") as connection:
        if by_index:
            for other_plan in ("seqscan", "hashjoin", "mergejoin"):
                connection.execute(f"set enable_{other_plan} = off".encode())
            connection.commit()
        # The catalogue is read once for each session.
        for _ in range(2):
            (plan,) = psycopg.ClientCursor(connection, row_factory=psycopg.rows.tuple_row).execute(
                f"explain (analyze, buffers, format json) {statement}".encode(), values
            ).fetchone() or ([],)
            connection.rollback()
    top = plan[0]["Plan"]
    return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])
