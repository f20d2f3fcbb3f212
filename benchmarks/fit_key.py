"""Fit the profiles and the confidence of the key in `soundscape/audio/tonality/meter.py`.

    python benchmarks/fit_key.py TRUTH.csv [TRUTH.csv ...]

Prints the numbers of that module. A truth file is as in `benchmarks/music.py`; "none" for a key teaches what
has none. The profiles are those under which the right keys are likeliest, with a Gaussian prior around those
of Albrecht and Shanahan. The confidence is a logistic regression of whether the best key is right. Report on
other pieces than these.
"""

from __future__ import annotations

import argparse
import cmath
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from music import TONICS, read_truth
from scipy.optimize import minimize

from soundscape.audio.decode.audio_file import open_audio, open_binary
from soundscape.audio.limits import Limits
from soundscape.audio.spectrum import N_FFT, SAMPLE_RATE, MonoSignal, Spectrum
from soundscape.audio.tonality.meter import (
    MIN_STEADY_SHARE,
    describe_confidence,
    fold,
    normalise,
    with_fundamentals,
)
from soundscape.audio.tonality.partials import PartialMeter, PartialsSummary

Float64 = npt.NDArray[np.float64]

# Albrecht and Shanahan, "The Use of Large Corpora to Train a New Type of Key-Finding Algorithm", Music
# Perception 31(1), 2013.
START = np.array(
    [
        [0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081],
        [0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052],
    ]
)
# A correlation of 1 is worth so much as log odds; how firmly the profiles stay where they begin.
SCALE, PRIOR = 12.0, 3.0
CONFIDENCE_PRIOR = 2.0


def partials_of(path: Path) -> PartialsSummary:
    partials, spectrum = PartialMeter(sample_rate=SAMPLE_RATE, n_fft=N_FFT), Spectrum()
    with open_binary(path) as file, open_audio(file, Limits()) as audio:
        mono = MonoSignal(sample_rate=audio.header.sample_rate, channels=audio.header.channels)
        for block in audio.blocks():
            for frames in spectrum.push(mono.push(block)):
                partials.push(frames.S)
        for frames in (*spectrum.push(mono.finish()), *spectrum.finish()):
            partials.push(frames.S)
    return partials.result()


def chromas(heard: PartialsSummary) -> tuple[Float64, Float64]:
    """Weights by pitch class as they are, and with fundamentals."""
    tuning_cents = cmath.phase(heard.offset) / (2 * cmath.pi) * 100
    return fold(heard.weights, tuning_cents), fold(with_fundamentals(heard.weights), tuning_cents)


def index_of(key: str) -> int:
    tonic, mode = key.split()
    return int(TONICS.index(tonic)) + 12 * int(mode == "minor")


def scores(turned: Float64, profiles: Float64, offset: float) -> Float64:
    return np.concatenate([turned @ profiles[0], turned @ profiles[1] + offset], axis=1)


def fit_profiles(turned: Float64, right: npt.NDArray[np.int64]) -> tuple[Float64, float]:
    """Profiles of major and minor, shape (2, 12), and what is added to minor keys."""
    centred = START - START.mean(axis=1, keepdims=True)
    start = SCALE * centred / np.linalg.norm(centred, axis=1, keepdims=True)
    rows = np.arange(right.size)

    def loss(vector: Float64) -> tuple[float, Float64]:
        moved = vector[:24].reshape(2, 12)
        s = scores(turned, start + moved, vector[24])
        s -= s.max(axis=1, keepdims=True)
        p = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
        value = -float(np.log(p[rows, right] + 1e-12).sum()) + PRIOR * float(vector[:24] @ vector[:24]) / 2
        p[rows, right] -= 1
        pull = [np.einsum("nk,nkf->f", part, turned) for part in (p[:, :12], p[:, 12:])]
        gradient = np.concatenate([*pull, [p[:, 12:].sum()]])
        gradient[:24] += PRIOR * vector[:24]
        return value, gradient

    best = minimize(loss, np.zeros(25), jac=True, method="L-BFGS-B").x
    return (start + best[:24].reshape(2, 12)) / SCALE, float(best[24] / SCALE)


def fit_confidence(features: Float64, right: npt.NDArray[np.bool_]) -> Float64:
    """Weights of the features, the first of which is 1."""
    mean, spread = features[:, 1:].mean(axis=0), features[:, 1:].std(axis=0) + 1e-9
    scaled = np.concatenate([features[:, :1], (features[:, 1:] - mean) / spread], axis=1)

    def loss(weights: Float64) -> float:
        z = scaled @ weights
        likelihood = np.logaddexp(0, np.where(right, -z, z)).sum()
        return float(likelihood + CONFIDENCE_PRIOR * (weights[1:] @ weights[1:]) / 2)

    best = minimize(loss, np.zeros(features.shape[1])).x
    weights = np.concatenate([best[:1] - (best[1:] * mean / spread).sum(), best[1:] / spread])
    return np.asarray(weights, dtype=np.float64)


def learn(pieces: Sequence[tuple[str, PartialsSummary]]) -> tuple[Float64, float, Float64]:
    """Profiles, what is added to minor keys, and the weights of the confidence, from keys and partials."""
    tonal = [(key, heard, *chromas(heard)) for key, heard in pieces if heard.steady_share >= MIN_STEADY_SHARE]
    turned = np.stack([[np.roll(normalise(full), -tonic) for tonic in range(12)] for *_, full in tonal])
    keyed = np.array([key != "none" for key, *_ in tonal])
    right = np.array([index_of(key) if key != "none" else -1 for key, *_ in tonal])
    profiles, offset = fit_profiles(turned[keyed], right[keyed])
    fits = scores(turned, profiles, offset)
    features = np.array(
        [
            describe_confidence(heard, plain, fit)
            for (_, heard, plain, _), fit in zip(tonal, fits, strict=True)
        ]
    )
    return profiles, offset, fit_confidence(features, fits.argmax(axis=1) == right)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("truth", type=Path, nargs="+")
    options = parser.parse_args()
    truths = [t for path in options.truth for t in read_truth(path) if t.key is not None]
    show(*learn([(str(t.key), partials_of(t.path)) for t in truths]))


def show(profiles: Float64, offset: float, weights: Float64) -> None:
    for name, profile in zip(("_MAJOR", "_MINOR"), profiles, strict=True):
        print(f"{name} = ({', '.join(f'{value:.3f}' for value in profile)})")
    print(f"_MINOR_OFFSET = {offset:.4f}")
    print(f"_CONFIDENCE_WEIGHTS = ({', '.join(f'{value:.4f}' for value in weights)})")
    assert math.isfinite(float(weights.sum()))


if __name__ == "__main__":
    main()
