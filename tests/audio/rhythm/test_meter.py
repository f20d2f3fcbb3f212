"""Tempo, beats and onsets: on made rhythms whose truth is known, on recordings, and against librosa."""

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

from soundscape.audio.measurements import Rhythm
from soundscape.audio.rhythm.beats import find_beats
from soundscape.audio.rhythm.meter import measure_rhythm, refine
from soundscape.audio.rhythm.onsets import OnsetEnvelope, add_regions, find_onsets
from soundscape.audio.rhythm.tempo import estimate_tempo
from soundscape.audio.rhythm.tempo_candidates import BLOCK_FRAMES, autocorrelate, find_candidates
from soundscape.audio.rhythm.tempo_features import CLIP_FEATURES, FEATURES
from soundscape.audio.rhythm.tempo_model import calibrate, load, weigh

SR, HOP = 22_050, 512
FRAME_RATE_HZ = SR / HOP
DURATION_S = 14.0

Signal = NDArray[np.float32]
Event = tuple[float, NDArray[np.float64], float]  # when in seconds, what, how loud


@cache
def mel_filters() -> Signal:
    return librosa.filters.mel(sr=SR, n_fft=2048)


def log_mel(y: Signal) -> Signal:
    """The shared mel spectrum in dB, shape (frames, 128)."""
    power = np.abs(librosa.stft(y, n_fft=2048, hop_length=HOP)) ** 2
    S = mel_filters() @ power
    return np.ascontiguousarray(10 * np.log10(np.maximum(S, 1e-10)).T, dtype=np.float32)


def regions(y: Signal) -> Signal:
    """Onset strength by region, shape (frames, 4)."""
    it = OnsetEnvelope()
    it.push(log_mel(y))
    return it.by_region()


def envelope(y: Signal) -> Signal:
    return add_regions(regions(y))


def click(frequency_hz: float = 1000.0) -> NDArray[np.float64]:
    t = np.arange(int(0.05 * SR)) / SR
    return np.sin(2 * np.pi * frequency_hz * t) * np.exp(-t / 0.01)


def burst(rng: np.random.Generator, decay_s: float = 0.02) -> NDArray[np.float64]:
    t = np.arange(int(0.1 * SR)) / SR
    return 0.5 * rng.normal(size=t.size) * np.exp(-t / decay_s)


