"""Statistics of ten million events: counting them, a day's rollup, and reading a year of one recording.

    python benchmarks/stats.py                       # 10,000,000 plays over 365 days, 5,000 recordings
    python benchmarks/stats.py --events 200000       # while others work
    python benchmarks/stats.py --json

A year of plays lies in `stat_events` as the trigger leaves them. All but the last day's are rolled up first
in batches of 100,000. Then the last day is rolled up by itself, and the owner reads a year of the recording
that is played most. Wanted: a day in seconds, and a read in less than 10 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests import cluster, templates

DAYS = 365
USERS = 200
READS = 50
BATCH = 100_000
TRIGGERED = 20_000
"""Events that are inserted as users insert them, to time the trigger."""

FILL = """
insert into soundscape.stat_events (audio_id, day, plays, listeners, listened_s, source, quarter)
select r.ids[1 + floor(power(u.place, 3) * cardinality(r.ids))::integer],
    (now() at time zone 'UTC')::date - (%(days)s - 1 - n %% %(days)s)::integer,
    1, (n %% 3 > 0)::integer, 30 + n %% 90,
    (array['search', 'similar', 'recommended', 'radio', 'playlist', 'embed', 'elsewhere'])[1 + n %% 7],
    1 + n %% 4
from generate_series(%(first)s::bigint, %(last)s) as n,
    -- A fixed sequence that is spread evenly: the fractions of multiples of the golden ratio.
    lateral (select (n * 0.6180339887498949) - floor(n * 0.6180339887498949) as place) u,
    (select array_agg(id order by id) as ids from public.audio_files) r
"""


def run(events: int, recordings: int, folder: Path) -> dict[str, Any]:
    """Measure on a deployed database of its own."""
    with (
        cluster.deployed(folder / "stats") as postgres,
        psycopg.connect(postgres.dsn(), autocommit=True) as connection,
    ):
        make_recordings(connection, recordings)
        figures: dict[str, Any] = {"events": events, "recordings": recordings}
        figures["trigger_us_per_event"] = time_trigger(connection)
        connection.execute("delete from soundscape.stat_events")
        for first in range(0, events, 1_000_000):
            last = min(first + 1_000_000, events) - 1
            connection.execute(FILL, {"days": DAYS, "first": first, "last": last})
        connection.execute("vacuum analyze soundscape.stat_events")
        connection.execute(
            "create temporary table last_day as select * from soundscape.stat_events"
            " where day = (now() at time zone 'UTC')::date"
        )
        connection.execute("delete from soundscape.stat_events where day = (now() at time zone 'UTC')::date")
        started_s = time.perf_counter()
        rolled_up = 0
        while added := value(connection, "select public.roll_up_stats(%s)", BATCH):
            rolled_up += added
        figures["year_s"] = round(time.perf_counter() - started_s, 2)
        figures["events_per_s"] = round(rolled_up / figures["year_s"])
        connection.execute(
            "insert into soundscape.stat_events"
            " (audio_id, day, plays, listeners, listened_s, source, quarter)"
            " select audio_id, day, plays, listeners, listened_s, source, quarter from last_day"
        )
        started_s = time.perf_counter()
        figures["day_events"] = value(connection, "select public.roll_up_stats(1000000)")
        figures["day_s"] = round(time.perf_counter() - started_s, 3)
        connection.execute("vacuum analyze")
        figures |= time_reads(connection)
        counted = value(connection, "select sum(plays) from public.audio_stats_daily")
        assert counted == events, f"{counted} plays of {events} were counted"
        return figures


def make_recordings(connection: psycopg.Connection[Any], recordings: int) -> None:
    """An owner of all recordings, and listeners."""
    connection.execute(
        "insert into auth.users (id, email) select gen_random_uuid(), n || '@example.com'"
        " from generate_series(0, %s) as n",
        (USERS,),
    )
    connection.execute(
        "insert into public.audio_files (user_id, title, file_path, is_public, duration)"
        " select u.id, 't', u.id || '/' || n || '.wav', true, 120"
        " from generate_series(1, %s) as n, (select id from auth.users where email = '0@example.com') u",
        (recordings,),
    )


def time_trigger(connection: psycopg.Connection[Any]) -> float:
    """Microseconds that counting adds to an inserted event."""
    insert = (
        "insert into public.listening_events (user_id, audio_id, listened_s, context)"
        " select u.id, f.id, 30, 'search' from"
        " (select id, row_number() over (order by id) as n from auth.users where email <> '0@example.com') u,"
        " (select id from public.audio_files order by id limit %s) f"
    )
    spans = []
    for enable in ("enable", "disable"):
        connection.execute(
            f"alter table public.listening_events {enable} trigger listening_events_count".encode()
        )
        started_s = time.perf_counter()
        connection.execute(insert, (TRIGGERED // USERS,))
        spans.append(time.perf_counter() - started_s)
    connection.execute("alter table public.listening_events enable trigger listening_events_count")
    return round(1e6 * (spans[0] - spans[1]) / TRIGGERED, 1)


def time_reads(connection: psycopg.Connection[Any]) -> dict[str, float]:
    """Milliseconds of `my_audio_stats` over a year, as the owner calls it: of one recording, and of all."""
    audio_id = value(connection, "select audio_id::text from public.audio_stats order by plays desc limit 1")
    owner = value(connection, "select user_id::text from public.audio_files limit 1")
    connection.execute(
        "select set_config('request.jwt.claims', %s, false), set_config('role', 'authenticated', false)",
        (json.dumps({"sub": owner, "role": "authenticated"}),),
    )
    call = "select * from public.my_audio_stats(current_date - 365, current_date + 1"
    found = {}
    for name, query, values in (
        ("year_of_one_recording", f"{call}, %s)", (audio_id,)),
        ("year_of_all_recordings", f"{call})", ()),
    ):
        spans_ms = []
        for _ in range(READS if values else 3):
            started_s = time.perf_counter()
            rows = connection.execute(query.encode(), values).fetchall()
            spans_ms.append(1000 * (time.perf_counter() - started_s))
        assert len(rows) >= DAYS - 1, f"{len(rows)} days"
        found[f"{name}_p50_ms"] = round(statistics.median(spans_ms), 2)
        found[f"{name}_max_ms"] = round(max(spans_ms), 2)
    connection.execute("reset role")
    return found


def value(connection: psycopg.Connection[Any], query: str, *values: Any) -> Any:
    """The one value that a query answers."""
    row = connection.execute(query.encode(), values).fetchone()
    assert row is not None
    return row[0]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--recordings", type=int, default=5_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # As root, Postgres runs under another uid and must be able to pass through.
        Path(folder).chmod(0o711)
        (Path(folder) / "templates").mkdir(mode=0o711)
        os.environ[templates.FOLDER_VARIABLE] = str(Path(folder) / "templates")
        figures = run(options.events, options.recordings, Path(folder))
    if options.json:
        print(json.dumps(figures))
        return
    for name, figure in figures.items():
        print(f"{name:28} {figure:>14,}")


if __name__ == "__main__":
    main()
