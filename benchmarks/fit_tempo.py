"""Fit `soundscape/audio/data/tempo_model.npz` on pieces whose tempo is known.

    python benchmarks/fit_tempo.py TRUTH.csv [TRUTH.csv ...] [--weight pulses=0.25 ...]

A truth file is as in `benchmarks/music.py`; "none" for a tempo teaches what has none. The weights are those
under which the right tempi are likeliest, with a Gaussian prior (`soundscape/audio/rhythm/tempo_model.py` has
the form of the network). Five fits on four fifths of the sources each, tried on the fifth, tell what a
probability is worth; they give the curve of the confidence and the figures printed. Excerpts of one source
have one name but for what follows its last underscore. Report on other pieces than these.
"""

from __future__ import annotations

import argparse
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from music import TEMPO_TOLERANCE, Truth, calibration, read_truth, tempo_is_right
from scipy.optimize import minimize

from soundscape.audio.decode.audio_file import open_audio, open_binary
from soundscape.audio.limits import Limits
from soundscape.audio.rhythm.onsets import OnsetEnvelope
from soundscape.audio.rhythm.tempo import MAX_DOUBT
from soundscape.audio.rhythm.tempo_candidates import Candidates, find_candidates
from soundscape.audio.rhythm.tempo_features import CLIP_FEATURES, FEATURES
from soundscape.audio.rhythm.tempo_model import MAX_DEVIATION, PATH, Weights, score
from soundscape.audio.spectrum import FRAME_RATE_HZ, MonoSignal, Spectrum

Float64 = npt.NDArray[np.float64]

FOLDS, SEEDS, ITERATIONS = 5, (0, 1, 2), 200
HIDDEN = {"tempo": 16, "clip": 6}
# Of the prior, for the weights of each layer.
PRIOR = {"direct": 4.0, "hidden": 12.0, "out": 6.0, "bias": 0.01, "hidden_bias": 0.01}
CLIP_PRIOR = PRIOR | {"direct": 1.2}
# Songs are rarer than sounds without a tempo, and tell more than made ones.
WEIGHTS = {
    "none": 0.6,
    "fof": 2.0,
    "onsets": 0.25,
    "pulses": 0.4,
    "drums": 0.5,
    "songs": 0.5,
    "loops": 0.5,
    "phrases": 1.0,
}

MADE = ("onsets", "drums", "songs", "loops", "chords", "pulses", "phrases")


