"""How loud a recording is changes neither its tags nor its place: that is the recorder's, not the sound's."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundscape.audio.analysis import analyze
from soundscape.audio.decode.audio_file import open_audio
from soundscape.audio.measurements import Embedding, Tag
from soundscape.audio.record import Record
from tests.audio import recordings
from tests.audio.signals import Samples
from tests.audio.tag_model import MODEL, needs_model

SAMPLE_RATE = 44_100
SECONDS = 4
GAINS_DB = [-20.0, -40.0]
# The network counts in 8 bits: where floats round otherwise, some of its numbers move by a step.
MAX_CONFIDENCE_CHANGE = 0.05
# Labels below are not searched, and the fifth may change places with the sixth.
MIN_CONFIDENCE = 0.35


def synthesise(name: str) -> Samples:
    """A sound at full level, float32, shape (n,).

    All but the bark lie over a noise at -100 dBFS: below a pure tone is nothing but the rounding of floats.
    """
    random = np.random.default_rng(3)
    t = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    noise = random.standard_normal(t.size)
    beat = np.exp(-12 * (t % 0.5))
    vibrato = t + 0.002 * np.sin(2 * np.pi * 5 * t)
    voice = sum(np.sin(2 * np.pi * 140 * n * vibrato) / n for n in range(1, 20))
    y = {
        "white noise": 0.1 * noise,
        "dark noise": np.cumsum(noise - noise.mean()) * 0.002,
        "noise that swells out of nothing": 0.2 * noise * (t / SECONDS) ** 4,
        "noise that fades to nothing": 0.2 * noise * (1 - t / SECONDS) ** 4,
        "steady tone": 0.3 * np.sin(2 * np.pi * 440 * t),
        "glide": 0.3 * np.sin(2 * np.pi * (200 * t + 300 * t**2)),
        "chord": 0.1 * sum(np.sin(2 * np.pi * f * t) for f in (220, 277.2, 329.6, 440)) * np.exp(-t),
        "beats over a faint noise": 0.5 * np.sin(2 * np.pi * 90 * t) * beat + 0.0005 * noise,
        "syllables with pauses": 0.1 * voice * (np.sin(2 * np.pi * 3 * t) > 0) * (t % 2 < 1.5),
        "clicks": (t % 0.25 < 0.002) * noise * 0.5,
        "a bark in silence": 0.4 * noise * ((t > 1) & (t < 1.3)),
    }[name]
    if name != "a bark in silence":
        y = y + 1e-5 * noise
    return np.asarray(y, dtype=np.float32)


SOUNDS = [
    "white noise",
    "dark noise",
    "noise that swells out of nothing",
    "noise that fades to nothing",
    "steady tone",
    "glide",
    "chord",
    "beats over a faint noise",
    "syllables with pauses",
    "clicks",
    "a bark in silence",
]
RECORDINGS = ["jazz_guitar.flac", "speech_a.ogg", "rain.ogg", "birds1.flac", "train.m4a", "loop_amen.flac"]


def record(y: Samples, sample_rate: int, gain_db: float, models_dir: Path | None) -> Record:
    """Analyse a sound at another level. It is written as floats, so that nothing is rounded away."""
    file = io.BytesIO()
    soundfile.write(file, y * np.float32(10 ** (gain_db / 20)), sample_rate, format="WAV", subtype="FLOAT")
    file.seek(0)
    return analyze(file, tags=models_dir is not None, models_dir=models_dir, draw=False)


@cache
def record_at_full_level(name: str, models_dir: Path | None) -> Record:
    return record(*read(name), 0.0, models_dir)


@cache
def read(name: str) -> tuple[Samples, int]:
    if name in SOUNDS:
        return synthesise(name), SAMPLE_RATE
    with open_audio(io.BytesIO(recordings.read(name))) as audio:
        y = np.concatenate([block.mean(axis=0) for block in audio.blocks()])
        return y[: 20 * audio.header.sample_rate].astype(np.float32), audio.header.sample_rate


def cosine(one: Embedding | None, other: Embedding | None) -> float:
    assert one is not None
    assert other is not None
    assert one.space == other.space
    return float(np.dot(one.values, other.values))


@pytest.mark.parametrize("gain_db", GAINS_DB)
@pytest.mark.parametrize("name", [*SOUNDS, *RECORDINGS])
def test_the_place_is_the_same_without_the_model(name: str, gain_db: float) -> None:
    full, soft = record_at_full_level(name, None), record(*read(name), gain_db, None)
    assert cosine(full.embedding, soft.embedding) > 0.99


@needs_model
@pytest.mark.parametrize("gain_db", GAINS_DB)
@pytest.mark.parametrize("name", [*SOUNDS, *RECORDINGS])
def test_tags_and_place_are_the_same_with_the_model(name: str, gain_db: float) -> None:
    full, soft = record_at_full_level(name, MODEL.parent), record(*read(name), gain_db, MODEL.parent)
    assert cosine(full.embedding, soft.embedding) > 0.99
    assert full.tags
    assert soft.tags
    before, after = find_surest(full.tags), find_surest(soft.tags)
    for label in before.keys() | after.keys():
        confidences = before.get(label, 0.0), after.get(label, 0.0)
        if max(confidences) >= MIN_CONFIDENCE:
            assert confidences[0] == pytest.approx(confidences[1], abs=MAX_CONFIDENCE_CHANGE), label
    if name != "a bark in silence":
        assert max(after, key=lambda label: after[label]) != "Silence"


@needs_model
def test_a_click_is_heard_as_long_as_it_is_above_the_noise_floor() -> None:
    """A window around it is below the floor, the click itself is not."""
    y = np.zeros(2 * SAMPLE_RATE, dtype=np.float32)
    y[SAMPLE_RATE:][:400] = np.random.default_rng(5).standard_normal(400) * 0.1
    full, soft = (record(y, SAMPLE_RATE, gain_db, MODEL.parent) for gain_db in (0.0, -45.0))
    assert cosine(full.embedding, soft.embedding) > 0.99


def find_surest(tags: tuple[Tag, ...]) -> dict[str, float]:
    """The confidence of each label's surest tag."""
    return {tag.label: tag.confidence for tag in sorted(tags, key=lambda tag: tag.confidence)}
