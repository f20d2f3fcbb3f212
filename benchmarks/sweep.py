"""The sweep with nothing to do, in libraries of several sizes.

    python benchmarks/sweep.py [--recordings 10000 100000 1000000] [--runs 30]

Real Postgres with fsync off, migrations and policies applied. Each recording has its object, a picture,
features and an ended job. Prints the processor time and the median time of `reconcile()`, the pages of 8 kB
that it reads, and the ratio to the smallest library. Wanted: 50 ms of processor time at 1,000,000 recordings.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from embedded_supabase.postgres import SUPERUSER
from soundscape.deploy.database import apply
from tests import cluster, templates

WANTED_MS = 50.0
CHUNK = 50_000
FILL = (Path(__file__).resolve().parents[1] / "tests" / "sql" / "library.sql").read_text()
SWEEP = "explain (analyze, buffers, format json) select soundscape.reconcile()"


def fill(admin: psycopg.Connection, owner: str, first: int, last: int) -> None:
    """Add recordings, in chunks of a size that needs little memory."""
    for start in range(first, last + 1, CHUNK):
        psycopg.ClientCursor(admin).execute(
            FILL.encode(), {"owner": owner, "first": start, "last": min(start + CHUNK - 1, last)}
        )
    admin.execute(
        "vacuum (analyze) storage.objects, public.audio_files, public.audio_features, soundscape.jobs"
    )


@dataclass(frozen=True)
class Cost:
    """What one run of a statement costs, over several runs."""

    processor_ms: float
    median_ms: float
    pages: int


def read_processor_s(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(admin: psycopg.Connection, explained: str, runs: int) -> Cost:
    """Run a statement several times. The first run, which reads the catalogue, is not counted."""
    times_ms, pages = [], []
    admin.execute(explained.encode())
    began_s = read_processor_s(admin.info.backend_pid)
    for _ in range(runs):
        (plan,) = admin.execute(explained.encode()).fetchone() or ([],)
        times_ms.append(plan[0]["Execution Time"])
        pages.append(plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"])
    used_s = read_processor_s(admin.info.backend_pid) - began_s
    return Cost(1000 * used_s / runs, statistics.median(times_ms), int(statistics.median(pages)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recordings", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--runs", type=int, default=30)
    arguments = parser.parse_args()

    print(f"load average {os.getloadavg()[0]:.1f}")
    owner, former = str(uuid4()), 0
    base: Cost | None = None
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        (folder / "templates").mkdir(mode=0o711)
        folder.chmod(0o711)
        os.environ[templates.FOLDER_VARIABLE] = str(folder / "templates")
        postgres = opened.enter_context(cluster.started(folder / "cluster"))
        apply(postgres.dsn())
        with psycopg.connect(postgres.dsn(SUPERUSER), autocommit=True) as admin:
            admin.execute("insert into auth.users (id, email) values (%s, 'a@example.com')", (owner,))
            for recordings in sorted(arguments.recordings):
                began = time.monotonic()
                fill(admin, owner, former + 1, recordings)
                former = recordings
                cost = measure(admin, SWEEP, arguments.runs)
                base = base or cost
                print(
                    f"{recordings:>9,} recordings: {cost.processor_ms:5.1f} ms of processor time, "
                    f"{cost.median_ms:5.1f} ms in all, {cost.pages:,} pages "
                    f"({cost.pages / base.pages:.2f})   filled in {time.monotonic() - began:.0f} s",
                    flush=True,
                )
    return 0 if cost.processor_ms <= WANTED_MS else 1


if __name__ == "__main__":
    sys.exit(main())
