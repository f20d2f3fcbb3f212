"""What samples and records cost on their way to another process, beside a call within one.

    python benchmarks/process_boundary.py [--rounds 5] [--minutes 60]

The samples are an hour of stereo in blocks of 65,536 frames, as float32. The receiver adds up each block.
They go by a call, by a pipe to a child process, and by a gRPC stream of raw bytes to a child on the loopback
interface (without Protocol Buffers: gRPC at its best). The record is a JSON document of 20 kB; it is read
whole by the receiver. Both processes' time is counted. The ways take turns, and medians are printed, with the
pass of the analysis on twenty minutes of sound in the same rounds.

grpcio is no dependency of SoundScape: the benchmark installs it into build/benchmarks/grpc.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
GRPC = ("grpcio==1.85.3", f"numpy=={np.__version__}")
RATE = 44_100
FRAMES = 65_536
RECORDS = 500
PASS_MINUTES = 20

Figures = dict[str, float]


def make_block() -> bytes:
    """Stereo noise of one block."""
    return np.random.default_rng(0).standard_normal((FRAMES, 2)).astype(np.float32).tobytes()


def make_record() -> dict[str, Any]:
    """A record of the usual size."""
    numbers = np.random.default_rng(0).standard_normal(1000).round(14).tolist()
    return {"source": {"duration_s": 3600.0, "channels": 2}, "rhythm": {"beats_s": numbers}}


def read_samples(block: bytes) -> float:
    """Read all of a block once."""
    return float(np.frombuffer(block, np.float32).sum())


def read_record(record: dict[str, Any]) -> float:
    """Read all of a record once."""
    return float(sum(record["rhythm"]["beats_s"]))


def measure(
    blocks: int, stream: Callable[[Iterator[bytes]], float], send: Callable[[dict[str, Any]], object]
) -> Figures:
    """Send the blocks and the records; `stream` returns the receiver's processor time in seconds."""
    block, record = make_block(), make_record()
    began, used = time.perf_counter(), time.process_time()
    theirs_s = stream(block for _ in range(blocks))
    found = {
        "wall_s": time.perf_counter() - began,
        "processor_s": time.process_time() - used + theirs_s,
    }
    began = time.perf_counter()
    for _ in range(RECORDS):
        send(record)
    return found | {"record_us": (time.perf_counter() - began) / RECORDS * 1e6}


def by_call(blocks: int) -> Figures:
    """Within the process."""

    def stream(samples: Iterator[bytes]) -> float:
        for block in samples:
            read_samples(block)
        return 0.0

    return measure(blocks, stream, read_record)


def by_pipe(blocks: int) -> Figures:
    """To a child, through a pipe."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.Process(target=_serve_pipe, args=(theirs,))
    child.start()

    def stream(samples: Iterator[bytes]) -> float:
        for block in samples:
            ours.send_bytes(block)
        ours.send_bytes(b"")
        return float(ours.recv())

    def send(record: dict[str, Any]) -> None:
        ours.send_bytes(json.dumps(record).encode())
        ours.recv_bytes()

    try:
        return measure(blocks, stream, send)
    finally:
        ours.close()
        child.terminate()
        child.join()


def _serve_pipe(connection: Connection) -> None:
    used = time.process_time()
    while block := connection.recv_bytes():
        read_samples(block)
    connection.send(time.process_time() - used)
    while True:
        connection.send_bytes(b"%f" % read_record(json.loads(connection.recv_bytes())))


def by_grpc(blocks: int) -> Figures:
    """To a child, by gRPC, in the environment that has it."""
    folder = ROOT / "build" / "benchmarks" / "grpc"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, folder], check=True)
        subprocess.run(["uv", "pip", "install", "--quiet", "--python", python, *GRPC], check=True)
    done = subprocess.run(
        [python, __file__, "--inside-grpc", str(blocks)], check=True, stdout=subprocess.PIPE, text=True
    )
    found: Figures = json.loads(done.stdout)
    return found


def inside_grpc(blocks: int) -> Figures:
    """The sender. The receiver is forked first, because gRPC must not be before a fork."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.Process(target=_serve_grpc, args=(theirs,))
    child.start()
    try:
        grpc = importlib.import_module("grpc")
        with grpc.insecure_channel(f"127.0.0.1:{ours.recv()}") as channel:
            take = channel.stream_unary("/service/samples")
            read = channel.unary_unary("/service/record")
            return measure(
                blocks,
                lambda samples: float(take(samples)),
                lambda record: read(json.dumps(record).encode()),
            )
    finally:
        child.terminate()
        child.join()


def _serve_grpc(connection: Connection) -> None:
    grpc = importlib.import_module("grpc")

    def take(blocks: Iterator[bytes], _: object) -> bytes:
        used = time.process_time()
        for block in blocks:
            read_samples(block)
        return b"%f" % (time.process_time() - used)

    def read(record: bytes, _: object) -> bytes:
        return b"%f" % read_record(json.loads(record))

    server = grpc.server(ThreadPoolExecutor(2))
    methods = {
        "samples": grpc.stream_unary_rpc_method_handler(take),
        "record": grpc.unary_unary_rpc_method_handler(read),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("service", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    connection.send(port)
    server.wait_for_termination()


def analyse(path: Path) -> float:
    """Processor time of the pass without tags, in seconds an hour of sound."""
    from soundscape.audio.analysis import analyze

    with tempfile.TemporaryDirectory() as out:
        used = time.process_time()
        analyze(path, out_dir=Path(out), tags=False)
        return (time.process_time() - used) * 60 / PASS_MINUTES


def read_memory_mb(imported: str) -> float:
    """Resident memory of a process that has imported a module, in MB."""
    code = (
        f"import {imported}, pathlib\n"
        "print(next(line for line in pathlib.Path('/proc/self/status').read_text().splitlines()"
        " if line.startswith('VmRSS')))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout.split()[1]) / 1000


def main() -> None:
    """Measure in turns and print medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--inside-grpc", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside_grpc:
        print(json.dumps(inside_grpc(given.inside_grpc)))
        return
    sys.path.insert(0, str(ROOT))
    from benchmarks.analysis import make_recording

    blocks = round(given.minutes * 60 * RATE / FRAMES)
    ways = {"call": by_call, "pipe": by_pipe, "gRPC": by_grpc}
    rounds: dict[str, list[Figures]] = {name: [] for name in ways}
    passes: list[float] = []
    print(f"load {os.getloadavg()[0]:.1f} before; {blocks} blocks, {blocks * FRAMES * 8 / 1e9:.2f} GB")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.wav"
        make_recording(path, PASS_MINUTES)
        analyse(path)
        for way in ways.values():
            way(10)
        for _ in range(given.rounds):
            for name, way in ways.items():
                rounds[name].append(way(blocks))
            passes.append(analyse(path))
    for name, found in rounds.items():
        wall_s, used_s, record_us = (
            statistics.median(each[figure] for each in found)
            for figure in ("wall_s", "processor_s", "record_us")
        )
        print(f"{name:5} {wall_s:6.2f} s, {used_s:6.2f} s of processor time; a record {record_us:7.1f} µs")
    print(f"the pass without tags: {statistics.median(passes):.2f} s of processor time")
    print(f"a process that has imported the analysis: {read_memory_mb('soundscape.audio.analysis'):.0f} MB")
    print(f"load {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
