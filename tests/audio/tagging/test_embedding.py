"""Both spaces: frozen, of unit length, deaf to level, and near for what sounds alike."""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import asdict
from importlib import resources
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from soundscape.audio import descriptors, measurements
from soundscape.audio.analysis import analyze
from soundscape.audio.decode.audio_file import open_audio
from soundscape.audio.spectrum import MonoSignal, Spectrum
from soundscape.audio.tagging import embedding
from soundscape.audio.tagging.character import TOP_HZ, Character, CharacterMeter
from soundscape.audio.tagging.small_network import load_weights
from tests.audio import recordings
from tests.audio.tag_model import MODEL, needs_model

SUMMARY = {"mean": 2.0, "std": 1.0, "min": 0.5, "max": 4.0, "median": 1.5}
CHARACTER: dict[str, Any] = {
    **dict.fromkeys(("centroid_hz", "bandwidth_hz", "rolloff_hz", "flatness", "flux"), SUMMARY),
    "zero_crossing_rate": SUMMARY,
    "rms_dbfs": {"mean": -20.0, "std": 3.0, "min": -30.0, "max": -10.0, "median": -19.0},
    "mfcc": {"mean": [float(n) for n in range(20)], "std": [1.0] * 20},
    "contrast_db": [20.0] * 7,
    "active_share": 1.0,
}
RHYTHM = {"tempo_bpm": 120.0, "tempo_confidence": 0.9, "beats_s": [], "onset_rate_hz": 2.0}
LOUDNESS = {"integrated_lufs": -14.0, "true_peak_dbtp": -1.0, "range_lu": 6.0}


def describe(**changed: Any) -> embedding.Float32:
    parts = {"character": CHARACTER, "rhythm": RHYTHM, "loudness": LOUDNESS, **changed}
    return embedding.list_features(**parts)


def direct(**changed: Any) -> embedding.Float32:
    """The direction of the descriptors alone."""
    frozen = embedding.load_projection("descriptors_48")
    return frozen(np.tanh((describe(**changed) - frozen.location) / frozen.scale))


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("yamnet_80", "1bc16a4b31a72b4910f314d6d2ce67d3c6cd02a749e444a75e847794a1dfcada"),
        ("small_network_80", "fe046d6301a38fb1a403445ab4b81e85c082218c2cca212ed3348dbfa54713ef"),
        ("descriptors_48", "c3ab3c6ebd605ff44fb9fc3721b9ee8247d33950d5850c3d3a8e083756f5b81f"),
        ("small_network", "0f7eb21f1ed54b0caed3b0123d16e4f1294902fa3eeca5f68cae5786629d84b7"),
    ],
)
def test_what_places_are_made_with_is_frozen(name: str, digest: str) -> None:
    """Vectors lie in databases: other bytes need another version of the spaces that are made with them."""
    stored = resources.files("soundscape.audio").joinpath(f"data/{name}.npz")
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == digest
    assert (embedding.WITH_MODEL.name, embedding.WITHOUT_MODEL.name) == (
        "yamnet-128-v3",
        "descriptors-128-v4",
    )


@pytest.mark.parametrize("name", ["yamnet_80", "small_network_80", "descriptors_48"])
def test_no_axis_is_wasted(name: str) -> None:
    """No axis in use is a mixture of others, not even after rounding to half precision."""
    matrix = embedding.load_projection(name).matrix
    assert np.isfinite(matrix).all()
    assert np.linalg.matrix_rank(matrix) == matrix.shape[1]


@pytest.mark.parametrize(
    ("space", "size"), [(embedding.WITH_MODEL, 1024), (embedding.WITHOUT_MODEL, load_weights().size)]
)
def test_the_cosine_is_the_mean_of_both_parts(space: embedding.Space, size: int) -> None:
    random = np.random.default_rng(0)
    heard = np.abs(random.standard_normal((2, size))).astype(np.float32)
    described = [describe(), describe(rhythm=None, loudness=None)]
    found = [embedding.place(space, *parts) for parts in zip(heard, described, strict=True)]
    values = np.array([each.values for each in found if each is not None])
    assert values.shape == (2, embedding.SIZE)
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-6)

    frozen = embedding.load_projection(space.heard)
    directions = (np.sqrt(heard.astype(float)) - frozen.centre) @ frozen.matrix.astype(float)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    by_network = directions[0] @ directions[1]
    by_descriptors = direct() @ direct(rhythm=None, loudness=None)
    weight = space.weight**2
    expected = (by_network + weight * by_descriptors) / (1 + weight)
    assert values[0] @ values[1] == pytest.approx(expected, abs=1e-4)
    assert embedding.place(space, heard[0], described[0]) == found[0]


