"""How long a person waits: a 10 s clip from its upload's answer to `ready`, as a realtime client sees it.

    python benchmarks/latency.py                # 20 clips, one after the other
    python benchmarks/latency.py --clips 50 --json

A `soundscape dev` of its own (durable, on a fresh folder) is the project; the client is supabase-py in this
process. Each upload describes itself in its metadata, so that one request makes object, row and job. The
clip is 10 s of stereo music, 16 bit WAV, another one each time. The wish is a median of at most 1 s.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile
from prometheus_client.parser import text_string_to_metric_families

from soundscape.cli.demo import sounds
from soundscape.project.visitor import Visitor, signed_up_visitor

CLIP_S = 10.0
WANTED_S = 1.0
LEGS = ("upload answered → queued", "queued → analyzing", "analyzing → ready", "upload answered → ready")


def clip(index: int) -> bytes:
    """10 s of stereo chords, shifted and detuned by the index: no two have the same bytes."""
    y = sounds.chords(CLIP_S, tempo_bpm=90 + index % 40)
    stereo = np.stack([y, np.roll(y, 20 + index)], axis=1)
    file = io.BytesIO()
    soundfile.write(file, stereo, sounds.SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


async def one(
    visitor: Visitor, data: bytes, events: asyncio.Queue[tuple[float, dict[str, Any]]]
) -> dict[str, float]:
    """Seconds of each leg for one clip."""
    name = f"{visitor.user_id}/{secrets.token_hex(8)}.wav"
    began = time.monotonic()
    await visitor.client.storage.from_("audio-files").upload(
        name, data, {"content-type": "audio/wav", "metadata": {"title": "A clip"}}
    )
    answered = time.monotonic()
    seen: dict[str, float] = {}
    while "ready" not in seen:
        async with asyncio.timeout(60):
            at, row = await events.get()
        if row["file_path"] == name:
            seen.setdefault(row["status"], at)
            if row["status"] in ("failed", "rejected"):
                raise RuntimeError(f"{row['error_code']}: {row['error_message']}")
    return {
        "upload": answered - began,
        # The database commits before Storage answers: the event may come first, the leg be negative.
        LEGS[0]: seen["queued"] - answered,
        LEGS[1]: seen["analyzing"] - seen["queued"],
        LEGS[2]: seen["ready"] - seen["analyzing"],
        LEGS[3]: seen["ready"] - answered,
    }


Parts = dict[str, tuple[float, float]]
"""Of each part of an attempt, as the worker's metrics have it: seconds altogether, and how often."""


async def parts(client: httpx.AsyncClient) -> Parts:
    """What the worker has timed until now."""
    samples = {
        (sample.name, sample.labels["leg"]): sample.value
        for family in text_string_to_metric_families((await client.get("/api/metrics")).text)
        for sample in family.samples
        if sample.name in ("soundscape_job_leg_seconds_sum", "soundscape_job_leg_seconds_count")
    }
    legs = dict.fromkeys(leg for _, leg in samples)
    return {
        leg: (
            samples["soundscape_job_leg_seconds_sum", leg],
            samples["soundscape_job_leg_seconds_count", leg],
        )
        for leg in legs
    }


async def measure(url: str, key: str, clips: int) -> tuple[list[dict[str, float]], dict[str, float]]:
    """Seconds of each leg for each clip, and the mean of each part within the worker."""
    events: asyncio.Queue[tuple[float, dict[str, Any]]] = asyncio.Queue()
    async with httpx.AsyncClient(base_url=url) as client:
        for _ in range(600):
            if (await client.get("/api/health/ready")).status_code == 200:
                break
            await asyncio.sleep(0.2)
        async with (
            signed_up_visitor(url, key, called="latency") as visitor,
            visitor.listening(lambda row: events.put_nowait((time.monotonic(), row))),
        ):
            await one(visitor, clip(1000), events)  # connections opened, plans cached
            before = await parts(client)
            runs = [await one(visitor, clip(index), events) for index in range(clips)]
            after = await parts(client)
    # Several files are stored at once, so that their parts overlap.
    return runs, {
        leg: (seconds - before[leg][0]) / (count - before[leg][1]) for leg, (seconds, count) in after.items()
    }


def project(folder: Path, clips: int) -> tuple[list[dict[str, float]], dict[str, float]]:
    """Start the project, measure, stop it."""
    command = [sys.executable, "-m", "soundscape"]
    data_dir = str(folder / "project")
    with subprocess.Popen(
        [*command, "dev", "--port", "0", "--data-dir", data_dir],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as dev:
        try:
            assert dev.stdout is not None
            while not (line := dev.stdout.readline()).startswith("Settings:"):
                if dev.poll() is not None:
                    raise RuntimeError(f"soundscape dev ended with {dev.returncode}")
                if found := re.search(r"up at (http://\S+),", line):
                    url = found[1]
            printed = subprocess.run(
                [*command, "env", "--data-dir", data_dir], capture_output=True, text=True, check=True
            ).stdout
            settings = dict(line.split("=", 1) for line in printed.splitlines())
            return asyncio.run(measure(url, settings["SUPABASE_PUBLISHABLE_KEY"], clips))
        finally:
            dev.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # Postgres's own uid passes through
        busy = os.getloadavg()[0]
        runs, within = project(Path(folder), options.clips)
    figures = {
        leg: {
            "median_s": round(statistics.median(run[leg] for run in runs), 3),
            "worst_s": round(max(run[leg] for run in runs), 3),
        }
        for leg in ("upload", *LEGS)
    }
    if options.json:
        print(
            json.dumps(
                {
                    "clips": len(runs),
                    "clip_s": CLIP_S,
                    "wanted_s": WANTED_S,
                    "load_before": busy,
                    "legs": figures,
                    "within_the_worker_mean_s": {leg: round(seconds, 3) for leg, seconds in within.items()},
                }
            )
        )
        return
    print(f"{len(runs)} clips of {CLIP_S:.0f} s, machine load {busy:.1f} before on {os.cpu_count()} cores")
    for leg, figure in figures.items():
        print(f"  {leg:26} median {figure['median_s']:6.3f} s   worst {figure['worst_s']:6.3f} s")
    print("within the worker, mean of each call")
    for leg, seconds in within.items():
        print(f"  {leg:26}        {seconds:6.3f} s")
    median_s = figures[LEGS[3]]["median_s"]
    print(f"wanted: at most {WANTED_S:.1f} s at the median; {median_s / WANTED_S:.0%} of that")


if __name__ == "__main__":
    main()