@dataclass(frozen=True)
class Recording:
    """A recording, its candidates, and how much it counts."""

    truth: Truth
    found: Candidates
    weight: float

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Which candidates are right; the last place is for "there is none, or none of these"."""
        right = np.zeros(self.found.bpm.size + 1, dtype=bool)
        if isinstance(self.truth.bpm, float):
            right[:-1] = np.abs(self.found.bpm / self.truth.bpm - 1) <= TEMPO_TOLERANCE
        right[-1] = not right.any()
        return right

    @property
    def fold(self) -> int:
        source = f"{self.truth.kind} {re.sub(r'_[^_]*$', '', self.truth.path.stem)}"
        return zlib.crc32(source.encode()) % FOLDS


def candidates_of(path: Path) -> Candidates:
    onsets, spectrum = OnsetEnvelope(), Spectrum()
    with open_binary(path) as file, open_audio(file, Limits()) as audio:
        mono = MonoSignal(sample_rate=audio.header.sample_rate, channels=audio.header.channels)
        for block in audio.blocks():
            for frames in spectrum.push(mono.push(block)):
                onsets.push(frames.log_mel_db)
        for frames in (*spectrum.push(mono.finish()), *spectrum.finish()):
            onsets.push(frames.log_mel_db)
        duration_s = audio.duration_s
    return find_candidates(onsets.by_region(), frame_rate_hz=FRAME_RATE_HZ, duration_s=duration_s)


class Layout:
    """Where each weight lies in the vector that is optimised."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.priors: list[Float64] = []
        for part, size in sizes.items():
            hidden = HIDDEN[part]
            shapes = {
                "direct": (size,),
                "hidden": (size, hidden),
                "hidden_bias": (hidden,),
                "out": (hidden,),
                "bias": (1,),
            }
            for name, shape in shapes.items():
                self.shapes[f"{part}_{name}"] = shape
                prior = (PRIOR if part == "tempo" else CLIP_PRIOR)[name]
                self.priors.append(np.full(int(np.prod(shape)), prior))

    def split(self, vector: Float64) -> dict[str, Float64]:
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes.values()])
        parts = np.split(vector, ends[:-1])
        return {
            name: part.reshape(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def join(self, weights: dict[str, Float64]) -> Float64:
        return np.concatenate([weights[name].ravel() for name in self.shapes])

    def start(self, seed: int) -> Float64:
        rng = np.random.default_rng(seed)
        small = {"hidden": 0.3, "out": 0.1}
        return self.join(
            {
                name: rng.standard_normal(shape)
                * small.get(name.split("_", 1)[1], 0.0)
                / np.sqrt(shape[0] if len(shape) > 1 else 1)
                for name, shape in self.shapes.items()
            }
        )


def fit(recordings: Sequence[Recording], seed: int) -> Weights:
    """The likeliest weights."""
    features = np.concatenate([r.found.features for r in recordings])
    clips = np.stack([r.found.clip_features for r in recordings])
    counts = np.array([r.found.bpm.size for r in recordings])
    starts, owner = np.cumsum(counts) - counts, np.repeat(np.arange(counts.size), counts)
    right = np.concatenate([r.right[:-1] for r in recordings]).astype(float)
    none = np.array([r.right[-1] for r in recordings], dtype=float)
    weight = np.array([r.weight for r in recordings])
    scaled: dict[str, Float64] = {}
    fixed: dict[str, Float64] = {}
    for part, values in (("tempo", features), ("clip", clips)):
        mean, spread = values.mean(axis=0), values.std(axis=0) + 1e-6
        fixed |= {f"{part}_mean": mean, f"{part}_spread": spread}
        scaled[part] = np.clip((values - mean) / spread, -MAX_DEVIATION, MAX_DEVIATION)
    layout = Layout({"tempo": features.shape[1], "clip": clips.shape[1]})
    prior = np.concatenate(layout.priors)

    def loss(vector: Float64) -> tuple[float, Float64]:
        w = layout.split(vector)
        hidden = {p: np.tanh(x @ w[f"{p}_hidden"] + w[f"{p}_hidden_bias"]) for p, x in scaled.items()}
        s = {p: x @ w[f"{p}_direct"] + hidden[p] @ w[f"{p}_out"] + w[f"{p}_bias"] for p, x in scaled.items()}
        highest = np.maximum(np.maximum.reduceat(s["tempo"], starts), s["clip"])
        e, e_none = np.exp(s["tempo"] - highest[owner]), np.exp(s["clip"] - highest)
        total = np.add.reduceat(e, starts) + e_none
        good = np.add.reduceat(e * right, starts) + e_none * none + 1e-12
        pull = {
            "tempo": weight[owner] * e * (1 / total[owner] - right / good[owner]),
            "clip": weight * e_none * (1 / total - none / good),
        }
        gradient: dict[str, Float64] = {}
        for p, x in scaled.items():
            back = pull[p][:, np.newaxis] * w[f"{p}_out"] * (1 - hidden[p] ** 2)
            gradient |= {
                f"{p}_direct": x.T @ pull[p], f"{p}_hidden": x.T @ back, f"{p}_hidden_bias": back.sum(axis=0),
                f"{p}_out": hidden[p].T @ pull[p], f"{p}_bias": np.array([pull[p].sum()]),
            }  # fmt: skip
        likelihood = float((weight * np.log(good / total)).sum())
        return float(prior @ vector**2) / 2 - likelihood, layout.join(gradient) + prior * vector

    best = minimize(loss, layout.start(seed), jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS}).x
    return layout.split(best) | fixed


def join(fitted: Sequence[Weights]) -> Weights:
    """One network whose scores are the means of those of several."""
    joined = dict(fitted[0])
    for part in ("tempo", "clip"):
        for name in ("direct", "bias"):
            joined[f"{part}_{name}"] = np.mean([w[f"{part}_{name}"] for w in fitted], axis=0)
        for name in ("hidden", "hidden_bias", "out"):
            joined[f"{part}_{name}"] = np.concatenate([w[f"{part}_{name}"] for w in fitted], axis=-1)
        joined[f"{part}_out"] /= len(fitted)
    return joined


def answer(recording: Recording, weights: Weights) -> tuple[float | None, float]:
    """The tempo that the weights give, and its probability."""
    none = score(recording.found.clip_features[np.newaxis], weights, "clip")
    scores = np.concatenate([score(recording.found.features, weights, "tempo"), none])
    p = np.exp(scores - scores.max())
    p /= p.sum()
    best = float(recording.found.bpm[np.argmax(p[:-1])])
    near = np.abs(recording.found.bpm / best - 1) <= TEMPO_TOLERANCE
    return (None if p[-1] > MAX_DOUBT else best), float(p[:-1][near].sum())


def fit_curve(said: Float64, right: npt.NDArray[np.bool_]) -> Float64:
    """Slope and offset of the logistic curve from the log odds said to the share that is right."""
    odds = np.log(np.clip(said, 1e-9, 1) / np.clip(1 - said, 1e-9, 1))

    def loss(curve: Float64) -> float:
        z = curve[0] * odds + curve[1]
        return float(np.logaddexp(0, np.where(right, -z, z)).sum() + 0.5 * (curve[0] - 1) ** 2)

    curve: Float64 = minimize(loss, np.array([1.0, 0.0])).x
    return curve


def learn(recordings: Sequence[Recording]) -> Weights:
    """Weights of all, and the curve of the confidence from fits on four fifths each."""
    tried: list[tuple[Recording, float | None, float]] = []
    for fold in range(FOLDS):
        weights = join([fit([r for r in recordings if r.fold != fold], seed) for seed in SEEDS])
        tried += [(r, *answer(r, weights)) for r in recordings if r.fold == fold]
    music = [(r, bpm, p) for r, bpm, p in tried if isinstance(r.truth.bpm, float)]
    silent = [bpm for r, bpm, _ in tried if r.truth.bpm == "none"]
    hits = [tempo_is_right(bpm, float(r.truth.bpm or 0)) for r, bpm, _ in music]
    nearly = [tempo_is_right(bpm, float(r.truth.bpm or 0), octaves=True) for r, bpm, _ in music]
    print(f"{len(music)} with a tempo: right {np.mean(hits):.3f}, octaves allowed {np.mean(nearly):.3f}")
    print(f"{len(silent)} without: a tempo of {np.mean([bpm is not None for bpm in silent]):.4f}")
    # Made pieces are easier than others, so that their probability tells nothing of songs'.
    given = [
        (p, hit)
        for (r, bpm, p), hit in zip(music, hits, strict=True)
        if bpm is not None and r.truth.kind not in MADE
    ]
    said, right = np.array([p for p, _ in given]), np.array([hit for _, hit in given])
    curve = fit_curve(said, right)
    odds = np.log(np.clip(said, 1e-9, 1) / np.clip(1 - said, 1e-9, 1))
    confidence = 1 / (1 + np.exp(-(curve[0] * odds + curve[1])))
    print(calibration(list(zip(confidence.tolist(), right.tolist(), strict=True))))
    return join([fit(recordings, seed) for seed in SEEDS]) | {"calibration": curve}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("truth", type=Path, nargs="+")
    parser.add_argument("--weight", action="append", default=[], metavar="KIND=WEIGHT")
    parser.add_argument("--output", type=Path, default=PATH)
    options = parser.parse_args()
    weights = WEIGHTS | {kind: float(value) for kind, value in (each.split("=") for each in options.weight)}
    truths: list[Truth] = [t for path in options.truth for t in read_truth(path) if t.bpm is not None]
    recordings = [Recording(t, candidates_of(t.path), weights.get(t.kind, 1.0)) for t in truths]
    save(learn([r for r in recordings if r.found.bpm.size]), options.output)


def save(weights: Weights, path: Path) -> None:
    named: dict[str, Any] = {"features": np.array(FEATURES), "clip_features": np.array(CLIP_FEATURES)}
    named |= {name: value.astype(np.float32) for name, value in weights.items()}
    np.savez_compressed(path, **named)


if __name__ == "__main__":
    main()
