"""Tags of long recordings on one core, against the published graph fed one window at a time.

    taskset -c 0 python benchmarks/tagging.py [--minutes 10] [--model yamnet.tflite]

Both run in this process, in turn, on the same sound: the reference is `yamnet.tflite` as it is downloaded,
one invocation for each 0.96 s window, which gives scores but no embedding, no segments and no statistics.
"""

from __future__ import annotations

import argparse
import importlib
import resource
import time
from pathlib import Path

import numpy as np

from soundscape.audio.tagging import models, yamnet
from soundscape.audio.tagging.tagger import Tagger

ROOT = Path(__file__).resolve().parents[1]
BLOCK_SAMPLES = 65_536


def sound(minutes: float) -> yamnet.Float32:
    """Noise, tones and silence by turns; the network takes as long for one as for another."""
    random, second = np.random.default_rng(0), np.arange(16_000) / 16_000
    parts = [random.standard_normal(16_000) * 0.1, np.sin(2 * np.pi * 440 * second) * 0.5, np.zeros(16_000)]
    return np.resize(np.concatenate(parts).astype(np.float32), int(minutes * 60 * 16_000))


def reference(model: Path, y: yamnet.Float32) -> float:
    runtime = importlib.import_module("ai_edge_litert.interpreter")
    interpreter = runtime.Interpreter(str(model), num_threads=1)
    interpreter.allocate_tensors()
    entry, exit_ = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    begin = time.perf_counter()
    for at in range(0, y.size - yamnet.WINDOW_SAMPLES + 1, yamnet.HOP_SAMPLES):
        interpreter.set_tensor(entry, y[at : at + yamnet.WINDOW_SAMPLES])
        interpreter.invoke()
        interpreter.get_tensor(exit_)
    return time.perf_counter() - begin


def ours(model: Path, y: yamnet.Float32) -> float:
    begin = time.perf_counter()
    tagger = Tagger(model)
    for at in range(0, y.size, BLOCK_SAMPLES):
        tagger.push(y[at : at + BLOCK_SAMPLES])
    tagger.result()
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3, help="the fastest of so many counts")
    parser.add_argument("--model", type=Path, help="yamnet.tflite (default: the pulled one)")
    given = parser.parse_args()
    model, y = given.model or models.find("yamnet"), sound(given.minutes)
    duration_s = y.size / 16_000
    rounds = [(ours(model, y), reference(model, y)) for _ in range(given.rounds)]
    ours_s, reference_s = (min(seconds) for seconds in zip(*rounds, strict=True))
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{duration_s / 60:.0f} minutes of sound, model loading included, one thread")
    print(
        f"published graph, window by window: {reference_s:6.2f} s, {duration_s / reference_s:5.0f}x real time"
    )
    print(f"Tagger:                            {ours_s:6.2f} s, {duration_s / ours_s:5.0f}x real time")
    print(f"ratio: {reference_s / ours_s:.2f}")
    print(f"peak RSS: {peak_mib:.0f} MiB, of which the sound itself {y.nbytes / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
