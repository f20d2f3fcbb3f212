"""Descriptors against librosa's on the same frames.

Tolerances: contrast within 0.05 dB, flux and MFCC within 0.01. librosa's clip at 80 dB below the loudest is
left out on both sides, see the module.
"""

from __future__ import annotations

import io

import librosa
import numpy as np
import pytest
from signals import Samples, tone

from soundscape.audio.decode.audio_file import open_audio
from soundscape.audio.descriptors import Summary
from soundscape.audio.spectral import NarrowSpectral, SpectralMeter, find_top_hz
from soundscape.audio.spectrum import SAMPLE_RATE, MonoSignal, Spectrum
from soundscape.audio.wideband import ACTIVE_DBFS
from tests.audio import recordings


def describe(y: Samples, cut: int = 32768) -> NarrowSpectral | None:
    shared, meter = Spectrum(), SpectralMeter()
    for start in range(0, len(y), cut):
        for frames in shared.push(y[start : start + cut]):
            meter.push(frames)
    for frames in shared.finish():
        meter.push(frames)
    return meter.result()


def synthetic(name: str) -> Samples:
    random = np.random.default_rng(3)
    noise = random.standard_normal(3 * SAMPLE_RATE).astype(np.float32) * 0.1
    return {
        "noise": noise,
        "tone": tone(seconds=3, sample_rate=SAMPLE_RATE, channels=1)[0],
        "bursts": noise * (np.arange(len(noise)) % 8000 < 3000),
        "sweep": 0.3 * librosa.chirp(fmin=100, fmax=10_000, sr=SAMPLE_RATE, duration=3).astype(np.float32)
        + noise * 0.05,
        "clicks": noise * 0.01 + (np.arange(len(noise)) % 11_025 == 0),
    }[name].astype(np.float32)


def assert_summary(found: Summary, expected: np.ndarray, tolerance: float) -> None:
    assert found.mean == pytest.approx(expected.mean(), abs=tolerance)
    assert found.std == pytest.approx(expected.std(), abs=tolerance)
    assert found.min == pytest.approx(expected.min(), abs=tolerance)
    assert found.max == pytest.approx(expected.max(), abs=tolerance)
    assert found.median == pytest.approx(np.median(expected), abs=tolerance)


def assert_like_librosa(y: Samples) -> None:
    found = describe(y)
    assert found is not None
    # The same frames: what is below float32's rounding (an empty band's valley) differs between transforms.
    shared = Spectrum()
    S = np.concatenate([frames.S for part in (shared.push(y), shared.finish()) for frames in part]).T
    # librosa counts the padding at both ends.
    inside = librosa.util.frame(np.pad(np.ones(len(y)), 1024), frame_length=2048, hop_length=512).mean(axis=0)
    rms_dbfs = 20 * np.log10(np.maximum(librosa.feature.rms(y=y)[0] / np.sqrt(inside), 1e-10))
    active = rms_dbfs > ACTIVE_DBFS
    feature = librosa.feature
    assert_summary(found.zero_crossing_rate, (feature.zero_crossing_rate(y)[0] / inside)[active], 1e-6)
    log_mel_db = librosa.power_to_db(feature.melspectrogram(S=S**2, sr=SAMPLE_RATE), top_db=None)
    flux = librosa.onset.onset_strength(S=log_mel_db, center=False)
    assert_summary(found.flux, flux[active], 0.01)
    mfcc = feature.mfcc(S=log_mel_db, n_mfcc=20)[:, active]
    assert found.mfcc.mean == pytest.approx(mfcc.mean(axis=1), abs=0.01)
    assert found.mfcc.std == pytest.approx(mfcc.std(axis=1), abs=0.01)
    assert found.contrast_db == pytest.approx(contrast_unclipped(S)[:, active].mean(axis=1), abs=0.05)


def contrast_unclipped(S: Samples) -> np.ndarray:
    """librosa's contrast with its clip at 80 dB switched off."""
    unclipped = lambda power: librosa.power_to_db(power, top_db=None)  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(librosa.feature.spectral, "power_to_db", unclipped)
        return librosa.feature.spectral_contrast(S=S, sr=SAMPLE_RATE)


@pytest.mark.parametrize("name", ["noise", "tone", "bursts", "sweep", "clicks"])
def test_synthetic_sounds(name: str) -> None:
    assert_like_librosa(synthetic(name))