def kick() -> NDArray[np.float64]:
    t = np.arange(int(0.15 * SR)) / SR
    return np.sin(2 * np.pi * (50 * t + 1.8 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / 0.05)


def chord(rng: np.random.Generator, length_s: float) -> NDArray[np.float64]:
    t = np.arange(int(length_s * SR)) / SR
    f0 = 220 * 2 ** (rng.integers(12) / 12)
    tone = sum(np.sin(2 * np.pi * f0 * m * t) / m for m in range(1, 7))
    return 0.3 * tone * np.exp(-t / 0.5) * np.minimum(1, t / 0.01)


def mix(
    events: list[Event], duration_s: float, rng: np.random.Generator, snr_db: float | None = None
) -> Signal:
    y = np.zeros(int(duration_s * SR) + 2 * SR)
    for at, sound, gain in events:
        start = round(at * SR)
        y[start : start + sound.size] += gain * sound
    y = y[: int(duration_s * SR)]
    if snr_db is not None:
        y = y + rng.normal(size=y.size) * np.sqrt(np.mean(y**2)) * 10 ** (-snr_db / 20)
    return y.astype(np.float32)


def track(kind: str, bpm: float, snr_db: float | None = None) -> Signal:
    """A rhythm of that tempo which begins anywhere in the first beat."""
    rng = np.random.default_rng(round(bpm * 7))
    beat_s = 60 / bpm
    at = np.arange(rng.uniform(0.05, 0.05 + beat_s), DURATION_S, beat_s)
    events: list[Event] = [(t, click(), 1.0) for t in at]
    match kind:
        case "click":
            pass
        case "accented":  # every fourth higher and twice as loud
            events = [(t, click(1000 if i % 4 else 1500), 0.5 if i % 4 else 1.0) for i, t in enumerate(at)]
        case "unsteady":  # 10 ms standard deviation
            events = [(max(0.0, t + rng.normal() * 0.01), click(), 1.0) for t in at]
        case "swing 2:1":
            events += [(t + beat_s * 2 / 3, click(), 0.5) for t in at]
        case "swing 3:2":
            events += [(t + beat_s * 3 / 5, click(), 0.5) for t in at]
        case "chords":
            events = [(t, chord(rng, beat_s * 0.95), 1.0) for t in at]
        case "drums":  # kick and snare in turn, hats on every half beat
            events = [(t, burst(rng) if i % 2 else kick(), 1.0) for i, t in enumerate(at)]
            events += [(t + s * beat_s, np.diff(burst(rng, 0.01)), 0.3) for t in at for s in (0, 0.5)]
    return mix(events, DURATION_S, rng, snr_db)


def verdict(found_bpm: float | None, true_bpm: float) -> str:
    if found_bpm is None:
        return "none"
    for name, factor in (("right", 1.0), ("double", 2.0), ("half", 0.5)):
        if abs(found_bpm / true_bpm / factor - 1) <= 0.04:
            return name
    return "wrong"


@pytest.mark.parametrize("snr_db", [None, 6.0])
@pytest.mark.parametrize(
    "kind", ["click", "accented", "unsteady", "swing 2:1", "swing 3:2", "chords", "drums"]
)
def test_tempo_is_right_within_4_percent(kind: str, snr_db: float | None) -> None:
    """Exactly so from 95 to 150 BPM. Outside nobody can tell a plain pulse from every other beat of one."""
    verdicts = {
        bpm: verdict(
            measure_rhythm(regions(track(kind, bpm, snr_db)), frame_rate_hz=FRAME_RATE_HZ).tempo_bpm, bpm
        )
        for bpm in (50, 65, 80, 95, 110, 125, 140, 150, 170, 185, 200)
    }
    assert {bpm: verdicts[bpm] for bpm in (110, 125, 140)} == dict.fromkeys((110, 125, 140), "right")
    assert set(verdicts.values()) <= {"right", "double", "half"}, verdicts
    assert list(verdicts.values()).count("right") >= 6, verdicts


def drum_track(bpm: float, kicks: str, snare: str, hat: str) -> Signal:
    """Sixteen bars of 16 steps each."""
    rng, step_s = np.random.default_rng(7), 15 / bpm
    events: list[Event] = []
    for bar in range(16):
        for line, sound, gain in (
            (kicks, kick(), 1.0),
            (snare, burst(rng), 0.8),
            (hat, np.diff(burst(rng, 0.01)), 0.3),
        ):
            events += [((16 * bar + i) * step_s, sound, gain) for i, hit in enumerate(line) if hit == "x"]
    return mix(events, 16 * 16 * step_s, rng)


@pytest.mark.parametrize("bpm", [110, 120, 126, 132])
def test_four_on_the_floor_is_counted_by_its_kicks(bpm: float) -> None:
    y = drum_track(bpm, "x...x...x...x...", "....x.......x...", "..x...x...x...x.")
    assert measure_rhythm(regions(y), frame_rate_hz=FRAME_RATE_HZ).tempo_bpm == pytest.approx(bpm, rel=0.01)


@pytest.mark.parametrize("bpm", [75, 90, 140, 160, 174])
def test_a_backbeat_is_on_two_and_four(bpm: float) -> None:
    y = drum_track(bpm, "x.......x.......", "....x.......x...", "x.x.x.x.x.x.x.x.")
    assert measure_rhythm(regions(y), frame_rate_hz=FRAME_RATE_HZ).tempo_bpm == pytest.approx(bpm, rel=0.01)


def test_every_feature_has_a_weight() -> None:
    assert tuple(load()["features"]) == FEATURES
    assert tuple(load()["clip_features"]) == CLIP_FEATURES


@pytest.mark.parametrize("bpm", [101, 112, 124, 141, 168])
@pytest.mark.parametrize("bars", [1, 2])
def test_the_length_of_a_loop_is_evidence(bpm: int, bars: int) -> None:
    whole = drum_track(bpm, "x.....x.x.......", "....x.......x...", "x.x.x.x.x.x.x.x.")
    y = whole[: round(bars * 240 / bpm * SR)]
    found = measure_rhythm(regions(y), frame_rate_hz=FRAME_RATE_HZ, duration_s=y.size / SR)
    assert found.tempo_bpm == pytest.approx(bpm, rel=0.002)


@pytest.mark.parametrize("bpm", [78, 91, 100, 118, 125, 132, 148, 174])
@pytest.mark.parametrize("bars", [1, 2, 4])
def test_a_loop_is_whole_bars_long_and_begins_on_a_beat(bpm: int, bars: int) -> None:
    whole = drum_track(bpm, "x..x..x.x.......", "....x.......x...", "..x...x...x...x.")
    y = whole[: round(bars * 240 / bpm * SR)]
    found = measure_rhythm(regions(y), frame_rate_hz=FRAME_RATE_HZ, duration_s=y.size / SR)
    assert found.tempo_bpm is not None
    bars_found = y.size / SR * found.tempo_bpm / 240
    assert bars_found == pytest.approx(round(bars_found), rel=0.005)
    assert found.beats_s[0] == pytest.approx(0, abs=0.03)
    assert len(found.beats_s) == round(4 * bars_found)


@pytest.mark.parametrize("bpm", [84, 104, 127])
def test_an_excerpt_of_another_length_is_no_loop(bpm: int) -> None:
    whole = drum_track(bpm, "x.......x.......", "....x.......x...", "x.x.x.x.x.x.x.x.")
    y = whole[round(0.3 * SR) :][: round(9.37 * SR)]
    found = measure_rhythm(regions(y), frame_rate_hz=FRAME_RATE_HZ, duration_s=y.size / SR)
    first = np.arange(1, 20) * 60 / bpm - 0.3
    assert np.abs(found.beats_s[0] - first).min() < 0.05


def test_the_whole_is_the_sum_of_its_regions() -> None:
    y = track("drums", 110)
    it = OnsetEnvelope()
    pushed = it.push(log_mel(y))
    assert np.array_equal(it.result()[2:], add_regions(pushed)[:-2])
    assert add_regions(pushed) == pytest.approx(pushed.sum(axis=1), rel=1e-5, abs=1e-6)
    low, *_, top = regions(mix([(t, kick(), 1.0) for t in (1.0, 2.0, 3.0)], 4.0, np.random.default_rng(1))).T
    assert low.sum() > top.sum()


def test_a_confidence_grows_with_the_probability() -> None:
    said = [calibrate(p) for p in (0.0, 0.2, 0.5, 0.8, 0.99, 1.0)]
    assert said == sorted(said)
    assert 0 <= said[0] < 0.3
    assert 0.9 < said[-1] <= 1


def test_probabilities_add_up_to_one() -> None:
    found = find_candidates(regions(track("drums", 110)), frame_rate_hz=FRAME_RATE_HZ)
    probability = weigh(found)
    assert probability.shape == (found.bpm.size + 1,)
    assert probability.sum() == pytest.approx(1)


def test_a_stumble_of_the_beats_does_not_move_the_tempo() -> None:
    apart_s = np.full(199, 60 / 88.5)
    apart_s[::60] /= 2
    beats_s = np.cumsum(np.concatenate([[0.2], apart_s]))
    assert refine(88.0, beats_s) == pytest.approx(88.5, rel=0.001)


@pytest.mark.parametrize("bpm", [80, 97, 120, 133.3, 150])
def test_beats_fall_on_the_clicks(bpm: float) -> None:
    rng = np.random.default_rng(round(bpm))
    at = np.arange(0.4, DURATION_S - 0.2, 60 / bpm)
    found = measure_rhythm(
        regions(mix([(t, click(), 1.0) for t in at], DURATION_S, rng)), frame_rate_hz=FRAME_RATE_HZ
    )
    beats_s = np.array(found.beats_s)
    assert np.all(np.diff(beats_s) > 0)
    nearest = np.abs(beats_s[:, np.newaxis] - at)
    assert nearest.min(axis=1).max() <= 0.07  # no beat without a click
    assert (nearest.min(axis=0) > 0.07).sum() <= 1  # no click without a beat, but for one at an end
    assert found.onset_rate_hz == pytest.approx(at.size / DURATION_S, rel=0.02)


@pytest.mark.parametrize(("kind", "bpm"), [("click", 100), ("chords", 120), ("drums", 110)])
def test_beats_agree_with_librosa(kind: str, bpm: float) -> None:
    it = envelope(track(kind, bpm))
    ours = find_beats(it, bpm=bpm, frame_rate_hz=FRAME_RATE_HZ)
    _, theirs = librosa.beat.beat_track(onset_envelope=it, sr=SR, hop_length=HOP, bpm=bpm)
    distance = np.abs(ours[:, np.newaxis] - theirs)
    # librosa drops more of the first and last ones.
    assert (distance.min(axis=1)[2:-3] <= 2).mean() >= 0.95
    assert (distance.min(axis=0) <= 2).mean() >= 0.95


def test_onsets_agree_with_librosa_on_a_made_rhythm() -> None:
    it = envelope(track("drums", 110))
    ours = find_onsets(it, frame_rate_hz=FRAME_RATE_HZ)
    theirs = librosa.onset.onset_detect(onset_envelope=it, sr=SR, hop_length=HOP)
    distance = np.abs(ours[:, np.newaxis] - theirs)
    assert (distance.min(axis=1) <= 1).mean() >= 0.9
    assert (distance.min(axis=0) <= 1).mean() >= 0.9


def sounds_without_tempo() -> dict[str, Signal]:
    rng = np.random.default_rng(77)
    sounds: dict[str, Signal] = {"silence": np.zeros(SR * 8, np.float32)}
    for i in range(8):
        duration_s = float(np.geomspace(5, 40, 8)[i])
        n = int(duration_s * SR)
        t = np.arange(n) / SR
        sounds[f"white noise, {duration_s:.0f} s"] = (0.1 * rng.normal(size=n)).astype(np.float32)
        sounds[f"tone, {duration_s:.0f} s"] = (0.3 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
        count = int(rng.uniform(1, 8) * duration_s)
        random = [(at, click(), float(rng.uniform(0.1, 1))) for at in rng.uniform(0, duration_s, count)]
        sounds[f"random clicks, {duration_s:.0f} s"] = mix(random, duration_s, rng)
        steps = rng.gamma(4, rng.uniform(0.15, 0.6) / 4, size=400).cumsum()
        bursts = [(at, burst(rng), float(rng.uniform(0.2, 1))) for at in steps[steps < duration_s]]
        sounds[f"irregular bursts, {duration_s:.0f} s"] = mix(bursts, duration_s, rng)
    return sounds


def test_no_tempo_is_an_answer() -> None:
    for name, y in sounds_without_tempo().items():
        found = measure_rhythm(regions(y), frame_rate_hz=FRAME_RATE_HZ, duration_s=y.size / SR)
        assert found.tempo_bpm is None, name
        assert found.beats_s == (), name
        assert found.tempo_confidence < 0.6, name


def recording(name: str) -> Rhythm:
    y, sample_rate, _ = recorded(name)
    duration_s = y.shape[1] / sample_rate
    y = soxr.resample(y.mean(axis=0), sample_rate, SR, "HQ").astype(np.float32)
    return measure_rhythm(regions(y), frame_rate_hz=FRAME_RATE_HZ, duration_s=duration_s)


def test_the_trumpet_loop_is_90_bpm() -> None:
    found = recording("trumpet_F_90bpm.ogg")
    assert found.tempo_bpm == pytest.approx(90, rel=0.01)
    assert found.beats_s


def test_the_breakbeat_is_four_beats_long() -> None:
    assert recording("loop_breakbeat.flac").tempo_bpm == pytest.approx(126, rel=0.01)


def test_a_song_and_its_excerpt_have_one_tempo() -> None:
    whole, excerpt = recording("lets_go_fishin.ogg"), recording("lets_go_fishin_excerpt.m4a")
    assert whole.tempo_bpm is not None
    assert excerpt.tempo_bpm == pytest.approx(whole.tempo_bpm, rel=0.04)


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
        "car_engine.mp3",  # throbs regularly, but nothing begins
        "crowd_24bit.wav",
        "drum_cymbal_open.flac",  # as long as a bar
        "humpback.ogg",
        "snoring.ogg",
        "thunder.opus",
        "typing_22k.wav",
        "vinyl_hiss.flac",
    ],
)
def test_recordings_without_a_beat_have_no_tempo(name: str) -> None:
    assert recording(name).tempo_bpm is None


