"""Live listening under load: how late answers come, what is lost, and what a session costs.

    python benchmarks/live.py                          # 20 sessions, everything but tags, 60 s
    python benchmarks/live.py --sessions 8 --tags      # the model listens as well
    python benchmarks/live.py --sessions 40            # where is the limit?

The worker is a process of its own. Clients and the embedded Supabase run in this one, on the same cores. A
client sends 48 kHz stereo in frames of 20 ms at the pace of real time. The latency of a frame is from when it
is sent until an answer arrives whose `audio_time_s` is at or behind the frame's end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from websockets.asyncio.client import connect

from soundscape.cli.embedded_project import run_project
from soundscape.live.requests import Feature

RATE, CHANNELS, FRAME_S = 48_000, 2, 0.02
WITHOUT_TAGS: tuple[Feature, ...] = ("levels", "spectrum", "pitch", "onset", "beat", "tempo", "key")
TIMED = ("levels", "spectrum")


@dataclass
class Figures:
    """What one client saw."""

    latencies_s: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in TIMED})
    kinds: Counter[str] = field(default_factory=Counter)
    merged: int = 0
    sent_s: float = 0.0
    recorded_s: float = 0.0
    record_after_s: float = 0.0
    late_s: float = 0.0
    """How far the client itself fell behind real time."""


def make_sound(seconds: float) -> bytes:
    """Chords over a beat under noise: every meter has something to do."""
    random = np.random.default_rng(0)
    t = np.arange(int(seconds * RATE)) / RATE
    chord = sum(np.sin(2 * np.pi * hz * t) for hz in (220.0, 277.2, 329.6)) * (
        0.3 + 0.7 * ((t * 2) % 1 < 0.2)
    )
    left = 0.1 * chord + 0.02 * random.standard_normal(len(t))
    right = 0.09 * chord + 0.02 * random.standard_normal(len(t))
    return bytes((np.stack([left, right], axis=1) * 32767).astype("<i2").tobytes())


async def run_client(
    url: str, token: str, sound: bytes, features: list[str], rate_hz: float, begin_at: float
) -> Figures:
    """One session from start to record."""
    figures = Figures()
    frame_bytes = int(RATE * FRAME_S) * CHANNELS * 2
    waiting: dict[str, list[tuple[float, float]]] = {kind: [] for kind in TIMED}
    async with connect(f"{url.replace('http', 'ws', 1)}/api/live", compression=None, max_size=None) as socket:
        await socket.send(
            json.dumps(
                {
                    "type": "start",
                    "token": token,
                    "format": "s16le",
                    "sample_rate": RATE,
                    "channels": CHANNELS,
                    "features": features,
                    "rate_hz": rate_hz,
                }
            )
        )
        assert json.loads(await socket.recv())["type"] == "started"

        async def send() -> None:
            await asyncio.sleep(max(0.0, begin_at - time.perf_counter()))
            for number, start in enumerate(range(0, len(sound), frame_bytes), start=1):
                due_at = begin_at + number * FRAME_S
                await asyncio.sleep(max(0.0, due_at - time.perf_counter()))
                now = time.perf_counter()
                figures.late_s = max(figures.late_s, now - due_at)
                for kind in TIMED:
                    waiting[kind].append((number * FRAME_S, now))
                await socket.send(sound[start : start + frame_bytes])
                figures.sent_s = number * FRAME_S
            await socket.send('{"type": "stop"}')

        sending = asyncio.create_task(send())
        ended_at = 0.0
        async for text in socket:
            now = time.perf_counter()
            answer: dict[str, Any] = json.loads(text)
            kind = answer["type"]
            figures.kinds[kind] += 1
            figures.merged += answer.get("merged", 0)
            if kind in TIMED:
                frames = waiting[kind]
                while frames and frames[0][0] <= answer["audio_time_s"] + 1e-3:
                    figures.latencies_s[kind].append(now - frames.pop(0)[1])
                ended_at = now
            elif kind == "record":
                figures.recorded_s = answer["record"]["source"]["duration_s"]
                figures.record_after_s = now - ended_at
        await sending
    return figures


def read_cpu_s(pid: int) -> float:
    """Processor time of a process and the children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(value) for value in fields[11:13]) / os.sysconf("SC_CLK_TCK")


