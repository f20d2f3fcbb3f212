"""Whether two workers do twice the work of one, where analysis is the work.

    python benchmarks/scaling.py                       # 8 recordings of 10 minutes, three rounds
    python benchmarks/scaling.py --recordings 16 --minutes 5 --json

Worker processes with one child each, against an embedded Supabase (which takes its share of the same cores).
All are ready before anything is queued, and everything is queued at once. No two recordings are alike: copies
would be compared with each other, at length, and that is not analysis. Rounds alternate between one worker
and two; the ratio is of the medians. Beside them the same recordings are analysed by one and by two bare
processes, without any project: what the machine itself gives. With the model of tags, as a worker in
production has it, where it lies in SOUNDSCAPE_MODELS_DIR or beside the checkout. Wanted: 1.8 on two cores
that nobody else uses.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import itertools
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from worker_load import Load, a_project, machine

from soundscape.audio.analysis import analyze
from soundscape.cli.demo import sounds

WANTED = 1.8
SHARED_MODELS = Path(__file__).resolve().parents[2] / "shared" / "models"
PASSAGE_S = 8.0


@cache
def passages() -> list[sounds.Signal]:
    """Chords of some seconds, each with a tempo of its own."""
    return [sounds.chords(PASSAGE_S, tempo_bpm=float(tempo_bpm)) for tempo_bpm in np.linspace(70, 150, 20)]


def recording(minutes: float, seed: int) -> bytes:
    """Passages in an order and at a speed of its own, and noise: stereo, 44.1 kHz, Ogg Vorbis."""
    rng = np.random.default_rng(seed)
    samples = round(minutes * 60 * sounds.SAMPLE_RATE)
    faster = rng.uniform(0.75, 1.35)
    order = rng.integers(0, len(passages()), 1 + int(minutes * 60 * faster / PASSAGE_S + 1))
    played = np.concatenate([passages()[number] for number in order])
    y = np.interp(np.arange(samples) * faster, np.arange(len(played)), played)
    y += 0.02 * rng.standard_normal(samples)
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", sounds.SAMPLE_RATE, 2, format="OGG", subtype="VORBIS") as written:
        # In pieces: libsndfile hands Vorbis a whole write at once, on the stack.
        for begin in range(0, samples, 1 << 16):
            left = y[begin : begin + (1 << 16)]
            written.write(np.stack([left, np.roll(left, 40)], axis=1) * 0.4)
    return file.getvalue()


def bare_s(recordings: list[bytes], folder: Path, *, processes: int) -> float:
    """Seconds in which so many warm processes analyse them, from files."""
    files = []
    for number, data in enumerate(recordings):
        files.append(folder / f"{number}.ogg")
        files[-1].write_bytes(data)
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        # One each, so that all are warm.
        pool.map(heard_s, files[:processes], chunksize=1)
        began = time.monotonic()
        pool.map(heard_s, files, chunksize=1)
        return time.monotonic() - began


def heard_s(file: Path) -> float:
    """Analyse a file, pictures and all, and say how long it is."""
    with tempfile.TemporaryDirectory() as out:
        return analyze(file, out_dir=Path(out)).source.duration_s


async def round_s(load: Load, recordings: list[bytes], *, workers: int) -> float:
    """Seconds from queued to all ready."""
    names = [name for data in recordings for name in await load.upload(data, 1, "audio/ogg")]
    async with load.workers(workers):
        began = time.monotonic()
        await load.queue(names)
        await load.until_heard(names)
        return time.monotonic() - began


Seconds = dict[int, list[float]]


async def measure(recordings: int, minutes: float, rounds: int) -> tuple[Seconds, Seconds]:
    """By workers, and by bare processes."""
    seconds: Seconds = {1: [], 2: []}
    bare: Seconds = {1: [], 2: []}
    seeds = itertools.count()
    with tempfile.TemporaryDirectory(prefix="soundscape-scaling-") as folder:
        async with a_project(Path(folder)) as load:
            for _ in range(rounds):
                for workers in seconds:
                    made = [
                        # In a thread: the project is served by this process too.
                        await asyncio.to_thread(recording, minutes, next(seeds))
                        for _ in range(recordings)
                    ]
                    seconds[workers].append(await round_s(load, made, workers=workers))
                    bare[workers].append(bare_s(made, Path(folder), processes=workers))
    return seconds, bare


def ratio(seconds: Seconds) -> float:
    return statistics.median(seconds[1]) / statistics.median(seconds[2])


def told(seconds: Seconds, who: str) -> None:
    for count, each in seconds.items():
        all_of_them = ", ".join(f"{s:.2f}" for s in each)
        print(f"{count} {who}: {statistics.median(each):6.2f} s  ({all_of_them})")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if SHARED_MODELS.is_dir():
        # Of this process and so of all that it starts.
        os.environ.setdefault("SOUNDSCAPE_MODELS_DIR", str(SHARED_MODELS))
    before = machine()
    seconds, bare = asyncio.run(measure(arguments.recordings, arguments.minutes, arguments.rounds))
    if arguments.json:
        found = {"seconds": seconds, "ratio": ratio(seconds), "bare_seconds": bare, "bare_ratio": ratio(bare)}
        json.dump(found | {"before": before, "after": machine()}, sys.stdout)
        print()
    else:
        print(f"before: {before}; after: {machine()}")
        told(seconds, "worker(s)")
        told(bare, "bare process(es)")
        print(f"ratio: {ratio(seconds):.2f} (wanted: {WANTED}); of bare processes: {ratio(bare):.2f}")
    return 0 if ratio(seconds) >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
