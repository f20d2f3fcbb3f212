"""How much memory an analysis child holds at its peak, for recordings of growing length.

    python benchmarks/memory.py                     # one minute, ten, and an hour, as WAV and FLAC
    python benchmarks/memory.py --minutes 240 --formats flac --json

The child is the worker's own, limits and all, a new one for each file, so that one peak does not hide
another's. The recording is a minute of noise, tones and silence, over and over, 44.1 kHz stereo 16 bit.
The limit is 500 MB, whatever the length.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from soundscape.sandbox.parent import Sandbox

LIMIT_MB = 500
RATE = 44_100


def a_minute() -> np.ndarray[Any, np.dtype[np.int16]]:
    """Shape (frames, 2): noise whose level rises, a few tones, a little silence."""
    rng = np.random.default_rng(1)
    t = np.arange(60 * RATE) / RATE
    y = 0.1 * rng.standard_normal((t.size, 2)) * (t / 60)[:, None]
    for frequency_hz, at_s in ((220.0, 5), (440.0, 15), (3000.0, 25), (9000.0, 35)):
        here = slice(at_s * RATE, (at_s + 8) * RATE)
        y[here] += 0.3 * np.sin(2 * np.pi * frequency_hz * t[here])[:, None]
    y[50 * RATE : 55 * RATE] = 0
    return (np.clip(y, -1, 1) * 32767).astype(np.int16)


def write(path: Path, minutes: int) -> None:
    minute = a_minute()
    subtype = "PCM_16" if path.suffix in (".wav", ".flac") else None
    with soundfile.SoundFile(path, "w", RATE, 2, subtype=subtype) as file:
        for _ in range(minutes):
            # A second at a time: libsndfile's Vorbis encoder takes its buffers from the stack.
            for start in range(0, len(minute), RATE):
                file.write(minute[start : start + RATE])


async def measure(path: Path, folder: Path) -> dict[str, float]:
    sandbox = Sandbox(folder)
    await sandbox.start()
    try:
        began = time.monotonic()
        with path.open("rb") as file:
            analysis = await sandbox.analyze(file, wall_s=3600)
        return {"seconds": time.monotonic() - began, "peak_mb": analysis.max_rss_bytes / 1e6}
    finally:
        await sandbox.stop()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 10, 60])
    parser.add_argument(
        "--formats", nargs="+", default=["wav", "flac"], choices=["wav", "flac", "mp3", "ogg"]
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = []
    for form in options.formats:
        for minutes in options.minutes:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"{minutes}-minutes.{form}"
                write(path, minutes)
                found = asyncio.run(measure(path, Path(folder)))
            figures.append({"format": form, "minutes": minutes, **found})
            if not options.json:
                print(
                    f"{form:5} {minutes:4} min   peak {found['peak_mb']:4.0f} MB of {LIMIT_MB}"
                    f"   {found['seconds']:6.1f} s   {minutes * 60 / found['seconds']:5.0f} times real time",
                    flush=True,
                )
    if options.json:
        print(json.dumps({"limit_mb": LIMIT_MB, "runs": figures}))


if __name__ == "__main__":
    main()