def read_rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


async def measure(options: argparse.Namespace) -> None:
    """Run the sessions and print what they saw."""
    features = [*WITHOUT_TAGS, *(["tags"] if options.tags else [])]
    with tempfile.TemporaryDirectory(prefix="soundscape-live-") as folder:
        os.chmod(folder, 0o711)
        async with run_project(Path(folder) / "data", port=0, durable=False, with_worker=False) as project:
            environment = (
                os.environ
                | project.environment()
                | {
                    "SOUNDSCAPE_LIVE_SESSIONS": "1000",
                    "SOUNDSCAPE_LIVE_SESSIONS_PER_USER": "1000",
                    "SOUNDSCAPE_RATE_PER_CALLER": "100000",
                    "SOUNDSCAPE_RATE_PER_ADDRESS": "100000",
                }
            )
            port = options.port
            worker = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "soundscape", "worker", "--port", str(port)),
                env=environment,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                await run_sessions(options, f"http://127.0.0.1:{port}", project, worker.pid, features)
            finally:
                worker.terminate()
                await worker.wait()


async def run_sessions(
    options: argparse.Namespace, url: str, project: Any, pid: int, features: list[str]
) -> None:
    """Warm up with one session, then run all of them at once."""
    async with httpx.AsyncClient(timeout=120, headers={"apikey": project.keys.publishable_key}) as http:
        while True:
            try:
                if (await http.get(f"{url}/api/health/ready")).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.5)
        given = {"email": "live@example.com", "password": "correct horse battery staple"}
        token = (await http.post(f"{project.url}/auth/v1/signup", json=given)).json()["access_token"]
    sound = make_sound(options.seconds)
    await run_client(url, token, sound[: 12 * RATE * 4], features, options.rate_hz, time.perf_counter())
    cpu_s, began_at = read_cpu_s(pid), time.perf_counter()
    begin_at = began_at + 1.0
    clients = await asyncio.gather(
        *(
            run_client(
                url, token, sound, features, options.rate_hz, begin_at + place * FRAME_S / options.sessions
            )
            for place in range(options.sessions)
        )
    )
    used_s = read_cpu_s(pid) - cpu_s
    print(
        f"{options.sessions} sessions of {options.seconds:g} s, {', '.join(features)}, {options.rate_hz:g} Hz"
    )
    for kind in TIMED:
        latencies_ms = 1000 * np.concatenate([figures.latencies_s[kind] for figures in clients])
        p50, p95, p99, most = np.percentile(latencies_ms, [50, 95, 99, 100])
        print(f"  {kind:9} p50 {p50:6.1f} ms   p95 {p95:6.1f} ms   p99 {p99:6.1f} ms   max {most:6.1f} ms")
    lost_s = sum(figures.sent_s - figures.recorded_s for figures in clients)
    print(f"  lost {lost_s:.3f} s of sound, {sum(figures.merged for figures in clients)} answers merged")
    counts = sum((figures.kinds for figures in clients), Counter[str]())
    print("  answers:", ", ".join(f"{counts[kind]:,} {kind}" for kind in features))
    per_session = 100 * used_s / (options.sessions * options.seconds)
    print(f"  worker {used_s:.1f} s of processor time: {per_session:.2f} % of a core for each session")
    record_after_s = max(figures.record_after_s for figures in clients)
    print(f"  worker memory {read_rss_mb(pid):.0f} MB, record {record_after_s:.2f} s after the last answer")
    print(f"  the clients themselves were at most {1000 * max(f.late_s for f in clients):.0f} ms late")


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate-hz", type=float, default=20.0)
    parser.add_argument("--tags", action="store_true", help="needs the model: soundscape models pull yamnet")
    parser.add_argument("--port", type=int, default=8765)
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
