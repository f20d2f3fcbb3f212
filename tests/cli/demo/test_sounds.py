"""The demonstration's sounds are what their names say: measured with nothing but Fourier transforms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from soundscape.cli.demo import sounds
from soundscape.cli.demo.sounds import SAMPLE_RATE, Signal

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def power(y: Signal) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Frequencies in Hz and the power at each, over the whole signal."""
    mono = y if y.ndim == 1 else y.mean(axis=1)
    spectrum = np.abs(np.fft.rfft(mono)).astype(np.float64)
    return np.fft.rfftfreq(mono.size, 1 / SAMPLE_RATE).astype(np.float64), spectrum**2


def share(y: Signal, low_hz: float, high_hz: float) -> float:
    """Part of the power that lies between two frequencies."""
    frequency_hz, p = power(y)
    return float(p[(frequency_hz >= low_hz) & (frequency_hz < high_hz)].sum() / p.sum())


def flatness(y: Signal) -> float:
    """Geometric over arithmetic mean of the smoothed spectrum: 1 for white noise, 0 for a tone."""
    _, p = power(y)
    smooth = p[: p.size // 256 * 256].reshape(-1, 256).mean(axis=1)
    return float(np.exp(np.log(smooth + 1e-20).mean()) / smooth.mean())


def envelope(y: Signal, rate_hz: int = 100) -> npt.NDArray[np.float64]:
    """Root mean square, `rate_hz` times a second."""
    mono = y if y.ndim == 1 else y.mean(axis=1)
    hop = SAMPLE_RATE // rate_hz
    return np.asarray(np.sqrt((mono[: mono.size // hop * hop].reshape(-1, hop) ** 2).mean(axis=1)))


@pytest.fixture(scope="module")
def made() -> dict[str, Signal]:
    return {
        "rain": sounds.rain(6.0),
        "bird": sounds.bird(8.0),
        "chords": sounds.chords(9.6),
        "speech": sounds.speech(6.0),
    }


@pytest.mark.parametrize("name", ["rain", "bird", "chords", "speech"])
def test_sound_at_all(made: dict[str, Signal], name: str) -> None:
    y = made[name]
    assert np.isfinite(y).all()
    assert 0.05 < np.abs(y).max() <= 1.0, "heard, and not clipped"
    assert abs(float(y.mean())) < 0.01
    again = getattr(sounds, name)(y.shape[0] / SAMPLE_RATE)
    assert np.array_equal(y, again), "the same each time"


def test_rain_is_hiss_in_two_channels(made: dict[str, Signal]) -> None:
    y = made["rain"]
    assert y.shape == (6 * SAMPLE_RATE, 2)
    left, right = y.T
    alike = float(left @ right / np.sqrt((left @ left) * (right @ right)))
    assert abs(alike) < 0.05, "two microphones, not one twice"
    assert share(y, 0, 300) < 0.05
    assert share(y, 1000, 12_000) > 0.7
    assert flatness(y) > 10 * flatness(made["bird"])
    level = envelope(y)
    assert level.std() / level.mean() < 0.5, "steady"


def test_the_bird_sings_between_two_and_six_kilohertz(made: dict[str, Signal]) -> None:
    y = made["bird"]
    assert share(y, 1800, 6200) > 0.98
    level = envelope(y)
    quiet = level < 0.05 * level.max()
    assert 0.2 < quiet.mean() < 0.9, "phrases, and silence between"
    # Each instant is one sweeping tone: its power lies around one frequency.
    loudest = int(level.argmax()) * SAMPLE_RATE // 100
    frame = y[loudest : loudest + 512] * np.hanning(512)
    p = np.abs(np.fft.rfft(frame)) ** 2
    peak = int(p.argmax())
    assert p[max(0, peak - 6) : peak + 7].sum() / p.sum() > 0.8


def test_the_chords_are_c_g_a_minor_and_f(made: dict[str, Signal]) -> None:
    bar = int(2.4 * SAMPLE_RATE)
    for index, triad in enumerate(({"C", "E", "G"}, {"G", "B", "D"}, {"A", "C", "E"}, {"F", "A", "C"})):
        y = made["chords"][index * bar : (index + 1) * bar]
        frequency_hz, p = power(y * np.hanning(y.size))
        chroma = np.zeros(12)
        for midi in range(48, 84):  # the strings; the kick lies below
            near = np.abs(12 * np.log2(frequency_hz[1:] / 440) + 69 - midi) < 0.25
            chroma[midi % 12] += p[1:][near].sum()
        strongest = {PITCH_CLASSES[i] for i in np.argsort(chroma)[-3:]}
        assert strongest == triad


def test_the_chords_keep_100_beats_a_minute(made: dict[str, Signal]) -> None:
    level = envelope(made["chords"])
    rise = np.maximum(np.diff(level), 0)
    rise -= rise.mean()
    correlation = np.correlate(rise, rise, "full")[rise.size - 1 :]
    lags = np.arange(40, 90)  # 150 down to 67 beats a minute
    assert abs(lags[correlation[40:90].argmax()] - 60) <= 1


def test_the_voice_has_pitch_formants_and_syllables(made: dict[str, Signal]) -> None:
    y = made["speech"]
    assert share(y, 0, 4000) > 0.9
    level = envelope(y)
    loudest = int(level.argmax()) * SAMPLE_RATE // 100
    frame = y[loudest - 1024 : loudest + 1024]
    correlation = np.correlate(frame, frame, "full")[frame.size - 1 :]
    lags = np.arange(SAMPLE_RATE // 160, SAMPLE_RATE // 75)
    pitch_hz = SAMPLE_RATE / lags[correlation[lags].argmax()]
    assert 85 < pitch_hz < 140, "a man's"
    # A few syllables a second: that is how fast loudness goes up and down.
    slow = np.abs(np.fft.rfft(level - level.mean())) ** 2
    rate_hz = np.fft.rfftfreq(level.size, 0.01)
    assert slow[(rate_hz > 0.5) & (rate_hz < 9)].sum() / slow[rate_hz > 0.5].sum() > 0.6
    assert (level < 0.05 * level.max()).mean() > 0.1, "pauses"


def test_four_files_anybody_can_read(tmp_path: Path) -> None:
    paths = sounds.write_all(tmp_path)
    assert len(paths) == 4
    assert {path.suffix for path in paths} == {".wav", ".flac", ".ogg"}
    for path in paths:
        info = soundfile.info(path)
        assert info.samplerate == SAMPLE_RATE
        assert 5 < info.duration < 30
