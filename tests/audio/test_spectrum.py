"""The shared spectrum against librosa's, and against itself when the sound is cut differently."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import librosa
import numpy as np
import pytest
from signals import Samples, tone

from soundscape.audio.spectrum import HOP_LENGTH, SAMPLE_RATE, MonoSignal, Spectrum


def mono(seconds: float = 3.0) -> Samples:
    y = tone(seconds=seconds, sample_rate=SAMPLE_RATE, channels=1)[0]
    y[5000:9000] = 0.0
    return y


def spectrum(y: Samples, cuts: Sequence[int] = (32768,)) -> list[np.ndarray]:
    """S, log_mel_db, mean_square, zero_crossing_rate of y, pushed in pieces of these lengths."""
    shared, batches, start, turn = Spectrum(), [], 0, 0
    while start < len(y):
        length = cuts[turn % len(cuts)]
        batches += shared.push(y[start : start + length])
        start, turn = start + length, turn + 1
    batches += shared.finish()
    names = ("S", "log_mel_db", "mean_square", "zero_crossing_rate")
    return [np.concatenate([getattr(batch, name) for batch in batches]) for name in names]


@pytest.mark.parametrize("samples", [1, 2, 511, 512, 513, 1023, 1024, 2047, 2048, 2049, 20_000])
def test_frames_are_librosas_whatever_the_length(samples: int) -> None:
    y = mono()[1000 : 1000 + samples]
    # librosa's own centring warns of signals shorter than a window.
    centred = np.pad(y, 1024)
    S, _, mean_square, zero_crossing_rate = spectrum(y)
    assert S.shape == (1 + samples // HOP_LENGTH, 1025)
    assert pytest.approx(np.abs(librosa.stft(centred, center=False)).T, abs=1e-4) == S
    # librosa counts the padding as samples; here both are of the recording's own samples.
    inside = librosa.util.frame(
        np.pad(np.ones(samples), 1024), frame_length=2048, hop_length=HOP_LENGTH
    ).mean(axis=0)
    inside = np.maximum(inside, 1 / 2048)
    assert np.sqrt(mean_square * inside) == pytest.approx(librosa.feature.rms(y=y)[0], abs=1e-6)
    assert zero_crossing_rate * inside == pytest.approx(librosa.feature.zero_crossing_rate(y)[0], rel=1e-12)


def test_mel_levels_are_librosas() -> None:
    y = mono()
    _, log_mel_db, _, _ = spectrum(y)
    mel = librosa.feature.melspectrogram(y=y, sr=SAMPLE_RATE)
    expected = librosa.power_to_db(mel, top_db=None).T
    loud = expected > -60
    assert log_mel_db[loud] == pytest.approx(expected[loud], abs=1e-3)
    assert log_mel_db.min() >= -200.001


@pytest.mark.parametrize("cuts", [(1, 700, 5000, 0, 99), (512,), (2048,), (100_000,)])
def test_cuts_change_no_bit(cuts: tuple[int, ...]) -> None:
    y = mono()
    for whole, cut in zip(spectrum(y), spectrum(y, cuts), strict=True):
        assert np.array_equal(whole, cut)


def test_nothing_gives_no_frames() -> None:
    shared = Spectrum()
    assert [*shared.push(np.empty(0, np.float32)), *shared.finish()] == []


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_mono_keeps_pitch_level_and_length(sample_rate: int) -> None:
    y = tone(seconds=2, sample_rate=sample_rate, channels=2)
    signal = MonoSignal(sample_rate=sample_rate, channels=2)
    parts = [signal.push(y[:, start : start + 10_000]) for start in range(0, y.shape[1], 10_000)]
    joined = np.concatenate([*parts, signal.finish()])
    assert len(joined) == pytest.approx(2 * SAMPLE_RATE, abs=2)
    expected = librosa.resample(
        y.mean(axis=0), orig_sr=sample_rate, target_sr=SAMPLE_RATE, res_type="soxr_hq"
    )
    shorter = min(len(joined), len(expected))
    assert joined[:shorter] == pytest.approx(expected[:shorter], abs=2e-4)


def test_mono_leaves_its_input_alone() -> None:
    y = tone(seconds=0.1, sample_rate=SAMPLE_RATE, channels=2)
    before = y.copy()
    MonoSignal(sample_rate=SAMPLE_RATE, channels=2).push(y)
    assert np.array_equal(y, before)


def test_of_librosa_only_what_is_cheap_is_imported() -> None:
    """Its filters import scipy.signal and scipy.stats, which take as long as everything else."""
    program = (
        "import sys, soundscape.audio.analysis\n"
        "heavy = ('librosa.filters', 'librosa.feature', 'scipy.signal', 'scipy.stats', 'matplotlib')\n"
        "print([name for name in heavy if name in sys.modules], 'librosa' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "[] True"
