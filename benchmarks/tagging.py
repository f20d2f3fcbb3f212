"""Tags of long recordings on one core, against the published graph fed one window at a time.

    taskset -c 0 python benchmarks/tagging.py [--minutes 10] [--model yamnet.tflite]

Both run in this process, in turn, on the same sound: the reference is `yamnet.tflite` as it is downloaded,
one invocation for each 0.96 s window, which gives scores but no embedding, no segments and no statistics.

    python benchmarks/tagging.py --overlap FOLDER

says what is lost where windows do not overlap, as after the first ten minutes: the tags of all recordings in
a folder with and without.

    python benchmarks/tagging.py --calibrate ../shared/training

says how often one of the five surest labels is right, how many recordings have none, whether confidences are
the shares that are right, and what is left of the labels from several confidences on. A recording's class is
told by its name; most figures are of those whose name tells it plainly. The calibration is fitted on each
half of them and judged on the other: on the five surest labels of a recording, each by its surest span.
"""

from __future__ import annotations

import argparse
import importlib
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from training_sounds import is_named_plainly, read_sounds

from soundscape.audio.decode.audio_file import open_audio, open_binary
from soundscape.audio.spectrum import MonoSignal, Resampler
from soundscape.audio.tagging import models, yamnet
from soundscape.audio.tagging.tagger import (
    CALIBRATION_BIAS,
    CALIBRATION_KNEE,
    CALIBRATION_SLOPE,
    CALIBRATION_SLOPE_BELOW,
    Tagger,
    TagResult,
)

ROOT = Path(__file__).resolve().parents[1]
BLOCK_SAMPLES = 65_536
SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a")
MIN_COMPARED_S = 3.0
Float64 = npt.NDArray[np.float64]
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


@dataclass(frozen=True)
class Judged:
    """One recording: the confidence of each label, the surest first, and which labels are right."""

    label: str
    is_plain: bool
    confidences: tuple[float, ...]
    is_right: tuple[bool, ...]

    @property
    def is_found(self) -> bool:
        """Whether one of the five surest labels is right."""
        return any(self.is_right[:5])


def judge_sounds(model: Path, folder: Path) -> Iterator[Judged]:
    for sound in read_sounds(folder, max_of_class=40):
        resampler = Resampler(sample_rate=sound.sample_rate, target_rate=yamnet.SAMPLE_RATE)
        tagger = Tagger(model)
        tagger.push(resampler.push(sound.y))
        tagger.push(resampler.finish())
        best: dict[str, float] = {}
        for tag in tagger.result().tags:
            best[tag.label] = max(best.get(tag.label, 0.0), tag.confidence)
        labels = sorted(best, key=lambda label: -best[label])
        yield Judged(
            label=sound.label,
            is_plain=is_named_plainly(sound),
            confidences=tuple(best[label] for label in labels),
            is_right=tuple(label in sound.right for label in labels),
        )


def five_surest(sounds: Sequence[Judged]) -> tuple[Float64, Float64]:
    """Log odds of the scores of the five surest labels, from their confidences; and 1 for the right ones."""
    confidence = np.array([each for sound in sounds for each in sound.confidences[:5]])
    right = np.array([each for sound in sounds for each in sound.is_right[:5]], dtype=float)
    log_odds = np.log(np.clip(confidence, 1e-4, 1 - 1e-4) / (1 - np.clip(confidence, 1e-4, 1 - 1e-4)))
    above = (log_odds - CALIBRATION_BIAS) / CALIBRATION_SLOPE
    at_knee = CALIBRATION_BIAS + CALIBRATION_SLOPE * CALIBRATION_KNEE
    below = CALIBRATION_KNEE + (log_odds - at_knee) / CALIBRATION_SLOPE_BELOW
    return np.where(log_odds > at_knee, above, below), right


def bend(x: Float64) -> Float64:
    """(labels, 3): 1, the log odds above the knee, those below it."""
    return np.stack(
        [np.ones_like(x), np.maximum(x, CALIBRATION_KNEE), np.minimum(x - CALIBRATION_KNEE, 0)], 1
    )


def fit_calibration(x: Float64, right: Float64) -> Float64:
    """Fit bias, slope and slope below the knee by logistic regression."""
    features, weights = bend(x), np.zeros(3)
    for _ in range(30):
        p = 1 / (1 + np.exp(-features @ weights))
        hessian = features.T @ (features * (p * (1 - p))[:, np.newaxis])
        weights += np.linalg.solve(hessian, features.T @ (right - p))
    return weights


def print_fifths(said: Float64, right: Float64) -> None:
    order = np.argsort(said, kind="stable")
    for fifth in np.array_split(order, 5):
        print(f"    says {said[fifth].mean():.2f} ({said[fifth[0]]:.2f} to {said[fifth[-1]]:.2f}), ", end="")
        print(f"right {right[fifth].mean():.2f} of {fifth.size}")


def calibrate(model: Path, folder: Path) -> None:
    """Print what the tags of recordings of known class are worth, and the calibration that fits them."""
    every = list(judge_sounds(model, folder))
    plain = [sound for sound in every if sound.is_plain]
    for name, sounds in (("all names", every), ("plain names", plain)):
        found = np.array([sound.is_found for sound in sounds])
        kinds = {sound.label for sound in sounds}
        alike = np.mean([np.mean([s.is_found for s in sounds if s.label == kind]) for kind in kinds])
        error = 1.96 * np.sqrt(found.mean() * (1 - found.mean()) / found.size)
        tagless = np.mean([not sound.confidences for sound in sounds])
        print(
            f"{name}: {found.size} recordings of {len(kinds)} classes; without a tag {tagless:.3f}; ", end=""
        )
        print(f"right among five {found.mean():.3f} (±{error:.3f}), classes alike {alike:.3f}")
        x, right = five_surest(sounds)
        weights = np.array([CALIBRATION_BIAS, CALIBRATION_SLOPE, CALIBRATION_SLOPE_BELOW])
        print("  confidence as it is:")
        print_fifths(1 / (1 + np.exp(-bend(x) @ weights)), right)
    halves = [five_surest(plain[begin::2]) for begin in (0, 1)]
    for fitted, judged, name in ((1, 0, "first"), (0, 1, "second")):
        weights = fit_calibration(*halves[fitted])
        print(f"  the other half fits {np.round(weights, 2)}, which says of the {name}:")
        print_fifths(1 / (1 + np.exp(-bend(halves[judged][0]) @ weights)), halves[judged][1])
    print(f"  all of them fit {np.round(fit_calibration(*five_surest(plain)), 2)}")
    for minimum in (0.0, *MIN_CONFIDENCES):
        kept = [[r for c, r in zip(s.confidences, s.is_right, strict=True) if c >= minimum] for s in plain]
        print(f"  from {minimum:.2f}: {np.mean([len(each) for each in kept]):.2f} labels, ", end="")
        print(f"right {np.mean([right for each in kept for right in each]):.2f}; recordings with ", end="")
        print(f"a right one {np.mean([any(each) for each in kept]):.3f}, ", end="")
        print(f"with none {np.mean([not each for each in kept]):.3f}")


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
