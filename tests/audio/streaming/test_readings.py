"""Readings of the moment agree with known signals, and with the meters of whole recordings."""

from __future__ import annotations

import tracemalloc
from typing import Any

import librosa
import numpy as np
import pytest

from soundscape.audio.decode.reader import Header
from soundscape.audio.fingerprint import MemoryIndex, find_matches
from soundscape.audio.loudness.meter import LoudnessMeter
from soundscape.audio.rhythm.meter import RhythmMeter
from soundscape.audio.rhythm.onsets import OnsetEnvelope, find_onsets
from soundscape.audio.spectrum import FRAME_RATE_HZ, MonoSignal, Spectrum
from soundscape.audio.streaming.pitch import WINDOW_SAMPLES, find_pitch
from soundscape.audio.streaming.readings import FEATURES, Readings, band_centres_hz
from soundscape.audio.streaming.rhythm import RecentRhythm

RATE = 48_000
HEADER = Header("wav", "pcm_f32", RATE, 2, ("FL", "FR"), 32, None)


def read(sound: np.ndarray[Any, Any], *features: str, step: int = 2400) -> list[dict[str, Any]]:
    """The readings of a mono signal on two channels, pushed in steps."""
    readings = Readings(HEADER, features or FEATURES)
    block = np.stack([sound, sound]).astype(np.float32)
    found = []
    for start in range(0, block.shape[1], step):
        found += readings.push(np.ascontiguousarray(block[:, start : start + step]))
    return found


def of_kind(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [reading for reading in found if reading["type"] == kind]


def sine(hz: float, seconds: float, level: float = 0.5) -> np.ndarray[Any, Any]:
    return level * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)


def clicks(bpm: float, seconds: float) -> np.ndarray[Any, Any]:
    random = np.random.default_rng(5)
    sound = np.zeros(int(seconds * RATE))
    for beat in np.arange(0.25, seconds - 0.1, 60 / bpm):
        at = int(beat * RATE)
        sound[at : at + 960] += 0.5 * random.standard_normal(960) * np.exp(-np.arange(960) / 200)
    return sound


@pytest.mark.parametrize("step", [480, 2400, 9600])
def test_levels_are_those_of_the_loudness_meter(step: int) -> None:
    sound = sine(997, 4.0)
    meter = LoudnessMeter(sample_rate=RATE, channels=2, layout="stereo")
    meter.push(np.stack([sound, sound]).astype(np.float32))
    last = of_kind(read(sound, "levels", step=step), "levels")[-1]
    assert last["momentary_lufs"] == pytest.approx(meter.momentary_lufs()[-1], abs=0.02)
    assert last["short_term_lufs"] == pytest.approx(meter.short_term_lufs()[-1], abs=0.02)
    assert last["audio_time_s"] == 4.0
    assert last["true_peak_dbtp"] == pytest.approx(20 * np.log10(0.5), abs=0.1)


def test_levels_of_silence_and_of_a_short_beginning_are_null() -> None:
    first = of_kind(read(sine(997, 0.3), "levels"), "levels")[-1]
    assert first["momentary_lufs"] is None
    silence = of_kind(read(np.zeros(RATE), "levels"), "levels")[-1]
    assert silence["momentary_lufs"] is None
    assert silence["true_peak_dbtp"] is None


@pytest.mark.parametrize("band", [8, 30, 64, 110])
def test_a_sine_of_full_scale_reads_0_db_in_its_band(band: int) -> None:
    last = of_kind(read(sine(band_centres_hz()[band], 1.0, level=1.0), "spectrum"), "spectrum")[-1]
    assert last["bands_db"][band] == pytest.approx(0, abs=1)
    assert int(np.argmax(last["bands_db"])) == pytest.approx(band, abs=1)
    # The latest frame ends within a hop of the latest sample.
    assert 1.0 - 0.0233 - 0.002 < last["audio_time_s"] <= 1.0


@pytest.mark.parametrize("hz", [82.4, 196.0, 440.0, 987.8, 1760.0])
def test_pitch_is_that_of_librosa(hz: float) -> None:
    t = np.arange(4096) / 22_050
    tone = sum(np.sin(2 * np.pi * hz * n * t) / n for n in range(1, 5)) * 0.2
    found = find_pitch(tone.astype(np.float32))
    oracle = librosa.yin(
        tone, fmin=50, fmax=2000, sr=22_050, frame_length=2048, center=False, trough_threshold=0.15
    )
    assert found.frequency_hz == pytest.approx(hz, rel=0.005)
    assert found.frequency_hz == pytest.approx(float(oracle[-1]), rel=0.005)
    assert found.confidence > 0.9


def test_noise_and_silence_have_no_pitch() -> None:
    noise = np.random.default_rng(0).standard_normal(WINDOW_SAMPLES).astype(np.float32) * 0.1
    assert find_pitch(noise).frequency_hz is None
    assert find_pitch(np.zeros(WINDOW_SAMPLES, dtype=np.float32)).frequency_hz is None


