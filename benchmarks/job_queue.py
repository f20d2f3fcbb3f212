"""The queue's price over bare pgmq, and how long one upload waits behind a bulk import of another's.

    .venv/bin/python benchmarks/job_queue.py [--jobs 400] [--import 100000] [--json]

One connection, real Postgres with fsync off, migrations and policies applied. A job is claimed and completed
with results of a usual size, two round trips; bare pgmq reads and archives a message, two round trips. The
two take turns. Then one owner imports so many recordings, claims are timed before that backlog, and another
owner uploads one: how many are claimed before it.
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
from uuid import uuid4

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from soundscape.deploy.database import apply
from tests import cluster

CHUNK = 2000
WARM_UP = 20

STORE = """
insert into storage.objects (bucket_id, name, owner_id, version, metadata, user_metadata)
select 'audio-files', %(owner)s || '/' || gen_random_uuid() || '.wav', %(owner)s, gen_random_uuid()::text,
       jsonb_build_object('eTag', gen_random_uuid(), 'size', 1000, 'mimetype', 'audio/wav'),
       '{"title": "A sound"}'
from generate_series(1, %(many)s)
"""


def result(audio_id: str, version: str) -> str:
    """A record of the usual size: some 20 kB, ten tags, a place."""
    return json.dumps(
        {
            "analysis_version": "bench-1",
            "source": {"duration_s": 180.0, "sample_rate": 44100, "channels": 2, "sha256": "0" * 64},
            "waveform": {"path": f"{audio_id}/bench-1/{version}/waveform.dat"},
            "embedding": {"space": "bench", "values": [0.088] * 128},
            "tags": [
                {"label": f"Sound {number}", "confidence": 0.5, "start_s": 0.0, "end_s": 9.6}
                for number in range(10)
            ],
            "rhythm": {"tempo_bpm": 120.0, "beats_s": [number / 2 for number in range(2000)]},
        }
    )


class Bench:
    """The queue on one connection."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    def owner(self) -> str:
        owner = str(uuid4())
        self.connection.execute(
            "insert into auth.users (id, email) values (%s, %s)", (owner, f"{owner}@example.com")
        )
        return owner

    def upload(self, owner: str, many: int) -> None:
        while many > 0:
            self.connection.execute(STORE, {"owner": owner, "many": min(many, CHUNK)})
            many -= CHUNK

    def job(self) -> tuple[str, float, float]:
        """Claim and complete one; whose it was, and seconds of claim and completion."""
        began = time.perf_counter()
        row = self.connection.execute(
            "select job_id, token, audio_id, user_id, object_version from public.claim_jobs('bench', 1, 60)"
        ).fetchone()
        claimed = time.perf_counter()
        assert row is not None
        job_id, token, audio_id, user_id, version = row
        record = result(str(audio_id), version)
        completing = time.perf_counter()
        self.connection.execute("select public.complete_job(%s, %s, %s)", (job_id, token, record))
        return str(user_id), claimed - began, time.perf_counter() - completing

    def bare(self) -> float:
        """Read and archive one message; seconds."""
        began = time.perf_counter()
        row = self.connection.execute("select msg_id from pgmq.read('bare', 60, 1)").fetchone()
        assert row is not None
        self.connection.execute("select pgmq.archive('bare', %s::bigint)", row)
        return time.perf_counter() - began


def measure(connection: psycopg.Connection[Any], jobs: int, imported: int) -> dict[str, Any]:
    bench = Bench(connection)
    connection.execute("select pgmq.create('bare')")
    connection.execute(
        "select pgmq.send('bare', jsonb_build_object('job_id', n)) from generate_series(1, %s) n",
        (2 * jobs + WARM_UP,),
    )
    for _ in range(10):
        bench.upload(bench.owner(), (jobs + WARM_UP) // 10 + 1)
    for _ in range(WARM_UP):
        bench.job()
        bench.bare()
    ours, bare = in_turns(bench, jobs)
    while connection.execute("select count(*) from soundscape.jobs where state = 'queued'").fetchone() != (
        0,
    ):
        bench.job()

    importer, newcomer = bench.owner(), bench.owner()
    began = time.perf_counter()
    bench.upload(importer, imported)
    import_s = time.perf_counter() - began
    connection.execute("analyze")
    behind, bare_meanwhile = in_turns(bench, jobs)
    bench.upload(newcomer, 1)
    position = 1
    while bench.job()[0] != newcomer:
        position += 1
    return {
        "jobs": jobs,
        "empty": figures(ours, bare),
        "imported": imported,
        "import_per_s": round(imported / import_s, 1),
        "behind_import": figures(behind, bare_meanwhile),
        "newcomer_position": position,
    }


def in_turns(bench: Bench, jobs: int) -> tuple[list[tuple[float, float]], list[float]]:
    """Claim and completion of so many jobs, and as many bare messages between them; seconds."""
    ours, bare = [], []
    for _ in range(jobs):
        ours.append(bench.job()[1:])
        bare.append(bench.bare())
    return ours, bare


def figures(ours: list[tuple[float, float]], bare: list[float]) -> dict[str, float]:
    """Rates and their ratio."""
    per_s, bare_per_s = (len(bare) / sum(spent) for spent in (map(sum, ours), bare))
    return {
        "ours_per_s": round(per_s, 1),
        "bare_per_s": round(bare_per_s, 1),
        "ratio": round(per_s / bare_per_s, 3),
        "claim_median_ms": round(statistics.median(claim_s for claim_s, _ in ours) * 1000, 2),
        "complete_median_ms": round(statistics.median(complete_s for _, complete_s in ours) * 1000, 2),
        "bare_median_ms": round(statistics.median(bare) * 1000, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=400)
    parser.add_argument("--import", dest="imported", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soundscape-queue-") as folder:
        Path(folder).chmod(0o711)
        with cluster.started(Path(folder) / "pg") as postgres, cluster.database(postgres) as name:
            dsn = postgres.dsn(dbname=name)
            apply(dsn)
            load_before = os.getloadavg()[0]
            with psycopg.connect(dsn, autocommit=True) as connection:
                # The sweep is pg_cron's business, not this measurement's.
                connection.execute("select cron.unschedule('soundscape-reconcile')")
                found = measure(connection, options.jobs, options.imported) | {"load_before": load_before}
    if options.json:
        print(json.dumps(found))
        return
    load_after = os.getloadavg()[0]
    print(f"machine load {found['load_before']:.1f} before, {load_after:.1f} after, {os.cpu_count()} cores")
    for name, figure in (
        ("empty queue", found["empty"]),
        (f"behind {found['imported']:,}", found["behind_import"]),
    ):
        print(
            f"{name:16} {figure['ours_per_s']:7.1f} jobs/s, bare pgmq {figure['bare_per_s']:7.1f}/s: "
            f"{figure['ratio']:.2f} of it; medians: claim {figure['claim_median_ms']:.2f} ms, "
            f"complete {figure['complete_median_ms']:.2f} ms, bare {figure['bare_median_ms']:.2f} ms"
        )
    print(f"a newcomer's upload is claimed as number {found['newcomer_position']}")


if __name__ == "__main__":
    main()
