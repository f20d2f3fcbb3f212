"""Fit `soundscape/audio/data/small_network.npz`: YAMNet teaches a small network on the shared mel bands.

    pip install jax optax
    python benchmarks/fit_network.py ../shared/training [--cache FILE.npz] [--write]

For each patch the network learns the direction that YAMNet's embedding of the same second and a half has
among all others (after a projection as in `fit_projection.py`), and YAMNet's scores of the 521 classes.
Patches are coloured at random, put into noise and partly covered, so that the sound and not the recording is
learnt. Sources count by a power of their size, so that the largest do not decide alone. The
sounds that `fit_projection.py` judges by are left out.
"""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax
from fit_projection import pca, weigh_sources
from training_sounds import Sound, choose_labelled, read_sounds

from soundscape.audio.spectrum import HOP_LENGTH, SAMPLE_RATE, Resampler, Spectrum
from soundscape.audio.tagging import models, yamnet
from soundscape.audio.tagging.embedding import HEARD_SIZE
from soundscape.audio.tagging.small_network import (
    BANDS,
    MIN_DB,
    PATCH_FRAMES,
    SILENCE_DB,
    pair_bands,
    scale,
)
from soundscape.audio.tagging.tagger import LEVEL_DBFS, NOISE_FLOOR_DBFS

Float32 = npt.NDArray[np.float32]
Weights = dict[str, Any]

PATH = Path(__file__).resolve().parents[1] / "soundscape/audio/data/small_network.npz"
CHANNELS, HIDDEN = (1, 16, 32, 64, 96), 192
EPOCHS, BATCHES, BATCH = 32, 200, 128
WARM_UP_STEPS, TOP_RATE, LAST_RATE, DECAY = 300, 2e-3, 1e-5, 1e-4
DROPPED = 0.1
SCORES_WEIGHT = 0.05
SOURCE_POWER = 0.6
COVERED = 0.3


@dataclass(frozen=True)
class Lessons:
    """Band levels of all sounds in a row, (frames, 56) in dB; of each patch where it begins and how long it
    is; YAMNet's mean embedding and scores, (n, 1024) and (n, 521); its source; whether it is left out of the
    fit.
    """

    levels: npt.NDArray[np.float16]
    begins: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    heard: npt.NDArray[np.float16]
    scores: npt.NDArray[np.float16]
    source: npt.NDArray[np.str_]
    held: npt.NDArray[np.bool_]


def gather(folder: Path, model: Path) -> Lessons:
    held = choose_labelled(folder)
    network = yamnet.load_shared(model)
    levels: list[Float32] = []
    rows: list[tuple[int, int, Float32, Float32, str, bool]] = []
    first_frame = 0
    for sound in read_sounds(folder):
        heard = _hear(sound, network)
        if heard is None:
            continue
        embeddings, scores = heard
        bands = _list_levels(sound)
        for window in range(max(1, len(embeddings) - 1)):
            begin = round(window * yamnet.HOP_S * SAMPLE_RATE / HOP_LENGTH)
            if window and begin + PATCH_FRAMES > len(bands):
                break
            mean = embeddings[window : window + 2].mean(axis=0)
            if mean.any():
                rows.append(
                    (
                        first_frame + begin,
                        min(PATCH_FRAMES, len(bands) - begin),
                        mean,
                        scores[window : window + 2].mean(axis=0),
                        sound.source,
                        sound.recording in held,
                    )
                )
        levels.append(bands)
        first_frame += len(bands)
    begins, lengths, heard_means, score_means, source, is_held = zip(*rows, strict=True)
    return Lessons(
        np.concatenate(levels).astype(np.float16),
        np.array(begins),
        np.array(lengths),
        np.array(heard_means, np.float16),
        np.array(score_means, np.float16),
        np.array(source),
        np.array(is_held),
    )


def find_places(lessons: Lessons) -> Float32:
    """The directions that the network learns, (n, 80), of unit length."""
    heard = np.sqrt(lessons.heard.astype(np.float32))
    weight = weigh_sources(lessons.source) * ~lessons.held
    centre, matrix = pca(heard, weight / weight.sum(), size=HEARD_SIZE)
    places = (heard - centre) @ matrix
    return (places / np.linalg.norm(places, axis=1, keepdims=True)).astype(np.float32)


