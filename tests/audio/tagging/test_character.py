"""The character against librosa on the same frames, at any level and rate.

Tolerances: frequencies within 0.1 Hz, rolloff within a bin, flatness within 0.2 %, MFCC within 0.01.
"""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import soxr

from soundscape.audio.descriptors import Summary
from soundscape.audio.spectral import count_mels, find_top_hz
from soundscape.audio.spectrum import SAMPLE_RATE, Frames, MonoSignal, Spectrum
from soundscape.audio.tagging import character
from soundscape.audio.tagging.character import (
    MEL_RANGE_DB,
    RANGE_DB,
    SPARSE_FRAMES,
    TOP_HZ,
    Character,
    CharacterMeter,
)
from tests.audio.signals import Samples

BIN_HZ = SAMPLE_RATE / 2048
BINS = int(TOP_HZ / BIN_HZ) + 1
MELS = count_mels(TOP_HZ)


def describe(y: Samples, sample_rate: int = SAMPLE_RATE, cut: int = 32_768) -> Character | None:
    signal, shared = MonoSignal(sample_rate=sample_rate, channels=1), Spectrum()
    meter = CharacterMeter(top_hz=find_top_hz(sample_rate))
    for start in range(0, len(y), cut):
        for frames in shared.push(signal.push(y[np.newaxis, start : start + cut])):
            meter.push(frames)
    for frames in (*shared.push(signal.finish()), *shared.finish()):
        meter.push(frames)
    return meter.result()


