"""How well neighbours share a class, with the model and without, and whether they share a file's rate.

    python benchmarks/similarity.py ../shared/training [--cache FILE.npz] [--max-of-class 15] [--write]
    python benchmarks/similarity.py --copies ../shared/audio/rain.ogg …

Precision@5 by cosine: of the five nearest sounds (fewer where a class has fewer), how many have the class
that a file's name tells (`training_sounds`). The interval is the bootstrap's over sounds. Every map that is
fitted here is judged on the fifth of the sounds that it was not fitted on. The committed maps saw none of
these sounds, but for the centre of descriptors-128, which --write takes from them: each class counts alike.
No other script sets that centre.
Around its centre, sounds without anything in common have a cosine of 0: one floor of similarity serves both
spaces.

Same rate: each sound gets a faint noise over the whole band, and a coin decides whether it is a file at
22,050 or at 44,100 Hz. Of its five nearest, half should have its rate. Every sound is in the table once, so
nothing but the rate can bring them together.

--copies prints how far the 101 numbers of a file move when it is resampled: the root mean square of the
differences, each in units of its scale.
"""

from __future__ import annotations

import argparse
import io
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from fit_projection import DATA, NEIGHBOURS, VERSIONS, Map, fit_descriptors, fit_yamnet
from training_sounds import read_sounds

from soundscape.audio import meter_chain
from soundscape.audio.analysis import analyze
from soundscape.audio.decode.audio_file import open_audio
from soundscape.audio.spectral import NarrowSpectral
from soundscape.audio.spectrum import Resampler
from soundscape.audio.tagging import embedding, models
from soundscape.audio.tagging.tagger import Tagger

Float64 = npt.NDArray[np.float64]

