"""Beats lie on what is heard: clicks, kicks and snares at every sample rate, however the frames are cut."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from soundscape.audio.rhythm.meter import RhythmMeter
from soundscape.audio.rhythm.onset_times import OnsetTimes, time_beats
from soundscape.audio.rhythm.onsets import OnsetEnvelope, add_regions
from soundscape.audio.spectrum import FRAME_RATE_HZ, SAMPLE_RATE, Spectrum

DURATION_S = 12.0


def sound(kind: str, rate: int) -> NDArray[np.float64]:
    t = np.arange(round(0.3 * rate)) / rate
    noise = np.random.default_rng(3).standard_normal(t.size)
    match kind:
        case "click":
            return np.sin(2 * np.pi * 1100 * t) * np.exp(-t / 0.01)
        case "kick":
            return np.sin(2 * np.pi * (52 * t + 4 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / 0.08)
        case "snare":
            return 0.5 * noise * np.exp(-t / 0.05) + np.sin(2 * np.pi * 190 * t) * np.exp(-t / 0.04)
        case "note":  # it begins within 4 ms and stays
            return sum(np.sin(2 * np.pi * 220 * h * t) / h for h in range(1, 9)) * np.minimum(1, t / 0.004)
    raise ValueError(kind)


def log_mel(y: NDArray[np.float64], rate: int) -> NDArray[np.float32]:
    """The shared spectrum of a sound at any rate, decibels, shape (frames, 128)."""
    at_22050 = y if rate == SAMPLE_RATE else soxr.resample(y, rate, SAMPLE_RATE, "HQ")
    spectrum = Spectrum()
    frames = [*spectrum.push(at_22050.astype(np.float32)), *spectrum.finish()]
    return np.concatenate([batch.log_mel_db for batch in frames])


def beaten(
    kind: str, rate: int, bpm: float, *, under: float = 0.0
) -> tuple[NDArray[np.float64], list[float]]:
    """A sound on every beat, over a chord of that level, and when the beats are."""
    time = np.arange(round(DURATION_S * rate)) / rate
    y = under * sum(np.sin(2 * np.pi * f * time) for f in (110.0, 277.2, 329.6))
    beats = np.arange(0.43, DURATION_S - 0.3, 60 / bpm)
    for at in beats:
        piece = sound(kind, rate)
        start = round(at * rate)
        y[start : start + piece.size] += piece[: y.size - start]
    return y, list(np.round(beats * rate) / rate)


def lateness_ms(y: NDArray[np.float64], rate: int, beats: list[float]) -> NDArray[np.float64]:
    meter = RhythmMeter(frame_rate_hz=FRAME_RATE_HZ)
    meter.push(log_mel(y, rate))
    found = np.array(meter.result(DURATION_S).beats_s)
    assert np.all(np.diff(found) > 0)
    return np.array([1000 * (found[np.argmin(np.abs(found - at))] - at) for at in beats[1:-1]])


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("kind", ["click", "kick", "snare"])
def test_beats_are_on_the_sounds_at_every_rate(kind: str, rate: int) -> None:
    y, beats = beaten(kind, rate, 117.0)
    late = lateness_ms(y, rate, beats)
    assert abs(np.median(late)) <= 5
    assert np.quantile(np.abs(late), 0.9) <= 12


@pytest.mark.parametrize("kind", ["click", "kick", "snare", "note"])
@pytest.mark.parametrize("bpm", [83.0, 101.3, 140.0])
def test_beats_are_on_the_sounds_over_a_chord(kind: str, bpm: float) -> None:
    y, beats = beaten(kind, 44_100, bpm, under=0.05)
    assert abs(np.median(lateness_ms(y, 44_100, beats))) <= 8


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, 500), max_size=8))
def test_the_division_into_batches_does_not_matter(cuts: list[int]) -> None:
    frames = log_mel(beaten("snare", 22_050, 131.0)[0], 22_050)

    def late(edges: list[int]) -> NDArray[np.float32]:
        envelope, times = OnsetEnvelope(), OnsetTimes()
        for start, stop in zip([0, *edges], [*edges, len(frames)], strict=True):
            times.push(frames[start:stop], add_regions(envelope.push(frames[start:stop])))
        assert times.result().shape == envelope.result().shape
        return times.result()

    assert np.array_equal(late([]), late(sorted(cuts)), equal_nan=True)


@pytest.mark.parametrize("frames", [0, 1, 2, 3, 7])
def test_recordings_of_a_few_frames(frames: int) -> None:
    envelope, times = OnsetEnvelope(), OnsetTimes()
    silence = np.full((frames, 128), -100, np.float32)
    times.push(silence, add_regions(envelope.push(silence)))
    assert times.result().shape == (frames,)
    assert np.isnan(times.result()).all()


def test_a_beat_between_onsets_keeps_its_place() -> None:
    envelope = np.zeros(200, np.float32)
    late = np.full(200, np.nan, np.float32)
    envelope[[50, 150]], late[[50, 150]] = 10.0, -0.5
    times = time_beats(np.array([51, 100, 149], np.int32), envelope, late, frame_rate_hz=FRAME_RATE_HZ)
    assert times * FRAME_RATE_HZ == pytest.approx([49.5, 99.15, 149.5])
