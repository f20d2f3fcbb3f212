"""Fit the three frozen maps of the embedding, and measure how well its neighbours share a class.

    python benchmarks/fit_projection.py ../shared/training [--cache FILE.npz] [--write]

Precision@5 by cosine: of the five nearest sounds (fewer where a class has fewer), how many have the class
that a file's name tells (`training_sounds`). The interval is the bootstrap's over sounds. Sounds that have a
class are left out of every fit here, and of `fit_network.py`, with all their segments. The table judges the
maps that this run fits; --write commits them.
"""

from __future__ import annotations

import argparse
import io
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from training_sounds import MAX_OF_CLASS, Sound, choose_labelled, read_sounds

from soundscape.audio import analysis
from soundscape.audio.spectrum import Resampler, Spectrum
from soundscape.audio.tagging import embedding, models
from soundscape.audio.tagging.embedding import DESCRIBED_SIZE, HEARD_SIZE, WITH_MODEL, WITHOUT_MODEL
from soundscape.audio.tagging.small_network import SmallNetwork

DATA = Path(__file__).resolve().parents[1] / "soundscape/audio/data"
NEIGHBOURS = 5
# soundscape.min_similarity()
FLOOR = 0.15
WHITENING = 0.5
# Deviations at which a descriptor begins to be limited.
LIMIT = 1.5
# Two sounds at one tempo need not sound alike: it counts for less than it varies.
TEMPO, TEMPO_WEIGHT = slice(81, 83), 0.5
WEIGHTS = (0.4, 0.7, 1.0)

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Map:
    """What one of the files holds, in full precision."""

    centre: Float64
    matrix: Float64
    location: Float64 | float = 0.0
    scale: Float64 | float = 1.0

    def __call__(self, X: Float64) -> Float64:
        """Directions of the rows of X."""
        limited = X if isinstance(self.scale, float) else np.tanh((X - self.location) / self.scale)
        return unit((limited - self.centre) @ self.matrix)


@dataclass(frozen=True)
class Features:
    """One row a segment that is not silent: its place among all, `heard` (n, 1024) from YAMNet, `described`
    (n, 87), and what it is.
    """

    place: npt.NDArray[np.int64]
    heard: Float64
    described: Float64
    source: npt.NDArray[np.str_]
    recording: npt.NDArray[np.str_]
    label: npt.NDArray[np.str_]
    """Empty but for one segment of each recording that `choose_labelled` chose."""


def measure(y: Float32, sample_rate: int, model: Path | None) -> tuple[Float64, Float64] | None:
    """What the embedding is made of: the network's features and the descriptors. None for silence."""
    kept: list[tuple[Float64, Float64]] = []

    def keep(_: embedding.Space, heard: Float32, described: Float32) -> None:
        kept.append((np.asarray(heard, float), np.asarray(described, float)))

    wav = io.BytesIO()
    soundfile.write(wav, y, sample_rate, format="WAV", subtype="FLOAT")
    wav.seek(0)
    # What the embedding is made of is not in the record.
    placed, embedding.place = embedding.place, keep  # type: ignore[assignment]
    try:
        analysis.analyze(
            wav, tags=model is not None, models_dir=None if model is None else model.parent, draw=False
        )
    finally:
        embedding.place = placed
    return kept[0] if kept else None


def gather(folder: Path, model: Path) -> Features:
    labelled = choose_labelled(folder)
    judged: set[str] = set()
    rows = []
    for place, sound in enumerate(read_sounds(folder)):
        measured = measure(sound.y, sound.sample_rate, model)
        if measured is not None:
            is_first = sound.recording in labelled and sound.recording not in judged
            judged |= {sound.recording} & labelled
            rows.append((place, *measured, sound.source, sound.recording, sound.label if is_first else ""))
    return Features(*map(np.array, zip(*rows, strict=True)))


def hear(sound: Sound) -> Float64:
    """The features of the small network, which change with its weights and are never kept."""
    resampler, spectrum, network = Resampler(sample_rate=sound.sample_rate), Spectrum(), SmallNetwork()
    y = np.concatenate([resampler.push(sound.y), resampler.finish()])
    for frames in (*spectrum.push(y), *spectrum.finish()):
        network.push(frames.log_mel_db)
    found = network.result()
    if found is None:
        raise ValueError(f"{sound.recording} has no frame")
    return np.asarray(found, float)


def weigh_sources(source: npt.NDArray[np.str_]) -> Float64:
    """A source counts by the square root of its size, so that the largest does not decide alone."""
    _, inverse, counts = np.unique(source, return_inverse=True, return_counts=True)
    weight: Float64 = 1 / np.sqrt(counts[inverse])
    return weight / weight.sum()


def pca(
    X: Float64 | Float32, weight: Float64, *, size: int, whitening: float = WHITENING
) -> tuple[Float64, Float64]:
    """Mean and matrix (n, size) of a PCA whose axes are divided by their deviation to the power of
    `whitening`.

    0 is plain PCA; 1 makes all axes alike and with them the noise; between, rare axes gain a voice.
    """
    mean = weight @ X
    centred = (X - mean) * np.sqrt(weight)[:, np.newaxis]
    variance, axes = np.linalg.eigh(centred.T @ centred)
    variance, axes = variance[::-1][:size], axes[:, ::-1][:, :size]
    # The floor keeps axes that the corpus hardly moves from being blown up.
    return mean, axes * (variance + 1e-3 * variance[0]) ** (-whitening / 2)


def fit_heard(X: Float64, weight: Float64, *, size: int = HEARD_SIZE) -> Map:
    return Map(*pca(X, weight, size=size))