def test_rain_hardly_begins_anything() -> None:
    assert recording("rain.ogg").onset_rate_hz < 0.5


@pytest.mark.parametrize("kind", ["click", "chords", "drums"])
@pytest.mark.parametrize("snr_db", [None, 20.0])
def test_onset_strength_is_librosas(kind: str, snr_db: float | None) -> None:
    """The same spectrogram, librosa's floor 80 dB under its loudest value: equal once that value was met."""
    y = track(kind, 100, snr_db)
    theirs = librosa.onset.onset_strength(
        S=librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=SR, n_fft=2048, hop_length=HOP)), sr=SR
    )
    ours = envelope(y)
    assert ours.shape == theirs.shape
    loudest = int(np.argmax(log_mel(y).max(axis=1)))
    np.testing.assert_allclose(ours[loudest + 3 :], theirs[loudest + 3 :], atol=2e-3)
    if snr_db is not None:  # nothing lies under the floor
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 300), max_size=8))
def test_the_division_into_batches_does_not_matter(seed: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    frames = rng.uniform(-120, 0, size=(300, 128)).astype(np.float32)
    whole, parts = OnsetEnvelope(), OnsetEnvelope()
    whole.push(frames)
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), 300], strict=True):
        parts.push(frames[start:stop])
    assert np.array_equal(whole.by_region(), parts.by_region())