def test_nothing_heard_has_no_place() -> None:
    assert embedding.place(embedding.WITH_MODEL, np.zeros(1024, dtype=np.float32), describe()) is None


def test_digital_silence_has_no_place() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(22_050), 22_050, format="WAV")
    file.seek(0)
    assert analyze(file, tags=False, draw=False).embedding is None


def test_descriptors_give_a_direction() -> None:
    found = direct()
    assert found.shape == (embedding.DESCRIBED_SIZE,)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(found, direct())


@pytest.mark.parametrize(
    ("section", "value", "same_as"),
    [
        # what is missing, and the neutral value it stands for
        ("rhythm", None, {"rhythm": {"tempo_bpm": None, "tempo_confidence": 0.0, "onset_rate_hz": 0.0}}),
        ("rhythm", {**RHYTHM, "tempo_bpm": None}, {"rhythm": {**RHYTHM, "tempo_confidence": 0.0}}),
        ("loudness", None, {"loudness": {**LOUDNESS, "range_lu": 0.0, "true_peak_dbtp": -2.0}}),
        ("loudness", {**LOUDNESS, "range_lu": None}, {"loudness": {**LOUDNESS, "range_lu": 0.0}}),
    ],
)
def test_what_is_missing_is_neutral(section: str, value: Any, same_as: dict[str, Any]) -> None:
    np.testing.assert_array_equal(direct(**{section: value}), direct(**same_as))


@pytest.mark.parametrize(("tempo_bpm", "same"), [(60.0, True), (240.0, True), (85.0, False), (170.0, False)])
def test_tempo_is_the_same_an_octave_apart(tempo_bpm: float, same: bool) -> None:
    other = direct(rhythm={**RHYTHM, "tempo_bpm": tempo_bpm})
    assert np.allclose(other, direct(), atol=1e-5) is same


def test_every_name_is_one_of_the_record() -> None:
    """The keys read here are those the record is made of."""
    fields = {
        kind: set(kind.__dataclass_fields__)
        for kind in (
            Character,
            measurements.Rhythm,
            measurements.Loudness,
            descriptors.Summary,
        )
    }
    assert set(CHARACTER) <= fields[Character]
    assert set(RHYTHM) <= fields[measurements.Rhythm]
    assert set(LOUDNESS) <= fields[measurements.Loudness]
    assert set(SUMMARY) <= fields[descriptors.Summary]


number = st.floats(-1e4, 1e4)
positive = st.floats(0, 1e5)
summary = st.fixed_dictionaries(dict.fromkeys(SUMMARY, positive))


@given(
    character=st.fixed_dictionaries(
        {
            **dict.fromkeys(
                ("centroid_hz", "bandwidth_hz", "rolloff_hz", "flatness", "flux", "zero_crossing_rate"),
                summary,
            ),
            "rms_dbfs": st.fixed_dictionaries(dict.fromkeys(SUMMARY, number)),
            "mfcc": st.fixed_dictionaries(
                {
                    "mean": st.lists(number, min_size=20, max_size=20),
                    "std": st.lists(positive, min_size=20, max_size=20),
                }
            ),
            "contrast_db": st.lists(positive, min_size=1, max_size=7),
            "active_share": st.floats(0, 1),
        }
    ),
    tempo_bpm=st.none() | st.floats(20, 400),
    integrated_lufs=st.none() | number,
)
@settings(max_examples=100, deadline=None)
def test_any_record_has_a_place(
    character: dict[str, Any], tempo_bpm: float | None, integrated_lufs: float | None
) -> None:
    found = direct(
        character=character,
        rhythm={"tempo_bpm": tempo_bpm, "tempo_confidence": 0.5, "onset_rate_hz": 1.0},
        loudness={"integrated_lufs": integrated_lufs, "true_peak_dbtp": -1.0, "range_lu": None},
    )
    assert np.isfinite(found).all()
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


