"""Whether two workers do twice the work of one, where analysis is the work.

    python benchmarks/scaling.py                       # 8 recordings of 5 minutes, three rounds
    python benchmarks/scaling.py --recordings 16 --minutes 10 --json

Worker processes with one child each, against an embedded project (which takes its share of the same cores).
All are ready before anything is queued, and everything is queued at once. No two recordings are alike: copies
would be compared with each other, at length, and that is not analysis. Rounds alternate between one worker
and two; the ratio is of the medians. Wanted: 1.8 on two cores that nobody else uses.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import itertools
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from worker_load import Load, a_project, machine

from soundscape.demo import sounds

WANTED = 1.8
PASSAGE_S = 8.0


def recording(minutes: float, seed: int) -> bytes:
    """Chords in passages of their own tempo and pitch, and noise: stereo, 44.1 kHz, FLAC."""
    rng = np.random.default_rng(seed)
    samples = round(minutes * 60 * sounds.SAMPLE_RATE)
    passages: list[sounds.Signal] = []
    while sum(map(len, passages)) < samples:
        played = sounds.chords(PASSAGE_S, tempo_bpm=float(rng.uniform(70, 150)))
        faster = 2 ** (rng.integers(-5, 6) / 12)
        passages.append(np.interp(np.arange(0, len(played) - 1, faster), np.arange(len(played)), played))
    y = np.concatenate(passages)[:samples] + 0.02 * rng.standard_normal(samples)
    file = io.BytesIO()
    stereo = np.stack([y, np.roll(y, 40)], axis=1) * 0.4
    soundfile.write(file, stereo, sounds.SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


async def round_s(load: Load, recordings: list[bytes], *, workers: int) -> float:
    """Seconds from queued to all ready."""
    names = [name for data in recordings for name in await load.upload(data, 1, "audio/flac")]
    async with load.workers(workers):
        began = time.monotonic()
        await load.queue(names)
        await load.until_heard(names)
        return time.monotonic() - began


async def measure(recordings: int, minutes: float, rounds: int) -> dict[int, list[float]]:
    seconds: dict[int, list[float]] = {1: [], 2: []}
    seeds = itertools.count()
    with tempfile.TemporaryDirectory(prefix="soundscape-scaling-") as folder:
        async with a_project(Path(folder)) as load:
            for _ in range(rounds):
                for workers in seconds:
                    made = [recording(minutes, next(seeds)) for _ in range(recordings)]
                    seconds[workers].append(await round_s(load, made, workers=workers))
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    before = machine()
    seconds = asyncio.run(measure(arguments.recordings, arguments.minutes, arguments.rounds))
    one, two = statistics.median(seconds[1]), statistics.median(seconds[2])
    ratio = one / two
    if arguments.json:
        json.dump({"seconds": seconds, "ratio": ratio, "before": before, "after": machine()}, sys.stdout)
        print()
        return 0 if ratio >= WANTED else 1
    print(f"before: {before}; after: {machine()}")
    for workers, each in seconds.items():
        print(
            f"{workers} worker(s): {statistics.median(each):6.2f} s  ({', '.join(f'{s:.2f}' for s in each)})"
        )
    print(f"ratio: {ratio:.2f} (wanted: {WANTED})")
    return 0 if ratio >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
