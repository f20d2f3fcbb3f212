"""The frontend's usual queries over 100,000 recordings of 1,000 users, in SQL, under row level security.

    .venv/bin/python benchmarks/queries.py [--recordings 100000] [--users 1000] [--runs 200]

Prints the median and the 95th percentile of each query as PostgREST would send it, for somebody signed in and
for somebody who is not, and fails when one takes longer than it may (20 ms; counts 30)
or reads a big table from end to end.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from embedded_supabase.postgres import Postgres
from soundscape.deploy.database import apply
from tests import cluster

LIMIT_MS = 20.0
BIG = {"audio_files", "audio_features", "audio_tags", "playlist_items", "likes", "listening_events"}

FILL = Path(__file__).with_suffix(".sql")


@dataclass(frozen=True)
class Query:
    """One thing a frontend asks, and who asks."""

    name: str
    text: LiteralString
    anonymous: bool = True
    limit_ms: float = LIMIT_MS


QUERIES = (
    Query(
        "own library, first page",
        "select * from public.audio_files where user_id = %(me)s order by created_at desc limit 20",
        anonymous=False,
    ),
    Query(
        "newest public",
        "select * from public.audio_files where is_public = true order by created_at desc limit 20",
    ),
    Query(
        "newest of all that one sees",
        "select * from public.audio_files order by created_at desc limit 20",
    ),
    Query(
        "one recording with its features",
        "select f.*, to_jsonb(a) from public.audio_files f "
        "left join public.audio_features a on a.audio_id = f.id "
        "where f.id = %(recording)s",
    ),
    Query("words, common", "select * from public.search_audio('rain', 20)"),
    Query("words, two", "select * from public.search_audio('rain guitar', 20)"),
    Query("words, rare", "select * from public.search_audio(%(rare)s, 20)"),
    Query("words, newest first", "select * from public.search_audio('rain', sort => 'newest')"),
    Query("words, begun", "select * from public.search_audio('rain gui')"),
    Query("words, misspelt", "select * from public.search_audio('thundr')"),
    Query(
        "no words, slowest first", "select * from public.search_audio(sort => 'tempo', min_tempo_bpm => 80)"
    ),
    Query(
        "words, tempo and key",
        "select * from public.search_audio('rain', key => 'A', "
        "min_tempo_bpm => %(tempo)s, max_tempo_bpm => %(tempo)s + 10)",
    ),
    Query("counts of a common word", "select * from public.search_facets('rain')", limit_ms=30),
    Query(
        "tempo, key and mode",
        "select f.*, a.tempo_bpm from public.audio_files f "
        "join public.audio_features a on a.audio_id = f.id "
        "where a.tempo_bpm between %(tempo)s - 2 and %(tempo)s + 2 and a.key = 'A' and a.mode = 'minor' "
        "order by f.created_at desc limit 20",
    ),
    Query(
        "tempo alone, slowest first",
        "select f.*, a.tempo_bpm from public.audio_files f "
        "join public.audio_features a on a.audio_id = f.id "
        "where a.tempo_bpm between %(tempo)s - 2 and %(tempo)s + 2 order by a.tempo_bpm limit 20",
    ),
    Query(
        "duration, key and mode",
        "select f.*, a.duration_s from public.audio_files f "
        "join public.audio_features a on a.audio_id = f.id "
        "where a.duration_s between 60 and 75 and a.key = 'D' and a.mode = 'major' "
        "order by f.created_at desc limit 20",
    ),
    Query(
        "what is heard",
        "select t.*, f.title from public.audio_tags t "
        "join public.audio_files f on f.id = t.audio_id "
        "where t.label = %(label)s order by t.confidence desc limit 20",
    ),
    Query(
        "a playlist",
        "select i.*, to_jsonb(f) from public.playlist_items i "
        "left join public.audio_files f on f.id = i.audio_id "
        "where i.playlist_id = %(playlist)s order by i.position",
    ),
    Query(
        "own playlists",
        "select * from public.playlists where user_id = %(me)s order by created_at desc limit 20",
        anonymous=False,
    ),
    Query(
        "own likes",
        "select l.*, to_jsonb(f) from public.likes l "
        "left join public.audio_files f on f.id = l.audio_id "
        "where l.user_id = %(me)s order by l.created_at desc limit 20",
        anonymous=False,
    ),
    Query(
        "heard lately",
        "select e.*, to_jsonb(f) from public.listening_events e "
        "left join public.audio_files f on f.id = e.audio_id "
        "where e.user_id = %(me)s order by e.started_at desc limit 20",
        anonymous=False,
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--only", default="", help="queries whose name starts so")
    given = parser.parse_args()
    wrong = []
    with (
        filled(given.recordings, given.users) as dsn,
        psycopg.connect(dsn) as connection,
        psycopg.connect(dsn.replace("authenticator", "postgres", 1), autocommit=True) as watcher,
    ):
        print(f"{given.recordings} recordings, {given.users} users, {given.runs} runs a query, ms")
        print(f"{'':<34}{'who':<12}{'p50':>8}{'p95':>8}")
        for query in (query for query in QUERIES if query.name.startswith(given.only)):
            for role in ("authenticated", "anon") if query.anonymous else ("authenticated",):
                before = sequential_scans(connection, watcher)
                times_ms = sorted(run(connection, query, role, given) for _ in range(given.runs))
                p50, p95 = statistics.median(times_ms), times_ms[int(len(times_ms) * 0.95)]
                read_whole = planned_scans(connection, query, role, given)
                after = sequential_scans(connection, watcher)
                read_whole |= {table for table in BIG if after[table] > before[table]}
                print(f"{query.name:<34}{role:<12}{p50:>8.2f}{p95:>8.2f}  {' '.join(sorted(read_whole))}")
                if p95 > query.limit_ms:
                    wrong.append(f"{query.name} as {role}: p95 {p95:.1f} ms")
                if read_whole:
                    wrong.append(f"{query.name} as {role} reads all of {', '.join(sorted(read_whole))}")
    print("\n".join(wrong) or "all within their limits, none reads a big table from end to end")
    return 1 if wrong else 0


@contextmanager
def filled(recordings: int, users: int) -> Iterator[str]:
    """A deployed database with that many recordings; yields the connection string of `authenticator`."""
    with tempfile.TemporaryDirectory(prefix="soundscape-benchmark-") as folder:
        Path(folder).chmod(0o711)
        with cluster.started(Path(folder) / "cluster") as postgres:
            apply(postgres.dsn())
            began = time.perf_counter()
            fill(postgres, recordings, users)
            print(f"filled in {time.perf_counter() - began:.0f} s")
            yield postgres.dsn("authenticator")


def fill(postgres: Postgres, recordings: int, users: int) -> None:
    """So many recordings of so many users into a deployed database."""
    with psycopg.connect(postgres.dsn("supabase_admin"), autocommit=True) as connection:
        connection.execute(
            "select set_config('benchmark.users', %s, false), set_config('benchmark.recordings', %s, false)",
            (str(users), str(recordings)),
        )
        connection.execute(FILL.read_bytes())
        connection.execute("vacuum analyze")


def run(connection: psycopg.Connection[Any], query: Query, role: str, given: argparse.Namespace) -> float:
    """One request as PostgREST makes it; milliseconds for the query alone, fetched to the last row."""
    with connection.transaction(force_rollback=True):
        values = become(connection, role, given)
        began = time.perf_counter()
        connection.execute(query.text, values).fetchall()
        return (time.perf_counter() - began) * 1000


def planned_scans(
    connection: psycopg.Connection[Any], query: Query, role: str, given: argparse.Namespace
) -> set[str]:
    """Big tables that the plan reads sequentially."""
    with connection.transaction(force_rollback=True):
        values = become(connection, role, given)
        text: LiteralString = "explain (format json) " + query.text
        row = connection.execute(text, values).fetchone()
        assert row is not None
        found = {
            node["Relation Name"] for node in nodes(row[0][0]["Plan"]) if node["Node Type"] == "Seq Scan"
        }
        return found & BIG


def sequential_scans(connection: psycopg.Connection[Any], watcher: psycopg.Connection[Any]) -> dict[str, int]:
    """How often each big table was read from end to end, also inside functions, where no plan shows it."""
    with connection.transaction():
        connection.execute("select pg_stat_force_next_flush()")
    rows = watcher.execute(
        "select relname, seq_scan from pg_stat_user_tables where schemaname = 'public' and relname = any(%s)",
        (list(BIG),),
    )
    return dict(rows.fetchall())


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def become(connection: psycopg.Connection[Any], role: str, given: argparse.Namespace) -> dict[str, Any]:
    """Take the role of somebody at random; the values they ask for."""
    user = random.randint(1, given.users)
    me = f"00000000-0000-4000-8000-{user:012d}"
    claims = {"role": role} | ({"sub": me} if role == "authenticated" else {})
    connection.execute(
        "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)",
        (role, json.dumps(claims)),
    )
    recording = random.randint(1, given.recordings)
    return {
        "me": me,
        "recording": f"10000000-0000-4000-8000-{recording:012d}",
        "rare": f"number{recording}",
        "tempo": random.randint(60, 190),
        "label": f"Label {random.randint(1, 299)}",
        "playlist": f"20000000-0000-4000-8000-{random.randint(1, given.users * 3):012d}",
    }


if __name__ == "__main__":
    raise SystemExit(main())