def _list_levels(sound: Sound) -> Float32:
    resampler, spectrum = Resampler(sample_rate=sound.sample_rate), Spectrum()
    y = np.concatenate([resampler.push(sound.y), resampler.finish()])
    frames = [*spectrum.push(y), *spectrum.finish()]
    return pair_bands(np.concatenate([each.log_mel_db for each in frames]))


def _hear(sound: Sound, network: yamnet.Yamnet) -> tuple[Float32, Float32] | None:
    """YAMNet's embeddings and scores of every window, at the tagger's level; None for silence."""
    resampler = Resampler(sample_rate=sound.sample_rate, target_rate=yamnet.SAMPLE_RATE)
    y = np.concatenate([resampler.push(sound.y), resampler.finish()])
    count = 1 + max(0, -(-(len(y) - yamnet.WINDOW_SAMPLES) // yamnet.HOP_SAMPLES))
    y = np.pad(y, (0, max(0, yamnet.WINDOW_SAMPLES + (count - 1) * yamnet.HOP_SAMPLES - len(y))))
    windows = np.lib.stride_tricks.sliding_window_view(y, yamnet.WINDOW_SAMPLES)[:: yamnet.HOP_SAMPLES]
    loudest_rms = float(np.sqrt(np.mean(np.square(windows), axis=1)).max())
    if loudest_rms < 10 ** (NOISE_FLOOR_DBFS / 20):
        return None
    scores, embeddings = network.predict(y * np.float32(max(1.0, 10 ** (LEVEL_DBFS / 20) / loudest_rms)))
    return embeddings, scores


def make_weights(random: np.random.Generator) -> Weights:
    def layer(*shape: int, gain: float = 2.0) -> tuple[Float32, Float32]:
        spread = np.sqrt(gain / np.prod(shape[:-1]))
        return random.normal(0, spread, shape).astype(np.float32), np.zeros(shape[-1], np.float32)

    # The bands are halved as often as there are convolutions; the mean and the maximum are both kept.
    flat = 2 * -(-BANDS // 2 ** (len(CHANNELS) - 1)) * CHANNELS[-1]
    return {
        "convolutions": [layer(3, 3, *pair) for pair in itertools.pairwise(CHANNELS)],
        "hidden": layer(flat, HIDDEN),
        "places": layer(HIDDEN, HEARD_SIZE, gain=1.0),
        "scores": layer(HIDDEN, yamnet.CLASSES, gain=0.1),
    }


def hear(weights: Weights, patches: Any) -> Any:
    """The hidden layer, as `small_network.run` has it."""
    x = patches[..., jnp.newaxis]
    for kernel, bias in weights["convolutions"]:
        x = jax.lax.conv_general_dilated(
            x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.relu(x + bias)
    pooled = jnp.concatenate([x.mean(axis=1), x.max(axis=1)], axis=-1).reshape(len(patches), -1)
    return jax.nn.relu(pooled @ weights["hidden"][0] + weights["hidden"][1])


def find_loss(weights: Weights, patches: Any, places: Any, scores: Any, kept: Any) -> tuple[Any, Any]:
    hidden = hear(weights, patches) * kept
    guessed = hidden @ weights["places"][0] + weights["places"][1]
    lengths = jnp.linalg.norm(guessed, axis=-1) * jnp.linalg.norm(places, axis=-1)
    distance = (1 - (guessed * places).sum(axis=-1) / jnp.maximum(lengths, 1e-6)).mean()
    odds = hidden @ weights["scores"][0] + weights["scores"][1]
    surprise = optax.sigmoid_binary_cross_entropy(odds, scores).sum(axis=-1).mean()
    return distance + SCORES_WEIGHT * surprise, (distance, surprise)


def cut(lessons: Lessons, chosen: npt.NDArray[np.int64]) -> Float32:
    """The levels of these patches, (n, 64, 56) in dB. Silence follows short sounds."""
    patches = np.full((len(chosen), PATCH_FRAMES, BANDS), SILENCE_DB, np.float32)
    for row, patch in enumerate(chosen):
        begin, length = lessons.begins[patch], lessons.lengths[patch]
        patches[row, :length] = lessons.levels[begin : begin + length]
    return patches


def add_db(a_db: Float32, b_db: Float32) -> Float32:
    return (10 * np.log10(10 ** (a_db / 10) + 10 ** (b_db / 10))).astype(np.float32)


def disturb(patches: Float32, random: np.random.Generator) -> Float32:
    """Another microphone, another room: a smooth colour, a floor of noise, a band that is missing."""
    n, at = len(patches), np.linspace(-1, 1, BANDS)
    tilt, wave, ripple = random.normal(0, [5, 3, 2], (n, 3)).T[:, :, np.newaxis]
    phase = random.uniform(0, 2 * np.pi, (n, 1))
    colour_db = tilt * at + wave * np.sin(2 * at + phase) + ripple * np.sin(5 * at + phase)
    patches = patches + colour_db[:, np.newaxis].astype(np.float32)
    loudest_db = patches.max(axis=(1, 2), keepdims=True)
    floor_db = loudest_db - random.uniform(25, 80, (n, 1, 1)) + random.normal(0, 4, (n, 1, 1)) * at
    patches = add_db(patches, floor_db + random.normal(0, 1.5, patches.shape))
    for row in np.flatnonzero(random.random(n) < COVERED):
        low = random.integers(0, BANDS - 6)
        patches[row, :, low : low + random.integers(1, 7)] = loudest_db[row] - 60
    return patches


def train(lessons: Lessons) -> Weights:
    random = np.random.default_rng(0)
    taught, held = np.flatnonzero(~lessons.held), np.flatnonzero(lessons.held)
    _, inverse, counts = np.unique(lessons.source[taught], return_inverse=True, return_counts=True)
    chance = counts[inverse] ** (SOURCE_POWER - 1)
    chance /= chance.sum()
    all_places = find_places(lessons)
    weights: Weights = make_weights(np.random.default_rng(1))
    rates = optax.warmup_cosine_decay_schedule(0, TOP_RATE, WARM_UP_STEPS, EPOCHS * BATCHES, LAST_RATE)
    optimizer = optax.adamw(rates, weight_decay=DECAY)
    state = optimizer.init(weights)

    @jax.jit
    def step(weights: Weights, state: Any, *lesson: Any) -> tuple[Weights, Any, Any]:
        (_, losses), gradient = jax.value_and_grad(find_loss, has_aux=True)(weights, *lesson)
        change, state = optimizer.update(gradient, state, weights)
        return optax.apply_updates(weights, change), state, losses

    started = time.monotonic()
    for epoch in range(EPOCHS):
        losses = []
        for chosen in random.choice(taught, (BATCHES, BATCH), p=chance):
            patches = disturb(cut(lessons, chosen), random)
            places = all_places[chosen]
            scores = lessons.scores[chosen].astype(np.float32)
            kept = (random.random((BATCH, HIDDEN)) >= DROPPED) / (1 - DROPPED)
            lesson = scale(patches)[0], places, scores.astype(np.float32), kept.astype(np.float32)
            weights, state, told = step(weights, state, *lesson)
            losses.append(told)
        if epoch % 4 == 3:
            distance, surprise = np.mean(np.array(losses), axis=0)
            tried = find_loss(
                weights, scale(cut(lessons, held))[0], all_places[held], lessons.scores[held], 1.0
            )[1]
            print(
                f"epoch {epoch + 1}: distance {distance:.3f}, left out {tried[0]:.3f}; "
                f"surprise {surprise:.2f}, left out {tried[1]:.2f}; {time.monotonic() - started:.0f} s",
                flush=True,
            )
    return weights


def write(weights: Weights) -> None:
    arrays = {"hidden": weights["hidden"][0], "hidden_bias": weights["hidden"][1]}
    for number, (kernel, bias) in enumerate(weights["convolutions"]):
        arrays |= {f"kernel_{number}": kernel, f"bias_{number}": bias}
    np.savez_compressed(PATH, **{name: np.asarray(array, np.float16) for name, array in arrays.items()})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sounds", type=Path, help="the folder of training_sounds")
    parser.add_argument("--model", type=Path, help="yamnet.tflite (default: the pulled one)")
    parser.add_argument("--cache", type=Path, help="what YAMNet hears, kept between runs")
    parser.add_argument(
        "--write", action="store_true", help="replace the weights under soundscape/audio/data"
    )
    given = parser.parse_args()
    if given.cache and given.cache.exists():
        with np.load(given.cache) as stored:
            lessons = Lessons(**stored)
    else:
        lessons = gather(given.sounds, given.model or models.find("yamnet"))
        if given.cache:
            np.savez(given.cache, **asdict(lessons))
    print(f"{len(lessons.begins)} patches, {lessons.held.sum()} of them left out; bands down to {MIN_DB} dB")
    weights = train(lessons)
    if given.write:
        write(weights)


if __name__ == "__main__":
    main()
