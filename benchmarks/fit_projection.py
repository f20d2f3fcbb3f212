"""Fit the two frozen maps under soundscape/audio/data, and measure honestly how well they retrieve.

    python benchmarks/fit_projection.py --packages DIR [--cache FILE.npz] [--write]

Precision@5 by cosine: of the five nearest segments (fewer where a class has fewer), how many are of the same
recording (among all segments), and how many of the same class (among those of its source, its own recording
left out). A map is always judged on sounds it was not fitted on: `recordings` leaves a fifth of the
recordings out in turn, `sources` a whole source (another kind of sound, another microphone); their mean
counts every source alike.

--write leaves the centre of descriptors-128 at zero: `similarity.py --write` sets it afterwards.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from sound_corpus import Segment, segments

from soundscape.audio.analysis import analyze
from soundscape.audio.spectrum import MonoSignal
from soundscape.audio.tagging import models
from soundscape.audio.tagging.embedding import SIZE, list_features
from soundscape.audio.tagging.tagger import Tagger

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "soundscape/audio/data"
# Raised with every new matrix or centre: it is a new space.
VERSIONS = {"yamnet_128": 1, "descriptors_128": 2}
NEIGHBOURS = 5
WHITENING = 0.5
# Deviations at which a descriptor begins to be limited.
LIMIT = 1.5
# Two sounds in one key, or at one tempo, need not sound alike: these count for less than they vary.
CHROMA, CHROMA_WEIGHT = slice(81, 93), 0.3
TEMPO, TEMPO_WEIGHT = slice(95, 97), 0.5

Float64 = npt.NDArray[np.float64]
Map = Callable[[Float64], Float64]
Fit = Callable[[Float64, Float64], Map]


@dataclass(frozen=True)
class Features:
    """One row a segment: `heard` (n, 1024) from YAMNet, `described` (n, 101), and who it is."""

    heard: Float64
    described: Float64
    source: npt.NDArray[np.str_]
    label: npt.NDArray[np.str_]
    recording: npt.NDArray[np.str_]


def measure(segment: Segment, model: Path) -> tuple[Float64, Float64] | None:
    """None for a segment without a frame above -80 dBFS: both maps leave silence out."""
    resampled = MonoSignal(sample_rate=segment.sample_rate, channels=1, target_rate=16_000)
    tagger = Tagger(model)
    tagger.push(resampled.push(np.ascontiguousarray(segment.y[np.newaxis])))
    tagger.push(resampled.finish())
    wav = io.BytesIO()
    soundfile.write(wav, segment.y, segment.sample_rate, format="WAV", subtype="FLOAT")
    wav.seek(0)
    record = analyze(wav, tags=False, draw=False)
    if record.spectral is None:
        return None
    described = list_features(
        spectral=asdict(record.spectral),
        tonality=asdict(record.tonality) if record.tonality else None,
        rhythm=asdict(record.rhythm) if record.rhythm else None,
        loudness=asdict(record.loudness) if record.loudness else None,
    )
    return np.asarray(tagger.result().mean_embedding, float), np.asarray(described, float)


def gather(shared: Path, packages: Path | None, model: Path) -> Features:
    rows = []
    for segment in segments(shared=shared, packages=packages, log=print):
        measured = measure(segment, model)
        if measured is not None:
            rows.append((*measured, segment.source, segment.label, segment.recording))
    heard, described, source, label, recording = zip(*rows, strict=True)
    return Features(
        np.array(heard),
        np.array(described),
        np.array(source),
        np.array(label),
        np.array(recording),
    )


def weights(source: npt.NDArray[np.str_]) -> Float64:
    """A source counts by the square root of its size, so that the largest does not decide alone."""
    _, inverse, counts = np.unique(source, return_inverse=True, return_counts=True)
    weight: Float64 = 1 / np.sqrt(counts[inverse])
    return weight / weight.sum()


def pca(X: Float64, weight: Float64, *, whitening: float) -> tuple[Float64, Float64]:
    """Mean and matrix (n, <= 128) of a PCA whose axes are divided by their deviation to this power.

    0 is plain PCA; 1 makes all axes alike and with them the noise; between, rare axes gain a voice.
    """
    mean = weight @ X
    centred = (X - mean) * np.sqrt(weight)[:, np.newaxis]
    variance, axes = np.linalg.eigh(centred.T @ centred)
    variance, axes = variance[::-1][:SIZE], axes[:, ::-1][:, :SIZE]
    # The floor keeps axes that the corpus hardly moves from being blown up.
    return mean, axes * (variance + 1e-3 * variance[0]) ** (-whitening / 2)


def fit_yamnet(X: Float64, weight: Float64) -> Map:
    mean, matrix = pca(np.sqrt(X), weight, whitening=WHITENING)
    return lambda Z: (np.sqrt(Z) - mean) @ matrix


def fit_plain_pca(X: Float64, weight: Float64) -> Map:
    mean, matrix = pca(X, weight, whitening=0)
    return lambda Z: (Z - mean) @ matrix


def fit_random(X: Float64, weight: Float64) -> Map:
    mean = weight @ X
    matrix = np.linalg.qr(np.random.default_rng(7).standard_normal((X.shape[1], SIZE)))[0]
    return lambda Z: (Z - mean) @ matrix


def as_is(X: Float64, weight: Float64) -> Map:
    return lambda Z: Z


def scaling(X: Float64, weight: Float64) -> tuple[Float64, Float64]:
    mean = weight @ X
    return mean, np.maximum(np.sqrt(weight @ (X - mean) ** 2), 1e-6)


def fit_scaled(X: Float64, weight: Float64) -> Map:
    mean, scale = scaling(X, weight)
    return lambda Z: (Z - mean) / scale


def pca_of_descriptors(X: Float64, weight: Float64) -> tuple[Float64, Float64, Float64, Float64]:
    """Location, scale, and of the limited descriptors centre and matrix."""
    location, scale = scaling(X, weight)
    scale *= LIMIT
    importance = np.ones(X.shape[1])
    importance[CHROMA], importance[TEMPO] = CHROMA_WEIGHT, TEMPO_WEIGHT
    centre, matrix = pca(np.tanh((X - location) / scale) * importance, weight, whitening=WHITENING)
    return location, scale, centre / importance, matrix * importance[:, np.newaxis]


def fit_descriptors(X: Float64, weight: Float64) -> Map:
    location, scale, centre, matrix = pca_of_descriptors(X, weight)
    return lambda Z: (np.tanh((Z - location) / scale) - centre) @ matrix


def precision(values: Float64, features: Features, queries: npt.NDArray[np.bool_]) -> Float64:
    """Mean precision@5 of the queries: same recording (of all), same class (in its source), chance of it."""
    unit = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    nearness = unit @ unit.T
    np.fill_diagonal(nearness, -np.inf)
    by_recording, by_label, chance = [], [], []
    for query in np.flatnonzero(queries):
        same = features.recording == features.recording[query]
        if same.sum() > 1:
            nearest = np.argsort(-nearness[query], kind="stable")[: min(NEIGHBOURS, same.sum() - 1)]
            by_recording.append(same[nearest].mean())
        # Labels are a source's own: its "speech" says nothing about what another source calls by language.
        pool = (features.source == features.source[query]) & ~same
        alike = (features.label == features.label[query]) & pool
        if alike.any():
            others = np.where(pool, nearness[query], -np.inf)
            nearest = np.argsort(-others, kind="stable")[: min(NEIGHBOURS, alike.sum())]
            by_label.append(alike[nearest].mean())
            chance.append(alike.sum() / pool.sum())
    return np.array([np.mean(scores) if scores else np.nan for scores in (by_recording, by_label, chance)])


def judge(name: str, X: Float64, fit: Fit, features: Features) -> dict[str, Float64]:
    """Prints one row of the table; returns the precision by source with that source left out of the fit."""
    recordings = np.unique(features.recording)
    fold = dict(
        zip(np.random.default_rng(1).permutation(recordings), np.arange(recordings.size) % 5, strict=True)
    )
    folds = np.array([fold[recording] for recording in features.recording])
    fold_scores = []
    for number in range(5):
        seen = folds != number
        values = fit(X[seen], weights(features.source[seen]))(X)
        fold_scores.append(precision(values, features, ~seen))
    by_source = {}
    for source in np.unique(features.source):
        seen = features.source != source
        by_source[str(source)] = precision(fit(X[seen], weights(features.source[seen]))(X), features, ~seen)
    across = np.mean(fold_scores, axis=0)
    unseen = np.nanmean(list(by_source.values()), axis=0)
    print(f"| {name} |", " | ".join(f"{score:.3f}" for score in (*across[:2], *unseen[:2], across[2])), "|")
    return by_source


def report(features: Features) -> None:
    heard, described = features.heard, features.described
    print(f"\n{len(heard)} segments of {np.unique(features.recording).size} recordings\n")
    print("| embedding | recordings: same one | same class | sources: same one | same class | chance |")
    print("|---|---|---|---|---|---|")
    by_source = {}
    for name, X, fit in (
        ("YAMNet, 1024-d as it is", heard, as_is),
        ("YAMNet, random 128-d", heard, fit_random),
        ("YAMNet, plain PCA 128-d", heard, fit_plain_pca),
        ("**yamnet-128**", heard, fit_yamnet),
        ("descriptors, scaled", described, fit_scaled),
        ("**descriptors-128**", described, fit_descriptors),
    ):
        by_source[name] = judge(name, X, fit, features)
    print("\n| source, left out of the fit | segments | recordings |", " | ".join(by_source), "|")
    print("|---" * (3 + len(by_source)) + "|")
    for source in np.unique(features.source):
        rows = features.source == source
        cells = [f"{scores[source][0]:.2f} / {scores[source][1]:.2f}" for scores in by_source.values()]
        print(
            "|",
            source,
            "|",
            rows.sum(),
            "|",
            np.unique(features.recording[rows]).size,
            "|",
            " | ".join(cells),
            "|",
        )


def write(features: Features) -> None:
    """Write both maps. The centre of descriptors-128 stays zero until `similarity.py --write` sets it."""
    weight = weights(features.source)
    centre, matrix = pca(np.sqrt(features.heard), weight, whitening=WHITENING)
    _save("yamnet_128.npz", matrix, centre=centre)
    location, scale, centre, matrix = pca_of_descriptors(features.described, weight)
    _save("descriptors_128.npz", matrix, centre=np.zeros_like(centre), location=location, scale=scale)


def _save(name: str, matrix: Float64, **vectors: Float64) -> None:
    # Fewer descriptors than dimensions: the last axes of their space stay empty.
    matrix = np.pad(matrix, ((0, 0), (0, SIZE - matrix.shape[1])))
    np.savez_compressed(
        DATA / name,
        version=np.int64(VERSIONS[Path(name).stem]),
        # Half precision halves what the package carries, and moves no cosine by more than 0.001.
        matrix=matrix.astype(np.float16),
        **{key: vector.astype(np.float32) for key, vector in vectors.items()},
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared/audio")
    parser.add_argument("--packages", type=Path, help="directory with one unpacked Debian package a folder")
    parser.add_argument("--model", type=Path, help="yamnet.tflite (default: the pulled one)")
    parser.add_argument("--cache", type=Path, help="measurements, kept between runs")
    parser.add_argument("--write", action="store_true", help="replace the files under soundscape/audio/data")
    given = parser.parse_args()
    if given.cache and given.cache.exists():
        with np.load(given.cache) as stored:
            features = Features(**stored)
    else:
        features = gather(given.shared, given.packages, given.model or models.find("yamnet"))
        if given.cache:
            np.savez(given.cache, **asdict(features))
    report(features)
    if given.write:
        write(features)


if __name__ == "__main__":
    main()