RATES = (22_050, 44_100)
COPY_RATES = (16_000, 22_050, 48_000)
# Below the sound's own RMS.
NOISE_DB = -60.0
FOLDS = 5
DESCRIPTOR_WEIGHTS = (0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Features:
    """One row a sound: `heard` (n, 1024) from YAMNet, `described` and `at_rate` (n, 101), class, rate."""

    heard: Float64
    described: Float64
    at_rate: Float64
    label: npt.NDArray[np.str_]
    rate: npt.NDArray[np.int64]


def describe(y: npt.NDArray[np.float32], sample_rate: int) -> Float64 | None:
    """The numbers that the embedding without a model is made of; None for silence."""
    kept: list[Float64] = []

    def keep(
        _heard: object, narrow: NarrowSpectral | None, tonality: object, rhythm: object, loudness: object
    ) -> None:
        if narrow is not None:
            sections = {
                name: None if section is None else asdict(section)  # type: ignore[call-overload]
                for name, section in (("tonality", tonality), ("rhythm", rhythm), ("loudness", loudness))
            }
            kept.append(np.asarray(embedding.list_features(spectral=asdict(narrow), **sections), float))

    wav = io.BytesIO()
    soundfile.write(wav, y, sample_rate, format="WAV", subtype="FLOAT")
    wav.seek(0)
    # The record has the whole band, the embedding is made of the shared spectrum: only the chain has both.
    made, meter_chain._embed = meter_chain._embed, keep  # type: ignore[assignment]
    try:
        analyze(wav, tags=False, draw=False)
    finally:
        meter_chain._embed = made
    return kept[0] if kept else None


def mean_embedding(y: npt.NDArray[np.float32], sample_rate: int, model: Path) -> Float64:
    resampler, tagger = Resampler(sample_rate=sample_rate, target_rate=16_000), Tagger(model)
    tagger.push(resampler.push(y))
    tagger.push(resampler.finish())
    return np.asarray(tagger.result().mean_embedding, float)


def gather(folder: Path, model: Path, max_of_class: int) -> Features:
    random = np.random.default_rng(11)
    rows = []
    for sound in read_sounds(folder, max_of_class=max_of_class):
        if len(sound.y) < sound.sample_rate // 10:
            continue
        rate = int(random.choice(RATES))
        noise = random.standard_normal(len(sound.y)) * np.std(sound.y) * 10 ** (NOISE_DB / 20)
        noisy = soxr.resample((sound.y + noise).astype(np.float32), sound.sample_rate, rate)
        described, at_rate = describe(sound.y, sound.sample_rate), describe(noisy, rate)
        if described is None or at_rate is None:
            continue
        rows.append(
            (mean_embedding(sound.y, sound.sample_rate, model), described, at_rate, sound.label, rate)
        )
    heard, described, at_rate, label, rate = zip(*rows, strict=True)
    return Features(*(np.array(column) for column in (heard, described, at_rate, label, rate)))


def share_of_nearest(values: Float64, group: npt.NDArray[np.generic]) -> Float64:
    """Of each row's nearest, the share in its own group; NaN where the group has no other."""
    directions = unit(values)
    nearness = directions @ directions.T
    np.fill_diagonal(nearness, -np.inf)
    order = np.argsort(-nearness, axis=1, kind="stable")[:, :NEIGHBOURS]
    shares = np.full(len(group), np.nan)
    for row, nearest in enumerate(order):
        others = int((group == group[row]).sum()) - 1
        if others:
            shares[row] = (group[nearest[: min(NEIGHBOURS, others)]] == group[row]).mean()
    return shares


def cross_fit(fit: object, X: Float64) -> list[tuple[Map, npt.NDArray[np.bool_]]]:
    """Maps, each with the rows that it did not see."""
    fold = np.random.default_rng(1).permutation(len(X)) % FOLDS
    weight = np.ones(len(X))
    found = []
    for number in range(FOLDS):
        seen = fold != number
        found.append((fit(X[seen], weight[seen] / seen.sum()), ~seen))  # type: ignore[operator]
    return found


def unit(values: Float64) -> Float64:
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def cross_validated_shares(
    maps: list[tuple[Map, npt.NDArray[np.bool_]]], X: Float64, group: npt.NDArray[np.generic]
) -> Float64:
    shares = np.full(len(X), np.nan)
    for place, unseen in maps:
        shares[unseen] = share_of_nearest(unit(place(X)), group)[unseen]
    return shares


def interval(shares: Float64) -> str:
    shares = shares[~np.isnan(shares)]
    random = np.random.default_rng(2)
    means = [random.choice(shares, len(shares)).mean() for _ in range(1000)]
    low, high = np.quantile(means, (0.025, 0.975))
    return f"{shares.mean():.3f} ({low:.3f} to {high:.3f})"


def find_centre(X: Float64, label: npt.NDArray[np.str_]) -> Float64:
    """The mean of the limited descriptors, each class counting alike."""
    found = embedding.projection("descriptors-128")
    limited = np.tanh((X - found.location) / found.scale)
    return np.mean([limited[label == name].mean(axis=0) for name in np.unique(label)], axis=0)


def centre_elsewhere(X: Float64, label: npt.NDArray[np.str_]) -> Float64:
    """Places of the descriptors, around the centre of the sounds in the other folds."""
    found = embedding.projection("descriptors-128")
    fold = np.random.default_rng(1).permutation(len(X)) % FOLDS
    centres = np.array([find_centre(X[fold != number], label[fold != number]) for number in range(FOLDS)])
    return unit((np.tanh((X - found.location) / found.scale) - centres[fold]) @ found.matrix)


def write(features: Features) -> None:
    with np.load(DATA / "descriptors_128.npz", allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["centre"] = find_centre(features.described, features.label).astype(np.float32)
    arrays["version"] = np.int64(VERSIONS["descriptors_128"])
    np.savez_compressed(DATA / "descriptors_128.npz", **arrays)


def committed_places(name: str, X: Float64) -> Float64:
    found = embedding.projection(name)
    if name.startswith("yamnet"):
        return unit((np.sqrt(X) - found.centre) @ found.matrix)
    return unit((np.tanh((X - found.location) / found.scale) - found.centre) @ found.matrix)


def compare_copies(path: Path) -> None:
    with path.open("rb") as file, open_audio(file) as audio:
        rate, y = audio.header.sample_rate, np.concatenate(list(audio.blocks()), axis=1).T
    original, cells = describe(y, rate), []
    for copy_rate in COPY_RATES:
        copied = describe(soxr.resample(y, rate, copy_rate), copy_rate)
        if original is None or copied is None:
            raise SystemExit(f"{path}: silence has no descriptors")
        moved = (copied - original) / embedding.projection("descriptors-128").scale
        cells.append(f"{np.sqrt(np.mean(moved**2)):.2f} at {copy_rate} Hz")
    print(f"{path.name} ({rate} Hz): {', '.join(cells)}")


def report(features: Features) -> None:
    label, rate = features.label, features.rate
    sizes = np.unique(label, return_counts=True)[1]
    chance = float(((sizes - 1) * sizes).sum() / (len(label) * (len(label) - 1)))
    print(f"{len(label)} sounds of {len(sizes)} classes; chance {chance:.3f}\n")
    heard, described = (
        committed_places("yamnet-128", features.heard),
        committed_places("descriptors-128", features.described),
    )
    at_rate = committed_places("descriptors-128", features.at_rate)
    print("| map | precision@5 | same rate (chance 0.5) |")
    print("|---|---|---|")

    def row(name: str, by_class: Float64, by_rate: Float64) -> None:
        print(f"| {name} | {interval(by_class)} | {interval(by_rate)} |", flush=True)

    row("without the model, committed", share_of_nearest(described, label), share_of_nearest(at_rate, rate))
    row(
        "without, centred on the other folds",
        share_of_nearest(centre_elsewhere(features.described, label), label),
        share_of_nearest(centre_elsewhere(features.at_rate, label), rate),
    )
    maps = cross_fit(fit_descriptors, features.described)
    row(
        "without, fitted here",
        cross_validated_shares(maps, features.described, label),
        cross_validated_shares(cross_fit(fit_descriptors, features.at_rate), features.at_rate, rate),
    )
    row("with the model, committed", share_of_nearest(heard, label), share_of_nearest(heard, rate))
    gains = {}
    for weight in DESCRIPTOR_WEIGHTS:
        both = np.concatenate([heard, weight * described], axis=1)
        both_at_rate = np.concatenate([heard, weight * at_rate], axis=1)
        row(
            f"with, plus {weight} x descriptors, both committed",
            share_of_nearest(both, label),
            share_of_nearest(both_at_rate, rate),
        )
        gains[weight] = share_of_nearest(both, label) - share_of_nearest(heard, label)
    heard_maps = cross_fit(fit_yamnet, features.heard)
    row(
        "with, fitted here",
        cross_validated_shares(heard_maps, features.heard, label),
        cross_validated_shares(heard_maps, features.heard, rate),
    )
    for weight in DESCRIPTOR_WEIGHTS:
        shares, by_rate = (np.full(len(label), np.nan) for _ in range(2))
        for (place_heard, unseen), (place, _) in zip(heard_maps, maps, strict=True):
            first = unit(place_heard(features.heard))
            for found, numbers, group in (
                (shares, features.described, label),
                (by_rate, features.at_rate, rate),
            ):
                joined = np.concatenate([first, weight * unit(place(numbers))], axis=1)
                found[unseen] = share_of_nearest(joined, group)[unseen]
        row(f"with, plus {weight} x descriptors, fitted here", shares, by_rate)
    for weight, gain in gains.items():
        print(f"gain by {weight} x descriptors, both committed, sound by sound: {interval(gain)}")
    for name, values in (("without the model", described), ("with", heard)):
        pairs = (values @ values.T)[np.triu_indices(len(values), 1)]
        alike = (label[:, None] == label)[np.triu_indices(len(values), 1)]
        for kind, cosines in (("all pairs", pairs), ("of one class", pairs[alike])):
            quantiles = " ".join(f"{q:.2f}" for q in np.quantile(cosines, (0.1, 0.5, 0.75, 0.9, 0.95, 0.99)))
            print(f"cosine {name}, {kind}, at 10, 50, 75, 90, 95, 99 %: {quantiles}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sounds", type=Path, nargs="?", help="the folder of training_sounds")
    parser.add_argument(
        "--copies", type=Path, nargs="+", metavar="FILE", help="compare copies at other rates"
    )
    parser.add_argument("--model", type=Path, help="yamnet.tflite (default: the pulled one)")
    parser.add_argument("--max-of-class", type=int, default=15)
    parser.add_argument("--write", action="store_true", help="replace the centre of descriptors_128.npz")
    parser.add_argument("--cache", type=Path, help="measurements, kept between runs")
    given = parser.parse_args()
    for path in given.copies or ():
        compare_copies(path)
    if given.sounds is None:
        if not given.copies:
            parser.error("name a folder of sounds, or files with --copies")
        return
    if given.cache and given.cache.exists():
        with np.load(given.cache) as stored:
            features = Features(**stored)
    else:
        features = gather(given.sounds, given.model or models.find("yamnet"), given.max_of_class)
        if given.cache:
            np.savez(given.cache, **asdict(features))
    report(features)
    if given.write:
        write(features)


if __name__ == "__main__":
    main()
