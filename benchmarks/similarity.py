"""Whether neighbours depend on a file's rate or level, and how far a recording moves when it is resampled.

    python benchmarks/similarity.py ../shared/training [--max-of-class 15]
    python benchmarks/similarity.py --copies ../shared/audio/rain.ogg …

Same rate: each sound gets a faint noise over the whole band, and a coin decides whether it is a file at
22,050 or at 44,100 Hz. Of its five nearest, half should have its rate. Every sound is there once, so nothing
but the rate can bring them together. Precision@5, of the same places, is how many of the five have the class
that a file's name tells; benchmarks/fit_projection.py measures that on more sounds.

Soft: each sound asks for its neighbours once as it is, and once 40 dB down. The others are as they are.

--copies prints the cosine between a file and its copies at other rates, in both spaces.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr
from fit_projection import interval, measure, share_of_nearest
from training_sounds import read_sounds

from soundscape.audio.decode.audio_file import open_audio
from soundscape.audio.tagging import models
from soundscape.audio.tagging.embedding import WITH_MODEL, WITHOUT_MODEL, Space, place

Float32 = npt.NDArray[np.float32]

RATES = (22_050, 44_100)
COPY_RATES = (16_000, 22_050, 48_000)
# Below the sound's own RMS.
NOISE_DB = -60.0
SOFT_DB = -40.0


def find_places(y: Float32, sample_rate: int, model: Path) -> dict[Space, Float32] | None:
    """The places of a sound, (128,) each; None for silence."""
    found = {}
    for space, listener in ((WITH_MODEL, model), (WITHOUT_MODEL, None)):
        measured = measure(y, sample_rate, listener)
        embedded = None if measured is None else place(space, *(part.astype(np.float32) for part in measured))
        if embedded is None:
            return None
        found[space] = np.array(embedded.values, np.float32)
    return found


def compare_rates(folder: Path, model: Path, max_of_class: int) -> None:
    random = np.random.default_rng(11)
    places: dict[Space, list[Float32]] = {WITH_MODEL: [], WITHOUT_MODEL: []}
    labels, rates = [], []
    for sound in read_sounds(folder, max_of_class=max_of_class):
        rate = int(random.choice(RATES))
        noise = random.standard_normal(len(sound.y)) * np.std(sound.y) * 10 ** (NOISE_DB / 20)
        noisy = soxr.resample((sound.y + noise).astype(np.float32), sound.sample_rate, rate)
        found = find_places(noisy, rate, model)
        if found is None:
            continue
        for space, values in found.items():
            places[space].append(values)
        labels.append(sound.label)
        rates.append(rate)
    print(f"{len(labels)} sounds of {len(set(labels))} classes\n")
    print("| space | precision@5 | same rate (chance 0.5) |\n|---|---|---|")
    for space, rows in places.items():
        values = np.array(rows, float)
        shares = [share_of_nearest(values, np.array(group)) for group in (labels, rates)]
        print(f"| {space.name} | {' | '.join(map(interval, shares))} |")


def compare_levels(folder: Path, model: Path, max_of_class: int) -> None:
    places: dict[Space, list[tuple[Float32, Float32]]] = {WITH_MODEL: [], WITHOUT_MODEL: []}
    labels = []
    for sound in read_sounds(folder, max_of_class=max_of_class):
        found = find_places(sound.y, sound.sample_rate, model)
        soft = find_places(sound.y * np.float32(10 ** (SOFT_DB / 20)), sound.sample_rate, model)
        if found is None or soft is None:
            continue
        for space, rows in places.items():
            rows.append((found[space], soft[space]))
        labels.append(sound.label)
    print(f"\n{len(labels)} sounds\n\n| space | precision@5 | {-SOFT_DB:.0f} dB down |\n|---|---|---|")
    for space, rows in places.items():
        values, soft_values = (np.array(each, float) for each in zip(*rows, strict=True))
        shares = [share_of_nearest(values, np.array(labels), asked=asked) for asked in (values, soft_values)]
        print(f"| {space.name} | {' | '.join(map(interval, shares))} |")


def compare_copies(path: Path, model: Path) -> None:
    with path.open("rb") as file, open_audio(file) as audio:
        rate, y = audio.header.sample_rate, np.concatenate(list(audio.blocks()), axis=1).T
    original = find_places(y, rate, model)
    for space in (WITH_MODEL, WITHOUT_MODEL):
        cells = []
        for copy_rate in COPY_RATES:
            copied = find_places(soxr.resample(y, rate, copy_rate), copy_rate, model)
            if original is None or copied is None:
                raise SystemExit(f"{path}: silence has no place")
            cells.append(f"{float(copied[space] @ original[space]):.3f} at {copy_rate} Hz")
        print(f"{path.name} ({rate} Hz), {space.name}: {', '.join(cells)}")


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
    given = parser.parse_args()
    if given.sounds is None and not given.copies:
        parser.error("name a folder of sounds, or files with --copies")
    model = given.model or models.find("yamnet")
    for path in given.copies or ():
        compare_copies(path, model)
    if given.sounds is not None:
        compare_rates(given.sounds, model, given.max_of_class)
        compare_levels(given.sounds, model, given.max_of_class)


if __name__ == "__main__":
    main()
