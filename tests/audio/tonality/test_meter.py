"""Tuning, pitch classes and key: on cadences whose key is known, on recordings, and the answer "no key"."""

from __future__ import annotations

from functools import cache

import librosa
import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from signals import recorded

from soundscape.audio.measurements import Tonality
from soundscape.audio.tonality.meter import (
    CONFIDENCE_THRESHOLD,
    PITCH_CLASSES,
    TonalityMeter,
    correlate_keys,
)

SR = 22_050

Signal = NDArray[np.float32]

# Partials by number: amplitude.
TIMBRES = {
    "saw": {h: 1 / h for h in range(1, 13)},
    "soft": {h: 1 / h**2 for h in range(1, 6)},
    "organ": {h: 0.7**h for h in (1, 2, 3, 4, 6, 8)},
}
TRIADS = {"major": (0, 4, 7), "minor": (0, 3, 7)}


def magnitude(y: NDArray[np.floating]) -> Signal:
    """The shared spectrum, shape (frames, 1025)."""
    S = np.abs(librosa.stft(np.asarray(y, np.float32), n_fft=2048, hop_length=512))
    return np.ascontiguousarray(S.T)


def tonality(y: NDArray[np.floating]) -> Tonality:
    profile = TonalityMeter(sample_rate=SR, n_fft=2048)
    profile.push(magnitude(y))
    return profile.result()


@cache
def note(midi: int, duration_s: float, detune_cents: float, timbre: str) -> NDArray[np.float64]:
    t = np.arange(int(duration_s * SR)) / SR
    f = 440 * 2 ** ((midi - 69) / 12 + detune_cents / 1200)
    y = sum(a * np.sin(2 * np.pi * f * h * t + h) for h, a in TIMBRES[timbre].items() if f * h < 10_000)
    return np.asarray(y) * np.clip(np.minimum(t / 0.01, (duration_s - t) / 0.03), 0, 1)


def cadence(tonic: int, mode: str, detune_cents: float = 0, timbre: str = "saw") -> NDArray[np.float64]:
    """I IV V I, or i iv V i, each 0.6 s with the root in the bass."""
    degrees = [(0, mode), (5, mode), (7, "major"), (0, mode)]
    chords = []
    for degree, triad in degrees:
        root = (tonic + degree) % 12
        pitches = [36 + root, *(60 + (root + i) % 12 for i in TRIADS[triad])]
        chords.append(sum(note(p, 0.6, detune_cents, timbre) for p in pitches))
    return 0.1 * np.concatenate(chords)


def noise(n: int, seed: int, pink: bool = False) -> NDArray[np.float64]:
    """Unit variance."""
    x = np.random.default_rng(seed).normal(size=n)
    if pink:
        X = np.fft.rfft(x)
        x = np.fft.irfft(X / np.sqrt(np.maximum(1, np.arange(X.size))), n)
    return x / x.std()


KEYS = [(tonic, mode) for mode in ("major", "minor") for tonic in range(12)]


def assert_key(found: Tonality, tonic: int, mode: str) -> None:
    assert (found.key, found.mode) == (PITCH_CLASSES[tonic], mode)
    assert found.confidence > 2 * CONFIDENCE_THRESHOLD


@pytest.mark.parametrize("timbre", TIMBRES)
@pytest.mark.parametrize(("tonic", "mode"), KEYS)
def test_cadences_in_all_keys(tonic: int, mode: str, timbre: str) -> None:
    found = tonality(cadence(tonic, mode, timbre=timbre))
    assert_key(found, tonic, mode)
    assert found.tuning_cents == pytest.approx(0, abs=5)


@pytest.mark.parametrize("detune_cents", [-40, -25, -10, 10, 25, 40])
@pytest.mark.parametrize(("tonic", "mode"), KEYS)
def test_detuned_cadences_in_all_keys(tonic: int, mode: str, detune_cents: float) -> None:
    found = tonality(cadence(tonic, mode, detune_cents))
    assert_key(found, tonic, mode)
    assert found.tuning_cents == pytest.approx(detune_cents, abs=5)


@pytest.mark.parametrize(("pink", "snr_db"), [(False, 6), (True, 3)])
@pytest.mark.parametrize(("tonic", "mode"), KEYS)
def test_cadences_under_noise(tonic: int, mode: str, pink: bool, snr_db: float) -> None:
    y = cadence(tonic, mode)
    y = y + noise(y.size, tonic, pink) * y.std() * 10 ** (-snr_db / 20)
    assert_key(tonality(y), tonic, mode)


def test_a_quiet_cadence_has_its_key() -> None:
    assert_key(tonality(cadence(4, "minor") * 0.005), 4, "minor")


def test_chroma_weighs_what_sounds() -> None:
    """A triad and its partials: the three classes lead."""
    found = tonality(sum(note(p, 2.0, 0, "soft") for p in (60, 64, 67)) * 0.1)
    chroma = np.array(found.chroma)
    assert chroma.max() == 1.0
    assert set(np.argsort(chroma)[-3:]) == {0, 4, 7}


@pytest.mark.parametrize(("tonic", "mode"), KEYS)
def test_a_profile_fits_its_own_key_best(tonic: int, mode: str) -> None:
    chroma = np.zeros(12)
    for degree in TRIADS[mode]:
        chroma[(tonic + degree) % 12] = 1.0
    assert int(np.argmax(correlate_keys(chroma))) == tonic + 12 * (mode == "minor")