def fit_described(X: Float64, weight: Float64, *, size: int = DESCRIBED_SIZE) -> Map:
    location = weight @ X
    scale = LIMIT * np.maximum(np.sqrt(weight @ (X - location) ** 2), 1e-6)
    importance = np.ones(X.shape[1])
    importance[TEMPO] = TEMPO_WEIGHT
    centre, matrix = pca(np.tanh((X - location) / scale) * importance, weight, size=size)
    return Map(centre / importance, matrix * importance[:, np.newaxis], location, scale)


def unit(values: Float64) -> Float64:
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def share_of_nearest(
    values: Float64, group: npt.NDArray[np.generic], *, asked: Float64 | None = None
) -> Float64:
    """Of each row's nearest, the share in its own group; NaN where the group has no other.

    `asked` are other places of the same sounds to look from.
    """
    nearness = unit(values if asked is None else asked) @ unit(values).T
    np.fill_diagonal(nearness, -np.inf)
    order = np.argsort(-nearness, axis=1, kind="stable")[:, :NEIGHBOURS]
    shares = np.full(len(group), np.nan)
    for row, nearest in enumerate(order):
        others = int((group == group[row]).sum()) - 1
        if others:
            shares[row] = (group[nearest[: min(NEIGHBOURS, others)]] == group[row]).mean()
    return shares


def interval(shares: Float64) -> str:
    shares = shares[~np.isnan(shares)]
    random = np.random.default_rng(2)
    means = [random.choice(shares, len(shares)).mean() for _ in range(1000)]
    low, high = np.quantile(means, (0.025, 0.975))
    return f"{shares.mean():.3f} ({low:.3f} to {high:.3f})"


def report(features: Features, small: Float64, maps: dict[str, Map]) -> None:
    judged = features.label != ""
    label = features.label[judged]
    sizes = np.unique(label, return_counts=True)[1]
    chance = float(((sizes - 1) * sizes).sum() / (len(label) * (len(label) - 1)))
    others = ~np.isin(features.recording, features.recording[judged])
    print(f"fitted on {others.sum()} segments; judged on {len(label)} sounds of {len(sizes)} classes")
    print(f"chance {chance:.3f}\n\n| embedding | precision@5 |\n|---|---|")
    heard = maps["yamnet_80"](np.sqrt(features.heard[judged]))
    little = maps["small_network_80"](np.sqrt(small[judged]))
    described = maps["descriptors_48"](features.described[judged])

    def row(name: str, values: Float64) -> Float64:
        shares = share_of_nearest(values, label)
        print(f"| {name} | {interval(shares)} |", flush=True)
        return shares

    row("YAMNet, 1024-d as it is", features.heard[judged])
    alone = row("YAMNet, projected", heard)
    row("small network, projected", little)
    only = row("descriptors, projected", described)
    for space, first, before in ((WITH_MODEL, heard, alone), (WITHOUT_MODEL, little, only)):
        for weight in WEIGHTS:
            mark = "**" if weight == space.weight else ""
            joined = np.concatenate([first, weight * described], axis=1)
            shares = row(f"{mark}{space.heard} + {weight} x descriptors{mark}", joined)
            if mark:
                print(f"|   gain, sound by sound | {interval(shares - before)} |")
                cosines = unit(joined) @ unit(joined).T
                pairs = np.triu_indices(len(cosines), 1)
                alike = (label[:, None] == label)[pairs]
                for kind, some in (
                    ("of all pairs", cosines[pairs]),
                    ("of pairs of a class", cosines[pairs][alike]),
                ):
                    at = " ".join(f"{q:.2f}" for q in np.quantile(some, (0.1, 0.5, 0.75, 0.9, 0.99)))
                    print(f"|   cosine {kind} at 10, 50, 75, 90, 99 % | {at} |")
                    print(f"|   {kind} at or above {FLOOR} | {(some >= FLOOR).mean():.2f} |")


def write(maps: dict[str, Map]) -> None:
    for name, found in maps.items():
        arrays = {"centre": found.centre.astype(np.float32)}
        if not isinstance(found.scale, float):
            arrays |= {"location": np.float32(found.location), "scale": np.float32(found.scale)}
        # Half precision halves what the package carries, and moves no cosine by more than 0.001.
        np.savez_compressed(DATA / f"{name}.npz", matrix=found.matrix.astype(np.float16), **arrays)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sounds", type=Path, help="the folder of training_sounds")
    parser.add_argument("--model", type=Path, help="yamnet.tflite (default: the pulled one)")
    parser.add_argument("--cache", type=Path, help="measurements but the small network's, kept between runs")
    parser.add_argument("--write", action="store_true", help="replace the files under soundscape/audio/data")
    given = parser.parse_args()
    if given.cache and given.cache.exists():
        with np.load(given.cache) as stored:
            features = Features(**stored)
    else:
        features = gather(given.sounds, given.model or models.find("yamnet"))
        if given.cache:
            np.savez(given.cache, **asdict(features))
    print(f"at most {MAX_OF_CLASS} sounds of a class")
    places = set(features.place.tolist())
    small = np.array(
        [hear(sound) for place, sound in enumerate(read_sounds(given.sounds)) if place in places]
    )
    judged_recordings = np.unique(features.recording[features.label != ""])
    weight = weigh_sources(features.source) * ~np.isin(features.recording, judged_recordings)
    weight /= weight.sum()
    maps = {
        "yamnet_80": fit_heard(np.sqrt(features.heard), weight),
        "small_network_80": fit_heard(np.sqrt(small), weight),
        "descriptors_48": fit_described(features.described, weight),
    }
    report(features, small, maps)
    if given.write:
        write(maps)


if __name__ == "__main__":
    main()