def test_onsets_are_those_of_the_whole_recording_and_told_once() -> None:
    sound = clicks(100, 12)
    told = [reading["time_s"] for reading in of_kind(read(sound, "onset"), "onset")]
    signal, spectrum, envelope = MonoSignal(sample_rate=RATE, channels=2), Spectrum(), OnsetEnvelope()
    for frames in spectrum.push(signal.push(np.stack([sound, sound]).astype(np.float32))):
        envelope.push(frames.log_mel_db)
    whole = find_onsets(envelope.result(), frame_rate_hz=FRAME_RATE_HZ) / FRAME_RATE_HZ
    # Those of the last third of a second are not certain yet.
    assert told == [pytest.approx(time_s, abs=0.03) for time_s in whole if time_s < told[-1] + 0.1]
    assert len(told) >= 18


def test_tempo_and_beats_of_a_steady_pulse() -> None:
    found = read(clicks(100, 14), "tempo", "beat")
    assert of_kind(found, "tempo")[-1]["tempo_bpm"] == pytest.approx(100, abs=1)
    beats = [reading["time_s"] for reading in of_kind(found, "beat")]
    assert np.diff(beats[-8:]) == pytest.approx(0.6, abs=0.06)
    assert [((beat - 0.25) / 0.6) % 1 for beat in beats[-8:]] == [
        pytest.approx(place, abs=0.12)
        for place in [0.0 if (b - 0.25) / 0.6 % 1 < 0.5 else 1.0 for b in beats[-8:]]
    ]


def test_onsets_and_beats_are_placed_between_the_frames_as_for_a_recording() -> None:
    sound = clicks(100, 20)
    true_s = np.arange(0.25, 19.9, 0.6)
    found = read(sound, "onset", "beat", "tempo")
    onsets = np.array([reading["time_s"] for reading in of_kind(found, "onset")])
    late_s = np.array([onset - true_s[np.abs(true_s - onset).argmin()] for onset in onsets])
    assert len(onsets) >= 30
    assert np.abs(np.median(late_s)) < 0.006
    assert np.abs(late_s).max() < 0.02
    meter, signal, spectrum = (
        RhythmMeter(frame_rate_hz=FRAME_RATE_HZ),
        MonoSignal(sample_rate=RATE, channels=2),
        Spectrum(),
    )
    for frames in spectrum.push(signal.push(np.stack([sound, sound]).astype(np.float32))):
        meter.push(frames.log_mel_db)
    whole_s = np.array(meter.result(duration_s=20.0).beats_s)
    beats = np.array([reading["time_s"] for reading in of_kind(found, "beat")])
    apart_s = np.array([beat - whole_s[np.abs(whole_s - beat).argmin()] for beat in beats])
    # The first ones come before the tempo has settled.
    assert np.abs(apart_s[-20:]).max() < 0.005


def test_the_key_follows_the_latest_sound() -> None:
    def cadence(root_hz: float, seconds: float) -> np.ndarray[Any, Any]:
        t = np.arange(int(seconds * RATE)) / RATE
        sound = np.zeros_like(t)
        for place, steps in enumerate(((0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7))):
            chord = sum(np.sin(2 * np.pi * root_hz * 2 ** (step / 12) * t) for step in steps)
            sound += chord * ((t % 4).astype(int) == place) * 0.1
        return sound

    found = of_kind(read(np.concatenate([cadence(261.63, 20), cadence(369.99, 36)]), "key"), "key")
    early = [reading for reading in found if 10 < reading["audio_time_s"] < 20]
    assert {(reading["key"], reading["mode"]) for reading in early} == {("C", "major")}
    assert (found[-1]["key"], found[-1]["mode"]) == ("F#", "major")


def test_the_fingerprint_of_the_latest_seconds_finds_the_recording() -> None:
    random = np.random.default_rng(7)
    t = np.arange(30 * RATE) / RATE
    notes = random.choice([220, 247, 262, 294, 330, 392, 440, 523, 587, 659], 120)
    sound = 0.3 * np.sin(2 * np.pi * np.repeat(notes, RATE // 4) * t) + 0.01 * random.standard_normal(len(t))
    whole, later = Readings(HEADER, ["match"]), Readings(HEADER, ["match"])
    whole.push(np.stack([sound[: 10 * RATE]] * 2).astype(np.float32))
    later.push(np.stack([sound[: 12 * RATE]] * 2).astype(np.float32))
    index = MemoryIndex()
    index.add("first", whole.fingerprint())
    matches = find_matches(later.fingerprint(), index).matches
    assert [match.recording_id for match in matches] == ["first"]
    assert matches[0].offset_s == pytest.approx(2.0, abs=0.1)


def test_only_what_was_asked_for_is_measured() -> None:
    assert {reading["type"] for reading in read(clicks(120, 4), "levels", "onset")} == {"levels", "onset"}


def test_the_rhythm_of_hours_takes_no_more_memory_than_that_of_seconds() -> None:
    rhythm = RecentRhythm()
    frames = np.random.default_rng(1).uniform(-80, 0, (4, 128)).astype(np.float32)

    def push(count: int) -> int:
        for _ in range(count):
            rhythm.push(frames)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        after_seconds = push(1_000)
        # Kept, each of them would have taken more than 100 bytes.
        assert push(10_000) - after_seconds < 100_000
    finally:
        tracemalloc.stop()
