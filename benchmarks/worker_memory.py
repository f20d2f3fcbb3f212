"""Whether a worker's own memory stays flat, however many jobs it has done.

    python benchmarks/worker_memory.py                 # 1,000 jobs
    python benchmarks/worker_memory.py --jobs 10000 --json

One worker process with one child, against an embedded Supabase; clips of a second, in portions of fifty. The
worker's resident memory after each portion is compared with that after the first hundred jobs, by which time
its connections and caches are there. Wanted: less than 5 % more at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from worker_load import a_project, machine, rss_bytes

PORTION = 50
WARM_UP_JOBS = 100
WANTED = 1.05


def clip() -> bytes:
    t = np.arange(22_050) / 22_050
    file = io.BytesIO()
    soundfile.write(file, 0.25 * np.sin(2 * np.pi * 440 * t), 22_050, format="WAV")
    return file.getvalue()


async def measure(jobs: int, *, tell: bool) -> list[int]:
    """Resident bytes after each portion, told as they are found."""
    found = []
    with tempfile.TemporaryDirectory(prefix="soundscape-memory-") as folder:
        async with a_project(Path(folder)) as load, load.workers(1) as (worker,):
            for _ in range(jobs // PORTION):
                names = await load.upload(clip(), PORTION, "audio/wav")
                await load.queue(names)
                await load.until_heard(names)
                found.append(rss_bytes(worker.pid))
                if tell:
                    print(f"{len(found) * PORTION:6} jobs: {found[-1] / 1e6:7.1f} MB", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.jobs < 2 * WARM_UP_JOBS:
        parser.error(f"at least {2 * WARM_UP_JOBS} jobs: the first {WARM_UP_JOBS} only warm it up")
    found = asyncio.run(measure(arguments.jobs, tell=not arguments.json))
    warm = found[WARM_UP_JOBS // PORTION - 1]
    ratio = found[-1] / warm
    if arguments.json:
        json.dump({"rss_bytes": found, "ratio": ratio, "machine": machine()}, sys.stdout)
        print()
        return
    print(f"ratio to {WARM_UP_JOBS} jobs: {ratio:.3f} (wanted: at most {WANTED}); {machine()}")


if __name__ == "__main__":
    main()