@pytest.mark.parametrize("name", ["speech_a.ogg", "hungarian_dance_5.ogg", "humpback.ogg"])
def test_real_recordings(name: str) -> None:
    with open_audio(io.BytesIO(recordings.read(name))) as audio:
        mono = MonoSignal(sample_rate=audio.header.sample_rate, channels=audio.header.channels)
        y = np.concatenate([mono.push(block) for block in audio.blocks()])
    assert_like_librosa(y[: 10 * SAMPLE_RATE])


def describe_at(y: Samples, sample_rate: int) -> NarrowSpectral:
    """The descriptors of a file at this rate."""
    signal, shared = MonoSignal(sample_rate=sample_rate, channels=1), Spectrum()
    meter = SpectralMeter(top_hz=find_top_hz(sample_rate))
    for part in (signal.push(y[np.newaxis]), signal.finish()):
        for frames in shared.push(part):
            meter.push(frames)
    for frames in shared.finish():
        meter.push(frames)
    found = meter.result()
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["noise", "bursts", "sweep", "clicks"])
@pytest.mark.parametrize("sample_rate", [24_000, 32_000, 44_100, 48_000, 96_000])
def test_the_rate_of_a_file_does_not_show(name: str, sample_rate: int) -> None:
    """What the resampler leaves of the top of its band is not looked at."""
    import soxr

    # A noise 60 dB down: the resampler's own rounding is not to be all that there is in a pause.
    y = synthetic(name) + np.random.default_rng(6).standard_normal(3 * SAMPLE_RATE).astype(np.float32) * 1e-3
    low, high = (
        describe_at(y, SAMPLE_RATE),
        describe_at(soxr.resample(y, SAMPLE_RATE, sample_rate), sample_rate),
    )
    assert high.contrast_db == pytest.approx(low.contrast_db, abs=0.5)
    assert high.mfcc.mean == pytest.approx(low.mfcc.mean, abs=1)
    assert high.mfcc.std == pytest.approx(low.mfcc.std, abs=3)
    assert high.flux.mean == pytest.approx(low.flux.mean, rel=0.02, abs=0.02)
    # Of the signal itself, with what the resampler leaves: a tenth of a white noise's band.
    assert high.zero_crossing_rate.mean == pytest.approx(low.zero_crossing_rate.mean, abs=0.03)


def test_a_low_rate_has_fewer_bands_of_contrast() -> None:
    import soxr

    low = describe_at(soxr.resample(synthetic("noise"), SAMPLE_RATE, 8_000), 8_000)
    assert len(low.contrast_db) == 6
    # The valley of what is not there would be 60 dB and more.
    assert max(low.contrast_db) < 40


@pytest.mark.parametrize("samples", [0, 1, 50_000])
def test_silence_has_no_descriptors(samples: int) -> None:
    assert describe(np.zeros(samples, np.float32)) is None


def test_pauses_are_left_out() -> None:
    y = synthetic("noise")
    paused = np.concatenate([y, np.zeros(len(y), np.float32)])
    alone, with_pause = describe(y), describe(paused)
    assert alone is not None
    assert with_pause is not None
    assert with_pause.zero_crossing_rate.mean == pytest.approx(alone.zero_crossing_rate.mean, rel=0.03)
    assert with_pause.mfcc.mean[1:] == pytest.approx(alone.mfcc.mean[1:], abs=2)


@pytest.mark.parametrize("cut", [777, 100_000])
def test_cuts_change_next_to_nothing(cut: int) -> None:
    y = synthetic("sweep")
    whole, pieces = describe(y), describe(y, cut)
    assert whole is not None
    assert pieces is not None
    assert pieces.flux == whole.flux
    assert pieces.mfcc.mean == pytest.approx(whole.mfcc.mean, rel=1e-12)


@pytest.mark.parametrize(("frequency_hz", "level"), [(100.0, 1.0), (1000.0, 0.1), (8000.0, 0.5)])
def test_a_sine_is_where_it_is(frequency_hz: float, level: float) -> None:
    y = (level * np.sin(2 * np.pi * frequency_hz * np.arange(SAMPLE_RATE) / SAMPLE_RATE)).astype(np.float32)
    found = describe(y)
    assert found is not None
    assert found.zero_crossing_rate.median == pytest.approx(2 * frequency_hz / SAMPLE_RATE, rel=0.03)