def synthesise(name: str, sample_rate: int = SAMPLE_RATE) -> Samples:
    random, t = np.random.default_rng(3), np.arange(3 * sample_rate) / sample_rate
    noise = random.standard_normal(t.size) * 0.1
    y = {
        "noise": noise,
        "tone": 0.25 * np.sin(2 * np.pi * 440 * t) + noise * 0.02,
        "bursts": noise * (t % 0.4 < 0.15),
        "swell": noise * 10 ** (3 * (t / 3 - 1)),
        "clicks": noise * 0.01 + (np.arange(t.size) % (sample_rate // 2) == 0),
    }[name]
    return y.astype(np.float32)


SOUNDS = ["noise", "tone", "bursts", "swell", "clicks"]


def assert_summary(found: Summary, expected: np.ndarray, tolerance: float) -> None:
    assert found.mean == pytest.approx(expected.mean(), abs=tolerance)
    assert found.std == pytest.approx(expected.std(), abs=tolerance)
    assert found.max == pytest.approx(expected.max(), abs=tolerance)
    assert found.median == pytest.approx(np.median(expected), abs=tolerance)


@pytest.mark.parametrize("name", SOUNDS)
def test_it_is_librosas_on_the_frames_that_count(name: str) -> None:
    y = synthesise(name)
    found = describe(y)
    assert found is not None
    shared = Spectrum()
    frames = [*shared.push(y), *shared.finish()]
    every = np.concatenate([batch.S for batch in frames]).T
    level_dbfs = 10 * np.log10(np.maximum(np.concatenate([batch.mean_square for batch in frames]), 1e-20))
    counts = np.floor(level_dbfs) >= np.floor(level_dbfs.max()) - RANGE_DB
    S, freq, feature = every[:BINS], np.arange(BINS) * BIN_HZ, librosa.feature
    assert found.active_share == counts.mean()
    assert_summary(found.rms_dbfs, level_dbfs[counts], 0.001)
    assert_summary(found.centroid_hz, feature.spectral_centroid(S=S, freq=freq)[0][counts], 0.1)
    assert_summary(found.bandwidth_hz, feature.spectral_bandwidth(S=S, freq=freq)[0][counts], 0.1)
    assert_summary(found.rolloff_hz, feature.spectral_rolloff(S=S, freq=freq)[0][counts], 1.01 * BIN_HZ)
    scaled = S / np.sqrt(np.maximum((S**2).mean(axis=0), 1e-30))
    flatness = feature.spectral_flatness(S=scaled)[0][counts]
    assert_summary(found.flatness, flatness, 0.002 * float(flatness.max()))
    bands_db = librosa.power_to_db(
        feature.melspectrogram(S=every**2, sr=SAMPLE_RATE), amin=1e-20, top_db=None
    )[:MELS]
    kept_db = np.maximum(bands_db, bands_db.max(axis=0) - MEL_RANGE_DB)
    mfcc = feature.mfcc(S=kept_db, n_mfcc=20)[:, counts]
    assert found.mfcc.mean == pytest.approx(mfcc.mean(axis=1), abs=0.01)
    assert found.mfcc.std == pytest.approx(mfcc.std(axis=1), abs=0.01)


def test_of_long_recordings_one_frame_in_four_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(character, "DENSE_FRAMES", 50)
    y = synthesise("noise")
    frames = [*(shared := Spectrum()).push(y), *shared.finish()]
    S, log_mel_db, mean_square, crossings = (
        np.concatenate([getattr(batch, name) for batch in frames])
        for name in ("S", "log_mel_db", "mean_square", "zero_crossing_rate")
    )

    def measure(S: Samples, cut: int) -> Character | None:
        meter = CharacterMeter(top_hz=TOP_HZ)
        for start in range(0, len(S), cut):
            part = slice(start, start + cut)
            meter.push(Frames(S[part], log_mel_db[part], mean_square[part], crossings[part]))
        return meter.result()

    numbers = np.arange(len(S))
    counts = (numbers < 50) | np.isin(numbers % 16, SPARSE_FRAMES)
    assert 0.2 < counts[50:].mean() < 0.3
    other = np.where(counts[:, np.newaxis], S, 1 + 3 * S)
    assert measure(other, 64) == measure(S, 64)
    for seen in (numbers[counts][10], numbers[counts][-2]):
        other = S.copy()
        other[seen] *= np.linspace(1, 5, S.shape[1], dtype=np.float32)
        assert measure(other, 64) != measure(S, 64)
    # In one piece, in pieces of which none is chosen, and with the seam in the middle of one.
    for cut in (1, 3, 30, 1000):
        found, expected = measure(S, cut), measure(S, 64)
        assert found is not None
        assert expected is not None
        assert found.flux == expected.flux
        assert found.centroid_hz == expected.centroid_hz
        assert found.mfcc.mean == pytest.approx(expected.mfcc.mean, abs=1e-4)


@pytest.mark.parametrize("gain_db", [-60.0, -37.3, 6.0])
@pytest.mark.parametrize("name", SOUNDS)
def test_level_does_not_matter(name: str, gain_db: float) -> None:
    y = synthesise(name)
    plain, moved = describe(y), describe(y * np.float32(10 ** (gain_db / 20)))
    assert plain is not None
    assert moved is not None
    assert moved.active_share == pytest.approx(plain.active_share, abs=0.02)
    assert moved.flatness.mean == pytest.approx(plain.flatness.mean, rel=0.01)
    assert moved.flux.mean == pytest.approx(plain.flux.mean, rel=0.01)
    assert moved.contrast_db == pytest.approx(plain.contrast_db, abs=0.1)
    assert moved.mfcc.mean[1:] == pytest.approx(plain.mfcc.mean[1:], abs=0.5)
    assert moved.mfcc.std == pytest.approx(plain.mfcc.std, abs=0.5)


@pytest.mark.parametrize("sample_rate", [16_000, 22_050, 24_000, 48_000])
@pytest.mark.parametrize("name", ["noise", "tone", "bursts"])
def test_rate_does_not_matter(name: str, sample_rate: int) -> None:
    y = synthesise(name, 44_100)
    plain, copy = describe(y, 44_100), describe(soxr.resample(y, 44_100, sample_rate), sample_rate)
    assert plain is not None
    assert copy is not None
    assert copy.centroid_hz.mean == pytest.approx(plain.centroid_hz.mean, rel=0.01)
    assert copy.flatness.mean == pytest.approx(plain.flatness.mean, rel=0.02)
    assert copy.flux.mean == pytest.approx(plain.flux.mean, rel=0.02, abs=0.02)
    assert copy.contrast_db == pytest.approx(plain.contrast_db, abs=0.5)
    assert copy.mfcc.mean[1:] == pytest.approx(plain.mfcc.mean[1:], abs=1)


def test_a_pause_does_not_count_whatever_lies_in_it() -> None:
    y = synthesise("noise")
    alone, paused = describe(y), describe(np.concatenate([y, y * np.float32(1e-3)]))
    assert alone is not None
    assert paused is not None
    assert paused.active_share == pytest.approx(0.5, abs=0.02)
    assert paused.centroid_hz.mean == pytest.approx(alone.centroid_hz.mean, rel=0.01)
    assert paused.mfcc.mean[1:] == pytest.approx(alone.mfcc.mean[1:], abs=2)


@pytest.mark.parametrize("samples", [0, 1, 50_000])
def test_digital_silence_has_no_character(samples: int) -> None:
    assert describe(np.zeros(samples, np.float32)) is None


@pytest.mark.parametrize("cut", [777, 100_000])
def test_cuts_change_next_to_nothing(cut: int) -> None:
    y = synthesise("bursts")
    whole, pieces = describe(y), describe(y, cut=cut)
    assert whole is not None
    assert pieces is not None
    assert pieces.centroid_hz == whole.centroid_hz
    assert pieces.mfcc.mean == pytest.approx(whole.mfcc.mean, rel=1e-6, abs=1e-4)