@pytest.mark.parametrize("frames", [0, 1, 2, 3, 20, 43, 60])
def test_recordings_too_short_for_a_tempo(frames: int) -> None:
    found = measure_rhythm(np.ones((frames, 4), np.float32), frame_rate_hz=FRAME_RATE_HZ)
    assert (found.tempo_bpm, found.beats_s) == (None, ())


def test_nothing_pushed_is_an_empty_envelope() -> None:
    assert OnsetEnvelope().result().size == 0


@pytest.mark.parametrize(
    "frames", [300, BLOCK_FRAMES - 1, BLOCK_FRAMES, BLOCK_FRAMES + 1, 2 * BLOCK_FRAMES + 77]
)
def test_autocorrelation_in_blocks_is_that_of_the_whole(frames: int) -> None:
    x = np.random.default_rng(frames).standard_normal(frames).astype(np.float32)
    whole = [float(np.dot(x[: frames - lag].astype(float), x[lag:])) / (frames - lag) for lag in range(200)]
    assert autocorrelate(x, 200) == pytest.approx(np.array(whole) / whole[0], abs=1e-6)


def test_six_hours_are_analysed() -> None:
    """Linear in the length, 0.5 s on an idle machine: what is quadratic runs into the test's time limit."""
    frames = int(6 * 3600 * FRAME_RATE_HZ)
    it = np.tile(regions(track("click", 120)), (frames // 600 + 1, 1))[:frames]
    measure_rhythm(it[:5000], frame_rate_hz=FRAME_RATE_HZ)
    found = measure_rhythm(it, frame_rate_hz=FRAME_RATE_HZ)
    assert found.tempo_bpm == pytest.approx(120, rel=0.04)


def test_a_long_recording_has_the_tempo_of_its_parts() -> None:
    it = np.concatenate([regions(track("click", 100))] * 6)
    assert estimate_tempo(it, frame_rate_hz=FRAME_RATE_HZ).bpm == pytest.approx(100, rel=0.01)