def glide(seed: int, duration_s: float) -> NDArray[np.float64]:
    """Voices on random pitches, each moving by up to five semitones."""
    rng = np.random.default_rng(seed)
    y = np.zeros(int(duration_s * SR))
    for _ in range(int(6 * duration_s)):
        n = int(rng.uniform(0.1, 0.6) * SR)
        at = rng.integers(0, y.size - n)
        f = np.exp(rng.uniform(np.log(120), np.log(1500))) * (1 + rng.uniform(-0.3, 0.3) * np.arange(n) / n)
        phase = 2 * np.pi * np.cumsum(f) / SR
        y[at : at + n] += sum(np.sin(h * phase) / h for h in range(1, 8)) * np.hanning(n)
    return 0.1 * y


def random_tones(seed: int, duration_s: float) -> NDArray[np.float64]:
    """Steady tones that keep to no scale."""
    rng = np.random.default_rng(seed)
    y = np.zeros(int(duration_s * SR))
    for _ in range(int(6 * duration_s)):
        n = int(rng.uniform(0.1, 0.6) * SR)
        at = rng.integers(0, y.size - n)
        phase = 2 * np.pi * np.exp(rng.uniform(np.log(120), np.log(1500))) * np.arange(n) / SR
        y[at : at + n] += sum(np.sin(h * phase) / h for h in range(1, 8)) * np.hanning(n)
    return 0.1 * y


KEYLESS = {
    "silence": lambda: np.zeros(SR * 5),
    "white noise": lambda: 0.1 * noise(SR * 10, 1),
    "pink noise": lambda: 0.1 * noise(SR * 10, 2, pink=True),
    "one sine": lambda: 0.3 * np.sin(2 * np.pi * 440 * np.arange(SR * 5) / SR),
    "an impulse": lambda: np.eye(1, SR * 2, SR)[0],
    **{f"glides {i}": lambda i=i: glide(i, 15) for i in range(4)},
    **{f"random tones {i}": lambda i=i: random_tones(i, 15) for i in range(4)},
}


@pytest.mark.parametrize("name", KEYLESS)
def test_no_key_is_an_answer(name: str) -> None:
    found = tonality(KEYLESS[name]())
    assert (found.key, found.mode) == (None, None)
    assert found.confidence < CONFIDENCE_THRESHOLD


def test_where_no_tone_sounds_there_is_no_tuning() -> None:
    assert tonality(np.zeros(SR)) == Tonality(None, None, 0.0, (0.0,) * 12, None, (100.0, 3500.0))
    assert TonalityMeter().result() == Tonality(None, None, 0.0, (0.0,) * 12, None, (100.0, 3500.0))


def test_tones_that_keep_to_no_scale_have_no_tuning() -> None:
    found = tonality(random_tones(1, 15))
    assert found.tuning_cents is None
    assert any(found.chroma)


def test_one_sine_is_no_key_but_has_a_pitch() -> None:
    found = tonality(0.3 * np.sin(2 * np.pi * 446 * np.arange(SR * 3) / SR))
    assert found.key is None
    assert found.tuning_cents == pytest.approx(1200 * np.log2(446 / 440), abs=2)
    assert int(np.argmax(found.chroma)) == PITCH_CLASSES.index("A")


def recording(name: str) -> Tonality:
    y, sample_rate, _ = recorded(name)
    return tonality(soxr.resample(y.mean(axis=0), sample_rate, SR, "HQ"))


def test_the_trumpet_is_in_f() -> None:
    """Its notes are F, A flat, B flat, C and E flat, with little A: minor, though its name says only "F"."""
    assert recording("trumpet_F_90bpm.ogg").key == "F"


def test_the_bass_is_in_c() -> None:
    assert recording("bass_voxy_c.flac").key == "C"


def test_the_hungarian_dance_is_in_g_minor() -> None:
    """Brahms wrote it in F sharp minor for piano; orchestras play it in G minor, as this recording does."""
    found = recording("hungarian_dance_5.ogg")
    assert (found.key, found.mode) == ("G", "minor")
    assert found.tuning_cents == pytest.approx(0, abs=10)


def test_copies_and_excerpts_keep_the_key() -> None:
    names = [
        ("vibe_ace.ogg", "vibe_ace_128k.mp3"),
        ("lets_go_fishin.ogg", "lets_go_fishin_excerpt.m4a"),
    ]
    for original, copy in names:
        a, b = recording(original), recording(copy)
        assert a.key is not None
        assert (a.key, a.mode) == (b.key, b.mode)


@pytest.mark.parametrize(
    "name",
    [
        "rain.ogg",
        "speech_a.ogg",
        "speech_b_16k.ogg",
        "sine997.wav",
        "silence.flac",
        "applause.wav",
        "birds1.flac",
        "car_engine.mp3",
        "crowd_24bit.wav",
        "drum_cymbal_open.flac",
        "humpback.ogg",
        "loop_amen.flac",
        "loop_breakbeat.flac",
        "robin.ogg",
        "snoring.ogg",
        "thunder.opus",
        "train.m4a",
        "typing_22k.wav",
        "vinyl_hiss.flac",
    ],
)
def test_recordings_without_a_key(name: str) -> None:
    assert recording(name).key is None


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 104), max_size=10))
def test_the_division_into_batches_does_not_matter(cuts: list[int]) -> None:
    S = magnitude(cadence(2, "major", 15))
    whole, parts = TonalityMeter(), TonalityMeter()
    whole.push(S)
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), S.shape[0]], strict=True):
        parts.push(S[start:stop])
    assert parts.result() == whole.result()
