"""The whole band: against librosa on the same frames, and sounds above what the shared spectrum covers."""

from __future__ import annotations

import dataclasses
from typing import Any

import librosa
import numpy as np
import pytest
from signals import Samples, tone

from soundscape.audio.descriptors import Summary
from soundscape.audio.own_spectrum import OVERLAPPING_S, OwnSpectrum
from soundscape.audio.spectral import find_top_hz
from soundscape.audio.wideband import Wideband, WidebandMeter


def measure(y: Samples, sample_rate: int, cut: int = 65_536) -> Wideband | None:
    """What is measured, whether frames overlap or not."""
    results = []
    for overlapping_s in (0, 0.3, OVERLAPPING_S):
        meter = WidebandMeter(sample_rate=sample_rate, narrow_top_hz=find_top_hz(sample_rate))
        own = OwnSpectrum(sample_rate=sample_rate, overlapping_s=overlapping_s)
        for at in range(0, len(y), cut):
            for frames in own.push(y[at : at + cut]):
                meter.push(frames)
        for frames in own.finish():
            meter.push(frames)
        results.append(meter.result())
    for other in results[1:]:
        assert_close(results[0], other)
    return results[0]


def assert_close(one: Wideband | None, other: Wideband | None) -> None:
    """Equal but for rounding: a transform may round otherwise where other frames are beside."""
    if one is None or other is None:
        assert one is other
        return
    expected = dataclasses.asdict(other)
    for name, value in dataclasses.asdict(one).items():
        assert value == pytest.approx(expected[name], rel=1e-6), name


def band_noise(sample_rate: int, low_hz: float, high_hz: float, *, seconds: float = 2.0) -> Samples:
    """Noise within a band, RMS 0.1."""
    count = round(sample_rate * seconds)
    X = np.fft.rfft(np.random.default_rng(8).standard_normal(count))
    frequencies = np.fft.rfftfreq(count, 1 / sample_rate)
    X[(frequencies < low_hz) | (frequencies > high_hz)] = 0
    y = np.fft.irfft(X, count)
    return (0.1 * y / y.std()).astype(np.float32)


def assert_summary(found: Summary, expected: Any, tolerance: float) -> None:
    assert found.mean == pytest.approx(expected.mean(), abs=tolerance)
    assert found.std == pytest.approx(expected.std(), abs=tolerance)
    assert found.min == pytest.approx(expected.min(), abs=tolerance)
    assert found.max == pytest.approx(expected.max(), abs=tolerance)
    assert found.median == pytest.approx(np.median(expected), abs=tolerance)


@pytest.mark.parametrize(
    ("sample_rate", "n_fft"), [(8_000, 512), (22_050, 1024), (44_100, 2048), (48_000, 2048), (192_000, 8192)]
)
def test_like_librosa(sample_rate: int, n_fft: int) -> None:
    random = np.random.default_rng(9)
    y = tone(seconds=3, sample_rate=sample_rate, channels=1)[0]
    y += (random.standard_normal(len(y)) * np.linspace(0.01, 0.2, len(y))).astype(np.float32)
    found = measure(y, sample_rate)
    assert found is not None
    S = np.abs(librosa.stft(y, n_fft=n_fft, hop_length=n_fft, pad_mode="constant"))
    feature, bin_hz = librosa.feature, sample_rate / n_fft
    assert found.active_share == 1
    assert_summary(found.centroid_hz, feature.spectral_centroid(S=S, sr=sample_rate), 1e-4 * sample_rate)
    assert_summary(found.bandwidth_hz, feature.spectral_bandwidth(S=S, sr=sample_rate), 1e-4 * sample_rate)
    assert_summary(found.rolloff_hz, feature.spectral_rolloff(S=S, sr=sample_rate), 1.01 * bin_hz)
    assert_summary(found.flatness, feature.spectral_flatness(S=S), 0.002)
    # librosa counts the padding at both ends.
    frames = librosa.util.frame(np.pad(y, n_fft // 2), frame_length=n_fft, hop_length=n_fft)
    inside = librosa.util.frame(np.pad(np.ones(len(y)), n_fft // 2), frame_length=n_fft, hop_length=n_fft)
    level = 10 * np.log10((frames**2).sum(axis=0) / inside.sum(axis=0))
    assert_summary(found.rms_dbfs, level, 0.001)


BANDS = [(20, 100), (100, 1000), (1000, 10_000), (9000, 13_000), (13_000, 15_000), (20_000, 22_000)]
BANDS += [(30_000, 60_000), (60_000, 80_000), (80_000, 90_000)]


@pytest.mark.parametrize(("low_hz", "high_hz"), BANDS)
@pytest.mark.parametrize("sample_rate", [44_100, 192_000])
def test_band_noise_is_where_it_is(sample_rate: int, low_hz: float, high_hz: float) -> None:
    if high_hz > sample_rate / 2:
        pytest.skip("beyond the rate")
    found = measure(band_noise(sample_rate, low_hz, high_hz), sample_rate)
    assert found is not None
    assert found.centroid_hz.median == pytest.approx((low_hz + high_hz) / 2, rel=0.02, abs=50)
    assert low_hz - 50 <= found.rolloff_hz.median <= high_hz + 50
    assert found.rms_dbfs.mean == pytest.approx(-20, abs=0.2 if low_hz >= 1000 else 1)
    assert (found.narrow_share < 1e-3) == (low_hz > 9922)


@pytest.mark.parametrize("samples", [1, 2, 50, 1000, 3000, 20_000])
@pytest.mark.parametrize("sample_rate", [8_000, 44_100, 192_000])
def test_short_clips_are_measured_whole(samples: int, sample_rate: int) -> None:
    """A sine of constant level has that level in every frame, however short it is."""
    y = (0.5 * np.sin(2 * np.pi * 0.09 * np.arange(samples) + 1)).astype(np.float32)
    found = measure(y, sample_rate)
    assert found is not None
    assert found.active_share == 1
    exact_dbfs = 10 * np.log10(np.mean(y**2, dtype=np.float64))
    assert found.rms_dbfs.median == pytest.approx(exact_dbfs, abs=1.0 if samples < 100 else 0.3)
    if samples >= 20_000:
        assert found.centroid_hz.median == pytest.approx(0.09 * sample_rate, rel=0.1)


def test_a_click_anywhere_in_a_short_clip_is_seen() -> None:
    for at in range(0, 8000, 250):
        y = np.zeros(8000, np.float32)
        y[at : at + 20] = 0.5
        found = measure(y, 44_100)
        assert found is not None
        assert found.centroid_hz.max > 500


def test_the_division_into_blocks_does_not_matter() -> None:
    y = band_noise(44_100, 100, 20_000)
    assert measure(y, 44_100, 777) == measure(y, 44_100)


def test_silence_has_no_band() -> None:
    assert measure(np.zeros(50_000, np.float32), 44_100) is None
    assert measure(np.zeros(0, np.float32), 44_100) is None
