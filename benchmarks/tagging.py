"""Tags of long recordings on one core, against the published graph fed one window at a time.

    taskset -c 0 python benchmarks/tagging.py [--minutes 10] [--model yamnet.tflite]

Both run in this process, in turn, on the same sound: the reference is `yamnet.tflite` as it is downloaded,
one invocation for each 0.96 s window, which gives scores but no embedding, no segments and no statistics.

    python benchmarks/tagging.py --overlap FOLDER

says what is lost where windows do not overlap, as after the first ten minutes: the tags of all recordings in
a folder with and without.

    python benchmarks/tagging.py --calibrate ../shared/training

says how often one of the first five tags is right, how many recordings have none, whether confidences are
the shares that are right, and what is left of the labels from several confidences on. The recordings are
those whose class is known by their name. The confidences of one half are judged, and the calibration is
fitted on the other half: on the five surest labels of a recording, each by its surest span.
"""

from __future__ import annotations

import argparse
import importlib
import resource
import time
from pathlib import Path

import numpy as np
from training_sounds import read_sounds

from soundscape.audio.decode.audio_file import open_audio, open_binary
from soundscape.audio.spectrum import MonoSignal, Resampler
from soundscape.audio.tagging import models, yamnet
from soundscape.audio.tagging.tagger import CALIBRATION_BIAS, CALIBRATION_SLOPE, Tagger, TagResult

ROOT = Path(__file__).resolve().parents[1]
BLOCK_SAMPLES = 65_536
SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a")
MIN_COMPARED_S = 3.0
MIN_CONFIDENCES = (0.2, 0.3, 0.35, 0.4, 0.5)


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


def hear(model: Path, path: Path, overlapping_s: float) -> TagResult:
    tagger = Tagger(model, overlapping_s=overlapping_s)
    with open_binary(path) as file, open_audio(file) as audio:
        header = audio.header
        signal = MonoSignal(
            sample_rate=header.sample_rate, channels=header.channels, target_rate=yamnet.SAMPLE_RATE
        )
        for block in audio.blocks():
            tagger.push(signal.push(block))
        tagger.push(signal.finish())
    return tagger.result()


def compare_overlap(model: Path, folder: Path) -> None:
    kept = common = without = same_first = nameless = nameless_without = files = 0
    distances = []
    for path in sorted(each for each in folder.rglob("*") if each.suffix in SUFFIXES):
        often, seldom = (hear(model, path, overlapping_s) for overlapping_s in (1e9, 0))
        if often.duration_s < MIN_COMPARED_S:
            continue
        labels, others = ({tag.label for tag in found.tags} for found in (often, seldom))
        files += 1
        kept += len(labels)
        without += len(others)
        common += len(labels & others)
        nameless += not labels
        nameless_without += not others
        same_first += int(often.mean_scores.argmax() == seldom.mean_scores.argmax())
        a, b = often.mean_embedding, seldom.mean_embedding
        distances.append(1 - float(a @ b) / float(np.linalg.norm(a) * np.linalg.norm(b) + 1e-12))
    print(f"{files} recordings of at least {MIN_COMPARED_S:.0f} s, overlapping windows against others")
    print(f"labels: {kept} and {without}, {common} in both ({common / kept:.1%} of the former)")
    print(f"recordings without a tag: {nameless} and {nameless_without}")
    print(f"the same class is strongest in {same_first / files:.1%}")
    median, high = np.quantile(distances, (0.5, 0.95))
    print(f"cosine distance of the embeddings: median {median:.4f}, 95 % {high:.4f}")


def calibrate(model: Path, folder: Path) -> None:
    """Print what the tags of recordings of known class are worth, and the calibration that fits them."""
    fitted: list[tuple[float, bool]] = []
    judged: list[tuple[float, bool]] = []
    found: dict[str, list[bool]] = {}
    labels: list[tuple[int, float, bool]] = []
    nameless = 0
    for number, sound in enumerate(read_sounds(folder, max_of_class=40)):
        resampler = Resampler(sample_rate=sound.sample_rate, target_rate=yamnet.SAMPLE_RATE)
        tagger = Tagger(model)
        tagger.push(resampler.push(sound.y))
        tagger.push(resampler.finish())
        best: dict[str, float] = {}
        for tag in tagger.result().tags:
            best[tag.label] = max(best.get(tag.label, 0.0), tag.confidence)
        first = sorted(best, key=lambda label: -best[label])[:5]
        nameless += not first
        labels += [(number, confidence, label in sound.right) for label, confidence in best.items()]
        found.setdefault(sound.label, []).append(bool(sound.right & set(first)))
        (fitted if number % 2 else judged).extend((best[label], label in sound.right) for label in first)
    counts = [len(rights) for rights in found.values()]
    every = [right for rights in found.values() for right in rights]
    error = 1.96 * np.sqrt(np.mean(every) * (1 - np.mean(every)) / len(every))
    print(f"{sum(counts)} recordings of {len(found)} classes; without a tag {nameless / sum(counts):.3f}")
    print(f"right among five: {np.mean(every):.3f} (±{error:.3f}), ", end="")
    print(f"classes alike {np.mean([np.mean(rights) for rights in found.values()]):.3f}")
    said, right = np.array(sorted(judged)).T
    for fifth in np.array_split(np.arange(said.size), 5):
        print(f"  says {said[fifth].mean():.2f} ({said[fifth[0]]:.2f} to {said[fifth[-1]]:.2f}), ", end="")
        print(f"right {right[fifth].mean():.2f} of {fifth.size}")
    for minimum in (0.0, *MIN_CONFIDENCES):
        kept = [each for each in labels if each[1] >= minimum]
        numbers, well = {each[0] for each in kept}, {each[0] for each in kept if each[2]}
        print(f"  from {minimum:.2f}: {len(kept) / len(every):.2f} labels, ", end="")
        print(f"right {np.mean([each[2] for each in kept]):.2f}; recordings with ", end="")
        print(f"a right one {len(well) / len(every):.3f}, with none {1 - len(numbers) / len(every):.3f}")
    confidence, right = np.clip(np.array(fitted).T, 1e-4, 1 - 1e-4)
    # The log odds of the score, from the confidence that was made of it.
    x = (np.log(confidence / (1 - confidence)) - CALIBRATION_BIAS) / CALIBRATION_SLOPE
    features, weights = np.stack([np.ones_like(x), x], axis=1), np.zeros(2)
    for _ in range(30):
        p = 1 / (1 + np.exp(-features @ weights))
        hessian = features.T @ (features * (p * (1 - p))[:, np.newaxis])
        weights += np.linalg.solve(hessian, features.T @ (right - p))
    print(f"the other half fits log odds of {weights[0]:.2f} + {weights[1]:.2f} times those of the score")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3, help="the fastest of so many counts")
    parser.add_argument("--model", type=Path, help="yamnet.tflite (default: the pulled one)")
    parser.add_argument(
        "--overlap", type=Path, metavar="FOLDER", help="compare tags with and without overlap"
    )
    parser.add_argument("--calibrate", type=Path, metavar="FOLDER", help="how right the tags are")
    given = parser.parse_args()
    model = given.model or models.find("yamnet")
    if given.calibrate:
        calibrate(model, given.calibrate)
        return
    if given.overlap:
        compare_overlap(model, given.overlap)
        return
    y = sound(given.minutes)
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