def test_missing_bands_of_contrast_are_like_the_highest() -> None:
    six = {**CHARACTER, "contrast_db": [20.0, 21.0, 22.0, 23.0, 24.0, 25.0]}
    seven = {**CHARACTER, "contrast_db": [*six["contrast_db"], 25.0]}
    np.testing.assert_array_equal(direct(character=six), direct(character=seven))


def test_a_file_at_8_khz_has_a_place() -> None:
    file, noise = io.BytesIO(), np.random.default_rng(12).standard_normal(16_000) * 0.1
    soundfile.write(file, noise, 8_000, format="WAV", subtype="FLOAT")
    file.seek(0)
    record = analyze(file, tags=False, draw=False)
    assert record.spectral is not None
    assert record.spectral.contrast_db is not None
    assert len(record.spectral.contrast_db) == 6
    assert record.embedding is not None
    assert record.embedding.space == embedding.WITHOUT_MODEL.name
    assert np.linalg.norm(record.embedding.values) == pytest.approx(1, abs=1e-6)


def character_of(y: np.ndarray[Any, np.dtype[np.float32]]) -> dict[str, Any]:
    meter, spectrum = CharacterMeter(top_hz=TOP_HZ), Spectrum()
    for frames in [*spectrum.push(y), *spectrum.finish()]:
        meter.push(frames)
    found = meter.result()
    assert found is not None
    return asdict(found)


# Long enough to be cut in two, and the same sound in both halves.
STEADY = [
    "applause.wav",
    "arcade_music_f32.wav",
    "birds1.flac",
    "car_engine.mp3",
    "jazz_guitar.flac",
    "lets_go_fishin_excerpt.m4a",
    "rain.ogg",
    "snoring.ogg",
    "speech_a.ogg",
    "speech_b_16k.ogg",
    "typing_22k.wav",
    "vibe_ace.ogg",
]


def halves(name: str, rate: int) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    with open_audio(io.BytesIO(recordings.read(name))) as audio:
        mono = MonoSignal(
            sample_rate=audio.header.sample_rate, channels=audio.header.channels, target_rate=rate
        )
        y = np.concatenate([*[mono.push(block) for block in audio.blocks()], mono.finish()])[: 24 * rate]
    return [y[: y.size // 2], y[y.size // 2 :]]


def found_again(first: list[Any], second: list[Any]) -> float:
    """Share of the recordings whose two halves are nearest to one another."""
    a, b = np.array(first), np.array(second)
    nearness = a @ b.T
    here = np.arange(len(a))
    return float(np.mean((nearness.argmax(axis=0) == here) & (nearness.argmax(axis=1) == here)))


def halves_by(**options: Any) -> list[list[Any]]:
    sides: list[list[Any]] = [[], []]
    for name in STEADY:
        for side, y in zip(sides, halves(name, 22_050), strict=True):
            file = io.BytesIO()
            soundfile.write(file, y, 22_050, format="WAV", subtype="FLOAT")
            file.seek(0)
            found = analyze(file, draw=False, **options).embedding
            assert found is not None
            side.append(found.values)
    return sides


@needs_model
def test_halves_of_a_recording_find_each_other_with_the_model() -> None:
    assert found_again(*halves_by(models_dir=MODEL.parent)) >= 0.9


def test_halves_of_a_recording_find_each_other_without_the_model() -> None:
    assert found_again(*halves_by(tags=False)) >= 0.9


def test_likeness_is_graded() -> None:
    """White noise lies nearer to a darker noise than to a tone."""
    random, t = np.random.default_rng(1), np.arange(22_050 * 3) / 22_050
    white = random.standard_normal(t.size)
    darker = np.convolve(random.standard_normal(t.size), np.ones(4) / 4, mode="same")
    tone = np.sin(2 * math.pi * 440 * t)
    noise, dark, sine = (
        direct(character=character_of((y * 0.1).astype(np.float32)), rhythm=None)
        for y in (white, darker, tone)
    )
    assert noise @ dark > noise @ sine + 0.3
